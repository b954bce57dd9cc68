"""The settings of the training: every default, and a check of every argument."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..support.checks import choice, flag, refusal, whole

__all__ = ["SCHEDULES", "TrainConfig"]

SCHEDULES = ("constant", "cosine", "step", "plateau")


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
                raise refusal(name, "a path", path)
            object.__setattr__(self, name, None if path is None else str(path))
