"""What a model file holds, in lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import excerpt
from .figures import label_figures

__all__ = ["model_summary"]

# Features that are named, and characters of a name.
NAMED, LONGEST = 5, 40


def model_summary(manifest: Mapping[str, Any]) -> str:
    """Say what a model was made of and how well it knows each label.

    Parameters
    ----------
    manifest
        Of a model file.

    Returns
    -------
    Lines of text; names of others are one line each, and can be shown.
    """
    training, network, features = manifest["training"], manifest["network"], manifest["features"]
    named = ", ".join(excerpt(name, LONGEST) for name in features[:NAMED])
    cells = f"{training['n_cells']:,} cells"
    if training.get("n_unlabelled"):
        cells += f", and {training['n_unlabelled']:,} without a label"
    nodes = ", ".join(f"{n:,}" for n in network["hidden_nodes"]) or "no"
    held_out = training["held_out"]
    figures = f"{held_out['n_cells']:,} cells"
    if "accuracy" in held_out:
        figures += f", accuracy {held_out['accuracy']:.3f}"
    lines = {
        "model": f"format version {manifest['format_version']}, by {excerpt(manifest['created_with'])}",
        "data": f"{manifest['modality']} ({manifest['normalization']['method']})",
        "features": f"{len(features):,}: {named}{', ...' if len(features) > NAMED else ''}",
        "labels": f"{len(manifest['labels']):,}",
        "reference": cells,
        "held out": figures,
        "network": f"{nodes} hidden nodes, {excerpt(network['activation'])}",
        "seed": str(training["seed"]),
        "bridge": "labels of a multiome by a model of RNA" if "bridge" in training else "",
        "digest": manifest["content_sha256"],
    }
    head = [f"{name:<11}{text}" for name, text in lines.items() if text]
    return "\n".join([*head, "", *_table(training)])


def _table(training: Mapping[str, Any]) -> list[str]:
    table = label_figures(training)
    names = [excerpt(label, LONGEST) for label in table["label"]]
    width = max(map(len, [*names, "label"]))

    def number(value: float, form: str) -> str:
        return f"{'' if np.isnan(value) else format(value, form):>10}"

    rows = [
        f"{name:<{width}}{number(cells, ',.0f')}{number(held_out, ',.0f')}{number(recall, '.2f')}"
        for name, cells, held_out, recall in zip(names, table["cells"], table["held_out"], table["recall"], strict=True)
    ]
    return [f"{'label':<{width}}{'cells':>10}{'held out':>10}{'recall':>10}", *rows]
