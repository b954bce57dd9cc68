"""Measure what annotating stores to Parquet takes, on one machine and by the workers of Dask: ``make bench-scaling``.

A store of 50,000 cells x 20,000 genes is repeated by its path, so that a query of any size takes the disk of one. What
grows with a query is measured as the difference of two sizes: seconds of processor, bytes read, bytes that cross the
loopback (of a machine that does nothing else on it), and the most memory that a process has had. ``python scaling.py
NAME...`` runs only the named parts; LARGE=40 repeats the store 40 times, which makes two million cells.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import bridge
from measuring import OUT, main, measure, most_resident, report

PER_STORE = 50_000
STORE = OUT / "scaling.h5ad"
LARGE = int(os.environ.get("LARGE", "20"))
SMALL = LARGE // 4
MILLION = 1e6


# ------------------------------------------------------------------------------------------- in the measured process


def counters() -> tuple[float, float, float]:
    """Return the seconds of processor and the bytes read by this process, and the most MB that it has had."""
    read = int(Path("/proc/self/io").read_text().split("rchar:")[1].split()[0])
    return time.process_time(), read, most_resident()


def on_loopback() -> int:
    line = next(line for line in Path("/proc/net/dev").read_text().splitlines() if line.strip().startswith("lo:"))
    return int(line.split(":")[1].split()[0])


def measured(work: str, n_stores: int, n_workers: int) -> dict[str, float]:
    """Do the work here or by workers, and return what it took."""
    from contextlib import ExitStack

    import deepscore

    ds, stores = deepscore.load(OUT / "large.deepscore"), [str(STORE)] * n_stores
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        client = None
        if n_workers:
            from distributed import Client, LocalCluster

            local = LocalCluster(n_workers=n_workers, threads_per_worker=1, processes=True, dashboard_address=":0")
            client = stack.enter_context(Client(stack.enter_context(local), set_as_default=False))

        def now() -> list[tuple[float, float, float]]:
            return [counters(), *(client.run(counters).values() if client else ())]

        before, network, start = now(), on_loopback(), time.perf_counter()
        if work == "annotate":
            ds.annotate_to_parquet(stores, folder / "labels.parquet", client=client, progress=False)
        else:
            deepscore.find_common_features(stores, stores, client=client, progress=False)
        seconds, network, after = time.perf_counter() - start, on_loopback() - network, now()
        return {
            "seconds": seconds,
            "processor": sum(b[0] - a[0] for a, b in zip(before, after, strict=True)),
            "read": sum(b[1] - a[1] for a, b in zip(before, after, strict=True)),
            "network": network,
            "caller": after[0][2],
            "workers": max((one[2] for one in after[1:]), default=0.0),
        }


def run_work(work: str, n_stores: str, n_workers: str) -> dict[str, float]:
    return measured(work, int(n_stores), int(n_workers))


# ------------------------------------------------------------------------------------------------------------ report


def prepare() -> None:
    if not STORE.exists():
        bridge.write_store(STORE, PER_STORE, "lzf")
    if not (OUT / "large.deepscore").exists():
        bridge.large_model()


def took(work: str, n_workers: int) -> None:
    """Print what a query takes, by its size."""
    prepare()
    small, large = (
        measure(sys.executable, __file__, "run", "work", work, str(n), str(n_workers)) for n in (SMALL, LARGE)
    )
    millions = (LARGE - SMALL) * PER_STORE / MILLION
    per_million = {name: (large[name] - small[name]) / millions for name in large}
    who = f"{work}, {n_workers} workers" if n_workers else f"{work}, one process"
    cells = f"{LARGE * PER_STORE:,} cells"
    of_disk = STORE.stat().st_size / PER_STORE * MILLION  # of a million cells
    both = 2 if work == "features" else 1  # the stores are reference and query
    report(f"{who}: passes over the stores", per_million["read"] / of_disk / both, 2.2)
    report(f"{who}: memory of the calling process, {cells}", large["caller"], 1500, " MB")
    if n_workers:
        report(f"{who}: memory of a worker, {cells}", large["workers"], 1500, " MB")
    print(f"     {who}: {of_disk / 1e9:.1f} GB of disk for a million cells; for each million more:")
    print(f"     processor {per_million['processor']:.0f} s, clock {per_million['seconds']:.0f} s,", end=" ")
    print(f"caller {per_million['caller']:.0f} MB, worker {per_million['workers']:.0f} MB,", end=" ")
    print(f"network {per_million['network'] / 1e6:.1f} MB (and {small['network'] / 1e6:.1f} MB at {SMALL} stores)")


PARTS = {
    "annotate": lambda: took("annotate", 0),
    "annotate_on_workers": lambda: took("annotate", 2),
    "features": lambda: took("features", 0),
    "features_on_workers": lambda: took("features", 2),
}

if __name__ == "__main__":
    main(PARTS, {"run_work": run_work})
