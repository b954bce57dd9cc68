"""Every default of the network and its training, in one place that checks itself."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Real
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..errors import ConfigError

__all__ = ["ACTIVATIONS", "SCHEDULES", "NetworkConfig", "TrainConfig", "recorded"]

ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "selu", "silu", "tanh", "sigmoid")
SCHEDULES = ("constant", "cosine", "step", "plateau")

Number = TypeVar("Number", int, float)
# Beyond it no seed and no size makes sense.
MOST = 2**63 - 1


def _refuse(name: str, expected: str, value: object) -> ConfigError:
    return ConfigError("bad_argument", f"{name} must be {expected}, not {value!r:.80}.")


def whole(name: str, value: Any, least: int, most: int = MOST) -> int:
    """Return a whole number in ``[least, most]`` (R sends 512 as 512.0), or refuse it."""
    # nan and infinity are no multiples of 1
    if not _is_number(value) or value % 1 != 0 or not least <= value <= most:
        limits = f"of at least {least}" if most == MOST else f"between {least} and {most:,}"
        raise _refuse(name, f"a whole number {limits}", value)
    return int(value)


def number(name: str, value: Any, low: float, high: float = math.inf) -> float:
    """Return a finite number in ``[low, high]``, or refuse it."""
    if not _is_number(value) or not low <= value <= high or math.isinf(value):
        limits = f"of at least {low:g}" if math.isinf(high) else f"between {low:g} and {high:g}"
        raise _refuse(name, f"a number {limits}", value)
    return float(value)


def optional(check: Callable[[str, Any, Number], Number], name: str, value: Any, least: Number) -> Number | None:
    """Return None, or what :func:`whole` or :func:`number` makes of a value."""
    return None if value is None else check(name, value, least)


def _is_number(value: Any) -> bool:
    """Tell numbers, also those of numpy, from truth values and the rest."""
    return isinstance(value, Real) and not isinstance(value, bool)


def flag(name: str, value: Any) -> bool:
    """Return a truth value, or refuse it."""
    if not isinstance(value, (bool, np.bool_)):
        raise _refuse(name, "True or False", value)
    return bool(value)


def choice(name: str, value: Any, options: Sequence[str]) -> str:
    """Return one of the options, or refuse it."""
    if not isinstance(value, str) or value not in options:  # an array compares item by item
        raise _refuse(name, "one of " + ", ".join(options), value)
    return str(value)


def optional_name(name: str, value: Any) -> str | None:
    """Return a name or None, or refuse it."""
    if value is not None and not isinstance(value, str):
        raise _refuse(name, "a name", value)
    return value


def path_like(name: str, value: Any) -> Path:
    """Return a path, or refuse what is none."""
    if not isinstance(value, (str, os.PathLike)):
        raise _refuse(name, "the path of a file", value)
    return Path(value)


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """The arguments of :class:`deepscore.DeepScore`, checked; their meaning and defaults are documented there."""

    hidden_nodes: tuple[int, ...] = (512, 256, 64)
    common_features: tuple[str, ...] | None = None
    n_labels: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    lr: float = 2e-3
    activation: str = "relu"
    dropout_rate: float = 0.2
    batchnorm: bool = True
    max_norm: float | None = None
    l1: float = 0.0
    l2: float = 1e-5
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, value in self._checked().items():
            object.__setattr__(self, name, value)

    def _checked(self) -> dict[str, Any]:
        nodes: Any = self.hidden_nodes
        if _is_number(nodes):  # one layer; R sends c(64) as a number
            nodes = (nodes,)
        names = self.common_features
        if isinstance(nodes, str) or not isinstance(nodes, Iterable):
            raise _refuse("hidden_nodes", "a list of whole numbers", nodes)
        if names is not None:
            if isinstance(names, (str, set, frozenset)) or not isinstance(names, Iterable):  # sets have no order
                raise _refuse("common_features", "a list of different feature names", names)
            names = tuple(str(name) for name in names)
            if not names or len(set(names)) < len(names):
                raise _refuse("common_features", "a list of different feature names", names[:5])
        if not isinstance(self.device, str):
            raise _refuse("device", "the name of a device", self.device)
        return {
            "hidden_nodes": tuple(whole("hidden_nodes", n, 1, 100_000) for n in nodes),
            "common_features": names,
            "n_labels": optional(whole, "n_labels", self.n_labels, 2),
            "epochs": optional(whole, "epochs", self.epochs, 1),
            "batch_size": optional(whole, "batch_size", self.batch_size, 2),
            "lr": number("lr", self.lr, 1e-8, 10),
            "activation": choice("activation", self.activation, ACTIVATIONS),
            "dropout_rate": number("dropout_rate", self.dropout_rate, 0, 0.95),
            "batchnorm": flag("batchnorm", self.batchnorm),
            "max_norm": optional(number, "max_norm", self.max_norm, 1e-6),
            "l1": number("l1", self.l1, 0, 1000),
            "l2": number("l2", self.l2, 0, 1000),
            "seed": whole("seed", self.seed, 0),
            "device": self.device,
        }


def recorded(network: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of :class:`NetworkConfig` among what a model file says of its network."""
    known = {field.name for field in fields(NetworkConfig)} - {"common_features", "n_labels", "seed"}
    return {name: value for name, value in network.items() if name in known}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The arguments of :meth:`deepscore.DeepScore.train`, checked; they are documented there."""

    early_stopping: bool = False
    patience: int = 5
    lr_schedule: str = "cosine"
    tensorboard: str | None = None
    gif: str | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        flag("early_stopping", self.early_stopping)
        flag("progress", self.progress)
        object.__setattr__(self, "patience", whole("patience", self.patience, 1))
        schedule = "constant" if self.lr_schedule is None else self.lr_schedule  # R's NULL, too
        object.__setattr__(self, "lr_schedule", choice("lr_schedule", schedule, SCHEDULES))
        for name in ("tensorboard", "gif"):
            path = getattr(self, name)
            if path is not None and (not isinstance(path, (str, os.PathLike)) or not str(path)):
                raise _refuse(name, "a path", path)
            object.__setattr__(self, name, None if path is None else str(path))
