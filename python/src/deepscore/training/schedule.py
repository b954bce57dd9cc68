"""The course of training in time: epochs, steps, learning rate, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from torch import Tensor

from ..model.network import Network
from .settings import SETTINGS, TrainingSettings

__all__ = ["EarlyStop", "Pace", "default_batch_size", "default_epochs", "scheduled_lr", "step_slices"]


def default_batch_size(n_cells: int, settings: TrainingSettings = SETTINGS) -> int:
    """Return a power of two between 32 and 1,024 that leaves about 16 steps or more in an epoch."""
    size = 2.0 ** math.floor(math.log2(n_cells / settings.steps_per_epoch))
    return int(np.clip(size, settings.smallest_batch, settings.largest_batch))


def default_epochs(n_cells: int, settings: TrainingSettings = SETTINGS) -> int:
    """Return enough epochs to see about `cells_seen` cells: 30 for a small reference, 2 for a large one."""
    return int(np.clip(round(settings.cells_seen / n_cells), settings.fewest_epochs, settings.most_epochs))


def scheduled_lr(
    schedule: str,
    lr: float,
    epoch: int,
    epochs: int,
    history: list[dict[str, Any]],
    settings: TrainingSettings = SETTINGS,
) -> float:
    """Return the learning rate of an epoch (from 1).

    ``constant``; ``cosine``: from `lr` down to a twentieth of it in the last epoch; ``step``: halved after each third
    of the epochs; ``plateau``: halved whenever the loss of the two latest epochs was no better than before.
    """
    if schedule == "cosine" and epochs > 1:
        return lr * _down((epoch - 1) / (epochs - 1), settings)
    if schedule == "step":
        return lr * 0.5 ** (3 * (epoch - 1) // epochs)
    if schedule == "plateau" and history:
        losses = [record.get("val_loss", record["loss"]) for record in history]
        stalled = len(losses) > 2 and min(losses[-2:]) >= min(losses[:-2])
        just_halved = len(history) > 1 and history[-1]["lr"] < history[-2]["lr"]
        return float(history[-1]["lr"]) * (0.5 if stalled and not just_halved else 1)
    return lr


class Pace:
    """The course of a large reference: at the full rate while there is more to learn, then down to rest.

    The mean loss of each window of cells is compared with that of the one before. In the first pass the network has not
    seen a cell before it learns from it, so this is the loss of cells that are held out. Where it falls by less than a
    share of `least_fall` (of `small_loss`, where it is smaller), the rate goes down by a cosine while half as many
    cells are seen as up to then: at the earliest so that every cell is seen once, at the latest within `most_passes`.
    """

    def __init__(self, n_cells: int, settings: TrainingSettings = SETTINGS) -> None:
        self.n_cells, self.settings = n_cells, settings
        self.seen, self.rest_from = 0, math.inf  # cells
        self.falls, self.last_mean = True, math.inf
        self.window = (0, 0.0)  # cells, and the sum of their losses

    @property
    def share(self) -> float:
        """Share of the full rate that the next step is to have."""
        if self.seen < self.rest_from:
            return 1.0
        return _down((self.seen - self.rest_from) / (self.rest_from / 2), self.settings)

    @property
    def done(self) -> bool:
        """Whether the rate has come to rest."""
        return self.seen >= 1.5 * self.rest_from

    def after(self, n_cells: int, loss: float) -> None:
        """Take note of the mean loss of a step."""
        settings, self.seen = self.settings, self.seen + n_cells
        cells, total = self.window = self.window[0] + n_cells, self.window[1] + n_cells * loss
        if cells >= settings.window:
            least = settings.least_fall * max(self.last_mean, settings.small_loss)
            self.falls = total / cells < self.last_mean - least if self.last_mean < math.inf else True
            self.last_mean, self.window = total / cells, (0, 0.0)
        passes = 1.5 * self.seen / self.n_cells  # in all, if it goes to rest now
        if math.isinf(self.rest_from) and passes >= (1 if not self.falls else settings.most_passes):
            self.rest_from = self.seen


def _down(way: float, settings: TrainingSettings) -> float:
    """Return the share of the rate that a cosine has come down to, on the way from 0 to 1."""
    return settings.last_lr + (1 - settings.last_lr) * 0.5 * (1 + math.cos(math.pi * way))


def step_slices(n_cells: int, batch_size: int) -> Iterator[slice]:
    """Cut an epoch into steps of nearly equal size, never of one cell alone."""
    n_steps = max(min(round(n_cells / batch_size), n_cells // 2), 1)
    edges = np.linspace(0, n_cells, n_steps + 1).astype(int)
    return (slice(a, b) for a, b in pairwise(edges))


@dataclass
class EarlyStop:
    """Keeps the weights of the best epoch and says when to stop."""

    patience: int | None
    best_loss: float = math.inf
    best_epoch: int = 0
    weights: dict[str, Tensor] | None = None

    def after(self, record: dict[str, Any], module: Network) -> bool:
        """Take note of an epoch; tell whether the loss has not improved for `patience` epochs."""
        if self.patience is None or "val_loss" not in record:
            return False
        if record["val_loss"] < self.best_loss:
            self.best_loss, self.best_epoch = record["val_loss"], record["epoch"]
            self.weights = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        return record["epoch"] - self.best_epoch >= self.patience

    def restore(self, module: Network) -> int:
        """Put the best weights back; return their epoch, 0 where nothing was kept."""
        if self.weights is not None:
            module.load_state_dict(self.weights)
        return self.best_epoch
