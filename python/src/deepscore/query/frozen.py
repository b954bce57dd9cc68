"""The look at a large query as one small file: what was learnt of it once, for calls that are made elsewhere or later.

The file is a safetensors file, as a model file is: numbers and JSON, and no code. It holds the view without the model.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.standardise import Scale
from ..model.model import Model
from .neighbours import Axes, Neighbourhoods
from .scales import CellByCell, SecondReading
from .settings import SETTINGS, Settings
from .verdict import Verdict
from .view import View

__all__ = ["view_from_bytes", "view_to_bytes"]

KEY = "deepscore_look"
Tensors = dict[str, npt.NDArray[Any]]


def view_to_bytes(view: View, identity: Mapping[str, Any]) -> bytes:
    """Write the view of a large query as the content of a file.

    Parameters
    ----------
    view
        A view without raw peaks, whose neighbourhoods are clusters: :meth:`View.of_each` tells.
    identity
        What the view is of, as plain values: model, query and options.
    """
    from safetensors.numpy import save

    assert view.of_each
    tensors: Tensors = {"measured": view.measured} | _scale("scale", view.scale)
    if view.second is not None:
        tensors |= _scale("second", view.second.scale) | {"second.share": view.second.share}
    if view.by_itself is not None:
        tensors["by_itself.share"] = view.by_itself.share
    near = view.neighbours
    if near is not None and near.centres is not None:
        tensors |= {f"neighbours.{name}": getattr(near, name) for name in ("mean", "overall", "known", "centres")}
        tensors |= {f"axes.{name}": getattr(near.axes, name) for name in ("basis", "offset", "deviation")}
    tensors = {name: np.ascontiguousarray(values) for name, values in tensors.items()}
    facts = {
        "identity": dict(identity),
        "known_power": None if view.by_itself is None else view.by_itself.known_power,
        "verdict": None if view.verdict is None else asdict(view.verdict),
    }
    facts = json.loads(json.dumps(facts, default=lambda value: value.item()))
    return save(tensors, {KEY: json.dumps(facts | {"sha256": _digest(facts, tensors)})})


def view_from_bytes(
    content: bytes, model: Model, identity: Mapping[str, Any], settings: Settings = SETTINGS
) -> View | None:
    """Read what :func:`view_to_bytes` has written; None of what is damaged, or is a view of something else.

    Parameters
    ----------
    model
        The model of the view.
    identity
        What the view should be of.
    settings
        The numbers by which the query is looked at.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
        facts, tensors = json.loads(header["__metadata__"][KEY]), load(content)
        whole = facts.pop("sha256") == _digest(facts, tensors)
        if not whole or facts["identity"] != json.loads(json.dumps(identity)):
            return None
    except (AttributeError, KeyError, TypeError, ValueError, struct.error, SafetensorError):
        return None
    second = by_itself = near = verdict = None
    if "second.share" in tensors:
        second = SecondReading(_read_scale("second", tensors), tensors["second.share"])
    if "by_itself.share" in tensors:
        by_itself = CellByCell(tensors["by_itself.share"], facts["known_power"])
    if "neighbours.centres" in tensors:
        axes = Axes(*(tensors[f"axes.{name}"] for name in ("basis", "offset", "deviation")))
        mean, overall, known, centres = (tensors[f"neighbours.{x}"] for x in ("mean", "overall", "known", "centres"))
        near = Neighbourhoods(mean, overall, known, axes, centres, settings)
    if facts["verdict"] is not None:
        told: dict[str, Any] = {name: tuple(x) if isinstance(x, list) else x for name, x in facts["verdict"].items()}
        verdict = Verdict(**told)
    return View(model, tensors["measured"], _read_scale("scale", tensors), second, near, by_itself, verdict=verdict)


def _scale(name: str, scale: Scale) -> Tensors:
    """Return a scale without the batches of the sample's cells: each cell that is called brings its own."""
    return {f"{name}.centre": scale.centre, f"{name}.deviation": scale.deviation}


def _read_scale(name: str, tensors: Tensors) -> Scale:
    return Scale(tensors[f"{name}.centre"], tensors[f"{name}.deviation"])


def _digest(facts: Mapping[str, Any], tensors: Tensors) -> str:
    found = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(tensors):
        found.update(f"{name} {tensors[name].dtype} {tensors[name].shape}".encode())
        found.update(tensors[name].tobytes())
    return found.hexdigest()
