"""TensorBoard's event file: one record for each epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import EngineError, InputError

__all__ = ["board"]


@contextmanager
def board(folder: str | None) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Open TensorBoard's event file; the value writes one epoch's record."""
    if folder is None:
        yield lambda record: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise EngineError(
            "missing_package", "tensorboard= needs the package tensorboard: pip install tensorboard."
        ) from None
    try:
        opened = SummaryWriter(folder)
    except OSError as error:
        raise InputError("path_not_writable", f"TensorBoard's folder {folder} cannot be written: {error}.") from None
    with opened as writer:

        def write(record: dict[str, Any]) -> None:
            for name, value in record.items():
                if name != "epoch":
                    writer.add_scalar(name, value, record["epoch"])

        yield write
