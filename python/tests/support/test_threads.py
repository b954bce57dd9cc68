"""Reading beside computing, and BLAS and torch kept to one thread."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from deepscore.errors import InputError
from deepscore.support.threads import cores, one_blas_thread, one_torch_thread, overlapped, torch_threads


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


def blas_threads() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.fixture
def two_blas_threads() -> Iterator[list[int]]:
    """Let BLAS have two threads, as on a machine with two cores."""
    with threadpool_limits(2, user_api="blas"):
        assert set(blas_threads()) == {2}
        yield blas_threads()


def test_blas_has_one_thread_until_the_last_user_is_done(two_blas_threads):
    first, second = one_blas_thread(), one_blas_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert set(blas_threads()) == {1}
    second.__exit__(None, None, None)
    assert blas_threads() == two_blas_threads


def test_any_thread_may_limit_blas_and_any_other_lift_the_limit(two_blas_threads):
    with one_blas_thread():  # this thread has done it first, which must not keep others from it
        pass
    first, second = one_blas_thread(), one_blas_thread()
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        one.submit(first.__enter__).result()
        assert set(blas_threads()) == {1}
        other.submit(second.__enter__).result()
        one.submit(first.__exit__, None, None, None).result()
        assert set(blas_threads()) == {1}
        other.submit(second.__exit__, None, None, None).result()
    assert blas_threads() == two_blas_threads


@pytest.fixture
def three_torch_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_torch_threads")
@pytest.mark.parametrize("error", [None, ZeroDivisionError])
def test_torch_has_one_thread_here_and_its_own_number_elsewhere(error):
    def in_a_new_thread() -> int:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(torch.get_num_threads).result()

    with ThreadPoolExecutor(1) as old:
        assert old.submit(torch.get_num_threads).result() == 3
        try:
            with one_torch_thread():
                with one_torch_thread():
                    assert torch.get_num_threads() == 1
                assert torch.get_num_threads() == 1
                assert in_a_new_thread() == 3
                if error is not None:
                    raise error
        except ZeroDivisionError:
            assert error is not None
        assert [torch.get_num_threads(), in_a_new_thread(), old.submit(torch.get_num_threads).result()] == [3, 3, 3]


@pytest.mark.usefixtures("three_torch_threads")
def test_each_of_several_threads_gets_its_own_number_of_torch_back():
    def number(own: int) -> tuple[int, int, int]:
        torch.get_num_threads()  # the first time, a thread takes over what another has set last
        ready.wait(10)
        torch.set_num_threads(own)
        for _ in range(20):
            with one_torch_thread():
                inside = torch.get_num_threads()
        return own, inside, torch.get_num_threads()

    ready = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(number, range(2, 6))) == [(own, 1, own) for own in range(2, 6)]
    assert torch.get_num_threads() == 3


# A process of its own, since BLAS and OpenMP begin with the number of threads that the environment names.
SCRIPT = """
import os, threading, time, torch
import anndata as ad, deepscore, synthetic

def used(function):
    before = time.process_time()
    function()
    return time.process_time() - before

torch.set_num_threads(2)
matrix, codes = synthetic.study(1, [150] * 4, n_features=1500)
data = ad.AnnData(matrix)
data.var_names = [f"g{i}" for i in range(1500)]
data.obs["label"] = synthetic.type_names(codes)
ds = deepscore.DeepScore(common_features=list(data.var_names), epochs=4, batch_size=300).set_reference(data, "label")
ds.train(progress=False)
by_several = used(lambda: ds.train(progress=False))
os.environ["OMP_NUM_THREADS"] = "1"  # which is looked at by each call
print(by_several, used(lambda: ds.train(progress=False)))
del os.environ["OMP_NUM_THREADS"]

def in_a_row():
    for _ in range(4):
        ds.annotate(data.copy())

def at_once():
    threads = [threading.Thread(target=ds.annotate, args=(data.copy(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

ds.annotate(data.copy())
print(used(in_a_row), used(at_once))
"""


def test_threads_do_not_wait_busily_for_each_other():
    variables = ("OMP_", "GOMP_", "OPENBLAS_", "MKL_", "PYTHONPATH")
    free = {name: value for name, value in os.environ.items() if not name.startswith(variables)}
    path = os.pathsep.join([*sys.path, str(Path(__file__).parents[1])])
    environment = free | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "2"}
    found = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    (by_several, by_one), (in_a_row, at_once) = (map(float, line.split()) for line in found.stdout.splitlines())
    assert by_several < 1.3 * by_one  # processor time of training: threads that wait for each other sleep
    assert at_once < 1.5 * in_a_row


def test_torch_computes_by_itself_in_each_of_its_threads():
    before = torch.get_num_threads()
    with torch_threads(2) as pool:
        assert set(pool.map(lambda _: torch.get_num_threads(), range(4))) == {1}
    with torch_threads(1) as none:
        assert none is None
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("said", "most"), [("1", 1), ("3", 3), ("", 8), ("many", 8), ("0", 8)])
def test_there_are_as_many_threads_as_cores_or_as_was_said(said, most, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(12), raising=False)
    assert cores() == most
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(2), raising=False)
    assert cores() == min(most, 2)


def test_several_workers_compute_at_once():
    both = threading.Barrier(2, timeout=10)
    assert len(list(overlapped(lambda _: both.wait(), range(4), workers=2))) == 4
