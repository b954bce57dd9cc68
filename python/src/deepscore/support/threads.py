"""What runs beside what: reading beside computing, and BLAS beside nothing."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from threadpoolctl import threadpool_limits

__all__ = ["one_blas_thread", "overlapped"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def overlapped(function: Callable[[Item], Result], items: Iterable[Item], ahead: int = 1) -> Iterator[Result]:
    """Yield ``function(item)`` for each item, computed by a second thread while this one fetches up to `ahead` more.

    Items are fetched by the calling thread: R, and stores on disk, are read by the thread that opened them.
    """
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(1) as pool:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


class _OneBlasThread:
    """While anything is trained or annotated, BLAS has one thread: its others wait busily for small products.

    The limit is the process's, so that the last of several calls at once lifts it, and not the first. Torch brings a
    BLAS of its own, which stays as it is.
    """

    def __init__(self) -> None:
        self.lock, self.users = threading.Lock(), 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self.lock:
            if not self.users:
                self.limits = threadpool_limits(1, user_api="blas")
            self.users += 1
        try:
            yield
        finally:
            with self.lock:
                self.users -= 1
                if not self.users:
                    self.limits.restore_original_limits()


one_blas_thread = _OneBlasThread()
