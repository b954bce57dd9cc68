"""The version, and how it is written into model files."""

__version__ = "0.1.0"
CREATED_WITH = f"deepscore {__version__}"
