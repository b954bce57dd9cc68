"""The numbers by which a model is made beside its network, each with where it comes from."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SETTINGS", "TrainingSettings"]


@dataclass(frozen=True)
class TrainingSettings:
    """The numbers of the fit.

    Parameters
    ----------
    hidden_weight
        Weight of the hidden layers in the logits, the rest is the linear path's; 0 and 1 leave one of them out. Rows
        "linear path alone" and "hidden layers alone" of the ablation in ``python/docs/accuracy.md``.
    linear_temperature
        The linear path's temperature where no held-out cell tells: its strong penalty makes it cautious.
    lsi_cells
        Cells: the components of peaks are those of at most so many, dealt out evenly over the labels.
    one_thread_batch
        Cells: steps of so few, and the linear path, are for one thread; several wait for each other longer than they
        work.
    """

    hidden_weight: float = 0.25
    linear_temperature: float = 0.37
    lsi_cells: int = 10_000
    one_thread_batch: int = 256


SETTINGS = TrainingSettings()
