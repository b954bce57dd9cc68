"""A cluster: what is done for each range of a data set's rows is done by workers of Dask that open it themselves.

What crosses the network is small: a model once for each worker, and of each range what is summed up of it. The results
come in the order of the rows, so that a sum over them is the same to the last bit with any number of workers.
"""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from ..data.blocks import CellBlocks, Range, RangeFunction
from ..errors import ConfigError, DeepScoreError, EngineError, InputError
from ..support.memory import keep_freed_memory
from ..support.threads import one_core
from .readers import Source, open_data
from .stores import OpenStores

__all__ = ["connected", "open_on"]

# Ranges for each thread of the workers that are handed out before the first result is taken.
AHEAD = 3
# Seconds in which a scheduler must answer.
PATIENCE = 10
_reading = Lock()


@contextmanager
def connected(client: Any) -> Iterator[Any]:
    """Connect to a scheduler where its address is given, and disconnect again; say clearly where it is lost.

    Parameters
    ----------
    client
        A :class:`distributed.Client`, the address of a scheduler, or None for none.

    Raises
    ------
    EngineError
        ``missing_package`` or ``cluster_lost``.
    ConfigError
        ``bad_argument``.
    """
    if client is None:
        yield None
        return
    try:
        import distributed
    except ImportError as error:
        raise EngineError(
            "missing_package", "A cluster needs Dask's distributed: pip install 'deepscore[cluster]'."
        ) from error
    if isinstance(client, distributed.Client):
        yield client
        return
    if not isinstance(client, str):
        raise ConfigError(
            "bad_argument", f"client is a distributed.Client or the address of a scheduler, not {client!r:.60}."
        )
    try:
        own: Any = distributed.Client(  # type: ignore[no-untyped-call]
            client, timeout=PATIENCE, set_as_default=False
        )
    except (OSError, ValueError) as error:
        raise EngineError(
            "cluster_lost",
            f"No scheduler answers at {client}: {str(error) or type(error).__name__}. Start one with `dask scheduler`.",
        ) from error
    try:
        yield own
    finally:
        own.close(timeout=PATIENCE)


def open_on(client: Any, data: Any, layer: str | None = None, modality: str | None = None, **how: Any) -> Source:
    """Open a data set of which the workers of a cluster do what is done for each range of its rows.

    Its tables are read here; workers open the values alone, so that what they hold does not grow with the data set.

    Parameters
    ----------
    client
        A client; None leaves all to this process.
    data, layer, modality, how
        As for :func:`~deepscore.interfaces.readers.open_data`.

    Raises
    ------
    ConfigError
        ``bad_argument`` where the data set is none that workers could open.
    InputError
        ``file_not_found`` where they cannot.
    """
    if client is None:
        return open_data(data, layer, modality, **how)
    several = isinstance(data, (list, tuple))
    paths = list(data) if several else [data]
    if not all(isinstance(one, (str, os.PathLike)) for one in paths):
        raise ConfigError(
            "bad_argument", "The workers of a cluster open data sets themselves: give paths, not what is in memory."
        )
    real = [Path(os.path.realpath(one)) for one in paths]
    source = open_data(real if several else real[0], layer, modality, stores=OpenStores(), **how)
    with _watching(client):
        for worker, why in client.run(_unseen, real).items():
            if why is not None:
                raise InputError(
                    "file_not_found",
                    f"The worker {worker} cannot read {why}: its workers must see the data set at the same path, as on "
                    "a disk that all of them share.",
                )
    values = replace(source.blocks, cell_names=source.blocks.cell_names[:1], other_names={}, parts=None, raw=None)
    return replace(source, blocks=replace(source.blocks, elsewhere=partial(_over, client, values)))


def _unseen(paths: Iterable[Path]) -> Path | None:
    """Return the first path that cannot be read here."""
    return next((path for path in paths if not os.access(path, os.R_OK)), None)


def _over(
    client: Any, values: CellBlocks, function: RangeFunction, shared: tuple[Any, ...], ranges: Iterable[Range]
) -> Iterator[Any]:
    """Let workers call a function for each range of a data set, and yield the results in order."""
    with _watching(client), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph", UserWarning)  # a model, once for each worker
        common = client.submit(_given, (values, shared), pure=False)
        pending: deque[Any] = deque()
        try:
            for start, stop, each in ranges:
                pending.append(client.submit(_on_range, common, function, start, stop, each, pure=False))
                if len(pending) > AHEAD * max(sum(client.nthreads().values()), 1):
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _given(value: Any) -> Any:
    return value


def _on_range(
    common: tuple[CellBlocks, tuple[Any, ...]], function: RangeFunction, start: int, stop: int, each: tuple[Any, ...]
) -> Any:
    """Do on a worker what is done for a range, with one thread; threads of a worker read in turn."""
    values, shared = common

    def read(first: int, last: int) -> Any:
        with _reading:
            return values.read(start + first, start + last)

    keep_freed_memory()
    cells = replace(values, cell_names=np.full(stop - start, "", dtype=object), read=read)
    with one_core():
        return function(cells, start, each, shared)


@contextmanager
def _watching(client: Any) -> Iterator[None]:
    """Say what is the matter where the scheduler is lost, or workers die again and again."""
    from concurrent.futures import CancelledError

    from distributed import KilledWorker
    from distributed.comm.core import CommClosedError

    try:
        yield
    except DeepScoreError:
        raise
    except KilledWorker as error:
        raise EngineError(
            "cluster_lost",
            f"Workers of the cluster died again and again ({error}). Look at their logs; give them more memory or "
            "fewer threads each. What is finished stays: run the same again to go on.",
        ) from error
    except (CancelledError, CommClosedError, TimeoutError, OSError, RuntimeError) as error:
        if client.status == "running" and not isinstance(error, (CancelledError, CommClosedError)):
            raise
        raise EngineError(
            "cluster_lost",
            f"The scheduler of the cluster is lost ({error or type(error).__name__}). What is finished stays: run the "
            "same again to go on, with another cluster or without one.",
        ) from error
