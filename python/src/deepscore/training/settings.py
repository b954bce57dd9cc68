"""The numbers by which a model is made beside its network, each with where it comes from."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SETTINGS", "TrainingSettings"]


@dataclass(frozen=True)
class TrainingSettings:
    """The numbers of this room.

    Parameters
    ----------
    hidden_weight
        Weight of the hidden layers in the logits, the rest is the linear path's; 0 and 1 leave one of them out. Rows
        "linear path alone" and "hidden layers alone" of the ablation in ``python/docs/accuracy.md``.
    linear_temperature
        The linear path's temperature where no held-out cell tells: its strong penalty makes it cautious.
    profile_cells, lsi_cells
        Cells, dealt out evenly over the labels: the profiles and the components of peaks are those of at most so many;
        more change next to nothing.
    watched_prop
        Share of the cells of each label that early stopping watches: as many as are held out by default (`test_prop`).
    fewest_to_split
        Cells: a label with fewer keeps all of them to learn from, as it can spare none.
    steps_per_epoch, smallest_batch, largest_batch
        Steps, cells, cells: a step takes so many cells that an epoch has `steps_per_epoch` or more, within bounds that
        are powers of two: smaller steps wait more than they work, larger ones need more epochs.
    cells_seen, fewest_epochs, most_epochs
        Cells, epochs, epochs: so many epochs that the network sees about so many cells, within bounds; small references
        are learnt by heart after more of them. Of a reference of `large` cells or more they do not hold.
    large, window, least_fall, small_loss, most_passes
        Cells, cells, share, loss, epochs: a reference of `large` cells or more is learnt until its loss falls by less
        than `least_fall` from one window of cells to the next (see :class:`~deepscore.training.schedule.Pace`). At a
        loss of `small_loss` the true label has a probability of 95 %: what falls below is not worth another pass. After
        some passes a loss falls as cells are learnt by heart.
    last_lr
        Share of the learning rate that the cosine schedule ends with, not 0: the last epoch is to learn, too.
    cells_per_sum
        Cells whose sums are taken at once, which bounds memory.
    """

    hidden_weight: float = 0.25
    linear_temperature: float = 0.37
    profile_cells: int = 6_000
    lsi_cells: int = 10_000
    watched_prop: float = 0.1
    fewest_to_split: int = 4
    steps_per_epoch: int = 16
    smallest_batch: int = 32
    largest_batch: int = 1024
    cells_seen: int = 100_000
    fewest_epochs: int = 2
    most_epochs: int = 30
    large: int = 50_000
    window: int = 25_000
    least_fall: float = 0.1
    small_loss: float = 0.05
    most_passes: int = 4
    last_lr: float = 0.05
    cells_per_sum: int = 4096


SETTINGS = TrainingSettings()
