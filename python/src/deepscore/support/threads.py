"""What runs beside what: reading beside computing, BLAS and torch beside nothing of their own."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from threadpoolctl import LibController, ThreadpoolController

__all__ = ["cores", "one_blas_thread", "one_core", "one_torch_thread", "overlapped", "torch_threads"]

# More would hold more blocks in memory at once than a laptop has room for.
MOST_THREADS = 8
Item = TypeVar("Item")
Result = TypeVar("Result")


_alone: ContextVar[bool] = ContextVar("alone", default=False)


@contextmanager
def one_core() -> Iterator[None]:
    """Let one thread compute within the block, and BLAS have one: others compute beside it, as on a cluster."""
    before = _alone.set(True)
    try:
        with one_blas_thread():
            yield
    finally:
        _alone.reset(before)


def cores() -> int:
    """Return how many threads are to compute: a core for each, no more than OMP_NUM_THREADS says, and 8 at most."""
    if _alone.get():
        return 1
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    said = os.environ.get("OMP_NUM_THREADS", "")
    return min(there, int(said) if said.isdecimal() and int(said) else MOST_THREADS, MOST_THREADS)


def overlapped(function: Callable[[Item], Result], items: Iterable[Item], workers: int = 1) -> Iterator[Result]:
    """Yield ``function(item)`` for each item in order, computed by other threads while this one fetches as many more.

    Items are fetched by the calling thread: R, and stores on disk, are read by the thread that opened them.
    """
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


class _OneBlasThread:
    """While anything is computed, BLAS has one thread: its others wait busily for small products.

    The limit is the process's, so that the last of several calls at once lifts it, and not the first. Torch brings a
    BLAS of its own: :func:`one_torch_thread`.
    """

    def __init__(self) -> None:
        self._lock, self._users = threading.Lock(), 0
        self._before: dict[str, tuple[LibController, int]] = {}

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            self._users += 1
            for library in ThreadpoolController().select(user_api="blas").lib_controllers:
                if library.filepath not in self._before:  # it may have been loaded since the first call began
                    self._before[library.filepath] = library, library.get_num_threads()
                    _set_blas_threads(library, 1)
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                while not self._users and self._before:
                    _set_blas_threads(*self._before.popitem()[1])


def _set_blas_threads(library: LibController, number: int) -> None:
    """Set the number, whichever thread has set it before.

    From 3.8 on, threadpoolctl ignores all threads but the first that has set one, until it gives up control. Here the
    first of several calls sets it, and the last sets it back.
    """
    release = getattr(library, "clear_controlling_thread", lambda *, force: None)
    release(force=True)
    library.set_num_threads(number)
    release(force=True)


one_blas_thread = _OneBlasThread()
_torch_lock = threading.Lock()


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let torch compute in the calling thread alone: those of OpenMP would wait for each other busily.

    Beside other programs each step then takes as long as the slowest of its threads has to wait for a core, while the
    rest keep theirs busy. The number is that of the calling thread; other threads of the process keep theirs.
    """
    before = _set_torch_threads(1)
    try:
        yield
    finally:
        _set_torch_threads(before)


@contextmanager
def torch_threads(number: int) -> Iterator[ThreadPoolExecutor | None]:
    """Give so many threads in each of which torch computes by itself; none where one would be all."""
    if number < 2:
        yield None
        return
    with ThreadPoolExecutor(number, initializer=_set_torch_threads, initargs=(1,)) as pool:
        yield pool


def _set_torch_threads(number: int) -> int:
    """Set the number of the calling thread; return what it was."""
    import torch

    with _torch_lock:
        before: int = torch.get_num_threads()
        if before != number:
            # torch gives the number to threads that begin to use it later, too: a new thread knows theirs, and sets it
            # back
            with ThreadPoolExecutor(1) as new:
                later = new.submit(torch.get_num_threads).result()
                torch.set_num_threads(number)
                new.submit(torch.set_num_threads, later).result()
    return before
