"""Which features a reference and its queries share, and which of them tell most."""
