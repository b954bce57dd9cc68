"""Reading beside computing, and BLAS kept to one thread."""

from __future__ import annotations

import threading

import pytest
from threadpoolctl import threadpool_info

from deepscore.errors import InputError
from deepscore.support.threads import one_blas_thread, overlapped


@pytest.mark.parametrize("n", [0, 1, 2, 50])
def test_overlapped_keeps_the_order(n):
    assert list(overlapped(lambda i: i * i, range(n))) == [i * i for i in range(n)]


def test_overlapped_fetches_here_and_computes_there():
    fetched = []

    def items():
        for _ in range(3):
            fetched.append(threading.get_ident())
            yield None

    computed = set(overlapped(lambda _: threading.get_ident(), items()))
    assert set(fetched) == {threading.get_ident()}
    assert threading.get_ident() not in computed


def test_overlapped_fetches_while_the_other_thread_computes():
    second_fetched = threading.Event()

    def items():
        yield 0
        second_fetched.set()
        yield 1

    assert list(overlapped(lambda _: second_fetched.wait(5), items())) == [True, True]


@pytest.mark.parametrize("ahead", [1, 3])
def test_overlapped_fetches_no_further_ahead_than_asked_for(ahead):
    fetched = []
    found = overlapped(lambda i: i, (fetched.append(i) or i for i in range(10)), ahead)
    for result in range(10):
        assert next(found) == result
        assert len(fetched) == min(result + ahead + 1, 10)


@pytest.mark.parametrize("bad", ["fetch", "compute"])
def test_overlapped_hands_on_errors(bad):
    def items():
        yield 1
        if bad == "fetch":
            raise InputError("non_finite", "a bad block")
        yield 0

    with pytest.raises(InputError if bad == "fetch" else ZeroDivisionError):
        list(overlapped(lambda i: 1 / i, items()))


def test_blas_has_one_thread_until_the_last_user_is_done():
    def threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    before = threads()
    first, second = one_blas_thread(), one_blas_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert threads() == [1] * len(before)
    second.__exit__(None, None, None)
    assert threads() == before
