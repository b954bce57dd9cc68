"""Train several networks that differ by their seed, and keep the one that does best on held-out cells."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import InputError
from ..model.config import NetworkConfig
from ..model.model import Model
from ..support.checks import keep, whole
from ..support.notices import logger
from ..training.config import TrainConfig
from ..training.held_out import tell_held_out
from ..training.reference import Reference

__all__ = ["SelectRequest", "select_model"]


@dataclass(frozen=True, kw_only=True)
class SelectRequest:
    """What :func:`deepscore.select_model` has beside the options of the training, checked; documented there."""

    n_models: int = 5

    def __post_init__(self) -> None:
        keep(self, n_models=whole("n_models", self.n_models, 1, 1000))


def select_model(reference: Reference, network: NetworkConfig, train: TrainConfig, request: SelectRequest) -> Model:
    """Return the best of several models; see :func:`deepscore.select_model`."""
    from ..training.fit import fit

    best, tried = None, []
    for seed in range(network.seed, network.seed + request.n_models):
        model = fit(reference, replace(network, seed=seed), train, held_out_seed=network.seed)
        facts = model.training["held_out"]
        if "loss" not in facts:
            raise InputError(
                "no_held_out_cells",
                f"Models are compared by cells held out of training, of two labels at least; there are "
                f"{facts['n_cells']}. Give set_reference() a greater test_prop=.",
            )
        tried.append({"seed": seed, "loss": facts["loss"], "accuracy": facts["accuracy"]})
        if best is None or facts["loss"] < best.training["held_out"]["loss"]:
            best = model
    assert best is not None
    losses = sorted(one["loss"] for one in tried)
    logger.info(
        "The model of seed %d has the lowest loss on the held-out cells: %.4f; those of all %d: %.4f to %.4f",
        best.training["seed"], losses[0], len(losses), losses[0], losses[-1],
    )  # fmt: skip
    tell_held_out(best.training["held_out"])
    return replace(best, training={**best.training, "selection": tried})
