"""The version, and how it is written into model files."""

__all__ = ["CREATED_WITH", "__version__"]

__version__ = "0.1.0"
CREATED_WITH = f"deepscore {__version__}"
