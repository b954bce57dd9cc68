"""The model: its network, its linear path, its profiles, and the file that it is saved in."""
