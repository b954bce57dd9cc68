"""What a model is worth for each of its labels, as far as its file tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["label_figures"]


def label_figures(training: Mapping[str, Any]) -> pd.DataFrame:
    """Return what the training facts say of each label.

    Parameters
    ----------
    training
        That part of a manifest.

    Returns
    -------
    A row per label: ``label``; ``cells`` of the reference; how many of them were ``held_out``, and the ``recall`` of
    these. NaN where there were none; both of a model whose file is older than these figures.
    """
    held_out, cells = training["held_out"], training["cells_per_label"]
    each = held_out.get("labels", {})
    nothing = {} if held_out["n_cells"] else {"n_cells": 0}
    told = [each.get(label, nothing) for label in cells]
    return pd.DataFrame(
        {
            "label": list(cells),
            "cells": list(cells.values()),
            "held_out": [facts.get("n_cells", np.nan) for facts in told],
            "recall": [facts.get("recall", np.nan) for facts in told],
        }
    )
