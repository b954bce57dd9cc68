"""Print what this Python has of the engine, as JSON; deepscore_doctor() of the R package runs it."""

import json
import platform
from importlib import metadata


def version(package):
    """Return the installed version of a package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def problem():
    """Return why the engine cannot be imported, or None."""
    try:
        import deepscore.interfaces.r  # noqa: F401
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


print(
    json.dumps(
        {
            "python": platform.python_version(),
            "deepscore": version("deepscore"),
            "numpy": version("numpy"),
            "torch": version("torch"),
            "bioframe": version("bioframe"),
            "problem": problem(),
        }
    )
)
