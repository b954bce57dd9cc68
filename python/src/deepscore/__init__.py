"""DeepScore: label transfer for single-cell data.

Importing this package loads neither torch nor anndata; the first call that needs them does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import errors
from .version import __version__

if TYPE_CHECKING:
    from .api import DeepScore, check_reference, find_common_features, load
    from .chromatin.verbs import (
        count_fragments,
        find_common_peaks,
        find_linked_genes,
        gene_activity,
        match_peaks,
        train_bridge,
    )
    from .modelfile import inspect_model

__all__ = [
    "DeepScore",
    "__version__",
    "check_reference",
    "count_fragments",
    "errors",
    "find_common_features",
    "find_common_peaks",
    "find_linked_genes",
    "gene_activity",
    "inspect_model",
    "load",
    "match_peaks",
    "train_bridge",
]

_HOMES = {
    "DeepScore": "api",
    "check_reference": "api",
    "find_common_features": "api",
    "load": "api",
    "inspect_model": "modelfile",
    "count_fragments": "chromatin.verbs",
    "find_common_peaks": "chromatin.verbs",
    "find_linked_genes": "chromatin.verbs",
    "gene_activity": "chromatin.verbs",
    "match_peaks": "chromatin.verbs",
    "train_bridge": "chromatin.verbs",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
