"""Train a network on a prepared reference, with a film of it where one is wanted."""

from __future__ import annotations

from dataclasses import replace

from ..data.blocks import CellBlocks
from ..model.config import NetworkConfig
from ..model.model import Model
from ..output.film import filming
from ..training.config import TrainConfig
from ..training.held_out import tell_held_out
from ..training.reference import Reference
from ..training.team import is_helper, team

__all__ = ["train"]


def train(reference: Reference, network: NetworkConfig, request: TrainConfig, query: CellBlocks | None = None) -> Model:
    """Return the trained model; see :meth:`deepscore.DeepScore.train`.

    Parameters
    ----------
    query
        Data set that the film shows; without it, cells of the reference.
    """
    from ..training.fit import fit

    if is_helper():  # the first process shows and writes what there is
        request = replace(request, gif=None, tensorboard=None, progress=False)
    with team(network.device) as together, filming(request.gif, reference, query, network.seed) as on_epoch:
        model = fit(reference, network, request, on_epoch, team=together)
    tell_held_out(model.training["held_out"])
    return model
