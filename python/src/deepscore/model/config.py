"""The settings of the network: every default, and a check of every argument."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..errors import ConfigError
from ..support.checks import choice, flag, is_number, number, optional, refusal, whole

__all__ = ["ACTIVATIONS", "NetworkConfig", "recorded"]

ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "selu", "silu", "tanh", "sigmoid")


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
        if is_number(nodes):  # one layer; R sends c(64) as a number
            nodes = (nodes,)
        names = self.common_features
        if isinstance(nodes, str) or not isinstance(nodes, Iterable):
            raise refusal("hidden_nodes", "a list of whole numbers", nodes)
        if names is not None:
            if isinstance(names, (str, set, frozenset)) or not isinstance(names, Iterable):  # sets have no order
                raise refusal("common_features", "a list of different feature names", names)
            names = tuple(str(name) for name in names)
            if not names:
                raise refusal("common_features", "a list of different feature names", names)
            if twice := [name for name, times in Counter(names).items() if times > 1]:
                raise ConfigError(
                    "bad_argument",
                    f"common_features must be a list of different feature names: {len(twice)} occur more than once "
                    f"({', '.join(map(repr, twice[:5]))}).",
                )
        if not isinstance(self.device, str):
            raise refusal("device", "the name of a device", self.device)
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
    known = {field.name for field in fields(NetworkConfig)} - {"common_features", "n_labels", "seed", "device"}
    return {name: value for name, value in network.items() if name in known}
