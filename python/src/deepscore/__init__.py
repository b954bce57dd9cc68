"""DeepScore: label transfer for single-cell data.

Importing this package loads neither torch nor anndata; the first call that needs them does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import errors
from .version import __version__

if TYPE_CHECKING:
    from . import plots
    from .interfaces.python import DeepScore, annotate, check_reference, find_common_features, load
    from .interfaces.python_chromatin import (
        count_fragments,
        find_common_peaks,
        find_linked_genes,
        gene_activity,
        match_peaks,
        train_bridge,
    )
    from .interfaces.python_evidence import (
        feature_importance,
        find_thresholds,
        match_markers,
        performance,
        select_model,
    )
    from .interfaces.python_report import report
    from .model.file import inspect_model

__all__ = [
    "DeepScore",
    "__version__",
    "annotate",
    "check_reference",
    "count_fragments",
    "errors",
    "feature_importance",
    "find_common_features",
    "find_common_peaks",
    "find_linked_genes",
    "find_thresholds",
    "gene_activity",
    "inspect_model",
    "load",
    "match_markers",
    "match_peaks",
    "performance",
    "plots",
    "report",
    "select_model",
    "train_bridge",
]

_HOMES = {
    "DeepScore": "interfaces.python",
    "annotate": "interfaces.python",
    "check_reference": "interfaces.python",
    "find_common_features": "interfaces.python",
    "load": "interfaces.python",
    "feature_importance": "interfaces.python_evidence",
    "find_thresholds": "interfaces.python_evidence",
    "match_markers": "interfaces.python_evidence",
    "performance": "interfaces.python_evidence",
    "select_model": "interfaces.python_evidence",
    "inspect_model": "model.file",
    "report": "interfaces.python_report",
    "count_fragments": "interfaces.python_chromatin",
    "find_common_peaks": "interfaces.python_chromatin",
    "find_linked_genes": "interfaces.python_chromatin",
    "gene_activity": "interfaces.python_chromatin",
    "match_peaks": "interfaces.python_chromatin",
    "train_bridge": "interfaces.python_chromatin",
}


def __getattr__(name: str) -> Any:
    if name == "plots":
        return import_module(".plots", __name__)
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
