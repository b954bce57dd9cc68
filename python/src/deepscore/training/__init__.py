"""From annotated cells to a model."""
