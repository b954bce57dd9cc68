"""Measure speed and scale on a simulated atlas, each figure beside its target: ``make bench-speed``.

Times are ratios of two things measured in the same run, by turns, each in a process of its own, the least of several
runs; memory is the most that a process ever had. The data are made by a seeded generator (simulated.py) and kept in
bench-output/simulated, 12 GB of them. CellTypist and scanpy run in an environment of their own, that of
accuracy/methods/celltypist.py. ``python speed.py NAME...`` runs only the named parts; SIZE=small has a twentieth of the
cells, to try the program itself: its figures mean nothing.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

from measuring import OUT, against_reading, main, measure, most_resident, report
from simulated import Atlas, query, reference

sys.path.append(str(Path(__file__).parent / "accuracy"))

SMALL = os.environ.get("SIZE") == "small"
HERE = OUT / ("speed-small" if SMALL else "speed")
LAYERS = (2000, 512, 256, 64, 8)  # of the default network, with 2,000 features and 8 labels
STEP = 1024  # cells
# Programs on each core beside a training.
BUSY = 4


def cells(number: int) -> int:
    return number // 20 if SMALL else number


N_REFERENCE, N_QUERY, N_MANY, N_MARKERS = cells(112_563), cells(106_309), cells(1_000_000), cells(20_000)
GROWTH = [cells(number) for number in (10_000, 30_000, 100_000, 300_000)] + [N_MANY]


# ------------------------------------------------------------------------- what is timed, each in a process of its own


def chosen_features() -> list[str]:
    return (HERE / "features.txt").read_text().split()


def run_features() -> None:
    import deepscore

    features = deepscore.find_common_features(reference(N_REFERENCE), query(N_QUERY))
    (HERE / "features.txt").write_text("\n".join(features))


def new_model(features: list[str] | None = None, **options: Any) -> Any:
    import deepscore

    return deepscore.DeepScore(common_features=features or chosen_features(), **options)


def warm_up() -> None:
    """Let torch load what it loads for its first optimizer: the peers' libraries are loaded before the clock starts."""
    few = Atlas().cells(600)
    new_model(epochs=1).set_reference(few, "label").train(progress=False).annotate(few)


def clock() -> tuple[float, float]:
    """Return the time and the processor time."""
    return time.perf_counter(), time.process_time()


def right(calls: pd.Series, truth: pd.Series) -> float:
    return float((calls.astype(str).to_numpy() == truth.astype(str).to_numpy()).mean())


def run_train() -> dict:
    """Train in memory; only the chosen features are in the data, as for CellTypist."""
    from deepscore.training.schedule import Pace

    warm_up()
    data, seen, after = ad.read_h5ad(reference(N_REFERENCE))[:, chosen_features()].copy(), [], Pace.after

    def counting(pace: Pace, n_cells: int, loss: float) -> None:
        seen.append(n_cells)
        after(pace, n_cells, loss)

    Pace.after = counting  # type: ignore[method-assign]
    start = time.perf_counter()
    ds = new_model().set_reference(data, "label")
    prepared = clock()
    ds.train(progress=False)
    end = clock()
    ds.save(HERE / "model.deepscore")
    seconds = end[0] - prepared[0]
    found = {"seconds": seconds, "prepare": prepared[0] - start, "threads": (end[1] - prepared[1]) / seconds}
    return found | {"seen": sum(seen)}


def run_products(n_cells: str, n_threads: str) -> dict:
    """Multiply what the default network multiplies to learn from so many cells once, dense, and nothing else."""
    import torch

    torch.set_num_threads(int(n_threads))
    torch.manual_seed(0)
    weights = [torch.randn(a, b) for a, b in pairwise(LAYERS)]
    values = [torch.randn(STEP, width) for width in LAYERS]
    steps = int(n_cells) / STEP

    def step() -> None:
        for i, weight in enumerate(weights):
            values[i] @ weight
            values[i].T @ values[i + 1]  # the gradient of the weights
            if i:
                values[i + 1] @ weight.T  # that of the layer's input, which the data need not have

    step()
    start = time.perf_counter()
    for _ in range(round(steps)):
        step()
    return {"seconds": (time.perf_counter() - start) * steps / round(steps)}


def run_celltypist_train() -> dict:
    import celltypist
    from prepare import log_normalised

    data = ad.read_h5ad(reference(N_REFERENCE))
    data.X = log_normalised(data)
    data = data[:, chosen_features()].copy()
    fast = {"use_SGD": True, "mini_batch": True, "feature_selection": False, "check_expression": False, "n_jobs": 2}
    start = time.perf_counter()
    model = celltypist.train(data, labels="label", **fast)
    seconds = time.perf_counter() - start
    model.write(str(HERE / "celltypist.pkl"))
    return {"seconds": seconds}


def run_annotate() -> dict:
    import deepscore

    data, ds = ad.read_h5ad(query(N_QUERY)), deepscore.load(HERE / "model.deepscore")
    ds.annotate(data[:100].copy())
    start = time.perf_counter()
    ds.annotate(data)
    seconds = time.perf_counter() - start
    truth = data.obs["label"]
    return {
        "seconds": seconds,
        "raw": right(data.obs["deepscore_raw"], truth),
        "called": right(data.obs["deepscore"], truth),
    }


def run_celltypist_annotate() -> dict:
    import celltypist
    from prepare import log_normalised

    data = ad.read_h5ad(query(N_QUERY))
    data.X = log_normalised(data)
    model = celltypist.Model.load(str(HERE / "celltypist.pkl"))
    celltypist.annotate(data[:100].copy(), model=model)
    start = time.perf_counter()
    found = celltypist.annotate(data, model=model)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "raw": right(found.predicted_labels["predicted_labels"], data.obs["label"])}


def run_store() -> dict:
    import deepscore

    return against_reading(deepscore.load(HERE / "model.deepscore").annotate, query(N_QUERY))


def run_from_disk(n_cells: str) -> dict:
    """Train from a file."""
    warm_up()
    path = reference(int(n_cells))
    start = clock()
    ds = new_model().set_reference(path, "label").train(progress=False)
    end = clock()
    found = {"seconds": end[0] - start[0], "processor": end[1] - start[1], "megabytes": most_resident()}
    data = ad.read_h5ad(query(N_QUERY), backed="r")[: cells(20_000)].to_memory()
    ds.annotate(data)
    return found | {"raw": right(data.obs["deepscore_raw"], data.obs["label"])}


def run_annotate_from_disk(n_cells: str) -> dict:
    import deepscore

    warm_up()
    ds = deepscore.load(HERE / "model.deepscore")
    start = time.perf_counter()
    ds.annotate(reference(int(n_cells)))
    return {"seconds": time.perf_counter() - start, "megabytes": most_resident()}


def stay_on(core: int) -> None:
    for thread in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), {core})


def run_dask(n_workers: str) -> dict:
    """Annotate by workers of one core each."""
    from dask.distributed import Client, LocalCluster

    import deepscore

    path, output = reference(N_MANY).absolute(), (HERE / "calls.parquet").absolute()
    ds = deepscore.load(HERE / "model.deepscore")
    with (
        LocalCluster(n_workers=int(n_workers), threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(int(n_workers))
        for core, worker in enumerate(client.scheduler_info()["workers"]):
            client.run(stay_on, core, workers=[worker])
        few = reference(GROWTH[1]).absolute()
        ds.annotate_to_parquet(few, output, client=client, progress=False)  # the workers import what they need
        start = time.perf_counter()
        ds.annotate_to_parquet(path, output, client=client, progress=False)
        return {"seconds": time.perf_counter() - start}


def run_four() -> dict:
    """Annotate four times in a row, and four at once in threads, as a server does."""
    import deepscore

    ds = deepscore.load(HERE / "model.deepscore")
    data = ad.read_h5ad(query(N_QUERY), backed="r")[: cells(20_000)].to_memory()
    ds.annotate(data.copy())
    copies = [data.copy() for _ in range(8)]
    start = clock()
    for copy in copies[:4]:
        ds.annotate(copy)
    between = clock()
    threads = [threading.Thread(target=ds.annotate, args=(copy,)) for copy in copies[4:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    end = clock()
    names = ("seconds", "processor")
    return {
        "row": dict(zip(names, np.subtract(between, start).tolist(), strict=True)),
        "once": dict(zip(names, np.subtract(end, between).tolist(), strict=True)),
    }


def of_15_labels() -> ad.AnnData:
    return Atlas(seed=3, shares=(0.15, 0.12, *[0.06] * 11, 0.04, 0.03)).cells(N_MARKERS)


def run_markers() -> dict:
    import deepscore

    data, no_markers = of_15_labels(), {"none": ["G0A"]}  # lists, of which nothing is computed
    deepscore.match_markers(data[:2000].copy(), no_markers, labels="label", test="wilcoxon", progress=False)
    start = time.perf_counter()
    found = deepscore.match_markers(data, no_markers, 20, labels="label", test="wilcoxon", progress=False)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "top": {str(label): list(names) for label, names in found.reference.items()}}


def run_scanpy_markers() -> dict:
    """Rank genes with scanpy's defaults on the clock; its scores are ours only with the correction for ties."""
    import scanpy as sc
    from prepare import log_normalised

    data = of_15_labels()
    data.X = log_normalised(data)
    start = time.perf_counter()
    sc.tl.rank_genes_groups(data, "label", method="wilcoxon")
    seconds = time.perf_counter() - start
    sc.tl.rank_genes_groups(data, "label", method="wilcoxon", tie_correct=True)
    names = data.uns["rank_genes_groups"]["names"]
    return {"seconds": seconds, "top": {label: names[label][:20].tolist() for label in names.dtype.names}}


# ------------------------------------------------------------------------------------------------------------ report

# A user sets none of these: the library is to choose its threads, and how they wait.
PLAIN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_"))
}


def ours(*words: object) -> Any:
    return measure(sys.executable, __file__, "run", *map(str, words), env=PLAIN)


@cache
def peers() -> str:
    """Return the interpreter that has CellTypist and scanpy."""
    from catalog import discover, python_for

    return str(python_for(discover()["celltypist"], Path(".bench/environments")).absolute())


def theirs(*words: object) -> Any:
    return measure(peers(), __file__, "run", *map(str, words), env=PLAIN)


def by_turns(times: int, *runs: Callable[[], dict]) -> list[dict]:
    """Run each by turns; return of each the run that took the fewest seconds."""
    rounds = [[run() for run in runs] for _ in range(times)]
    return [min(found, key=lambda run: run["seconds"]) for found in zip(*rounds, strict=True)]


@cache
def data() -> None:
    """Write the reference and the query, and choose the features."""
    HERE.mkdir(parents=True, exist_ok=True)
    reference(N_REFERENCE)
    query(N_QUERY)
    if not (HERE / "features.txt").exists():
        ours("features")


@cache
def training() -> dict:
    """Train in memory, which leaves the model of the other parts."""
    data()
    return min((ours("train") for _ in range(3)), key=lambda run: run["seconds"])


def against(one: float, other: float) -> str:
    return f"{one:.2f} s / {other:.2f} s"


def part_train() -> None:
    data()
    ds, celltypist = by_turns(2, lambda: ours("train"), lambda: theirs("celltypist_train"))
    detail = f"{against(celltypist['seconds'], ds['seconds'])}, and {ds['prepare']:.2f} s in set_reference"
    report(
        f"CellTypist's training / the default training, {N_REFERENCE:,} x 2,000",
        celltypist["seconds"] / ds["seconds"],
        10,
        "x",
        detail,
        at_least=True,
    )


def part_products() -> None:
    ds = training()
    n_threads = max(1, round(ds["threads"]))
    if not ds["seen"]:  # too few cells for epochs by convergence
        return
    for n_cells, words in ((ds["seen"], "as many cells as it learnt from"), (N_REFERENCE, "one pass")):
        dense = min(ours("products", n_cells, n_threads)["seconds"] for _ in range(3))
        detail = f"{against(ds['seconds'], dense)}; {n_cells:,} cells, {n_threads} threads"
        title = f"all of the training / dense matrix products alone for {words}"
        report(title, ds["seconds"] / dense, 1, "x", detail)


def part_annotate() -> None:
    training()
    if not (HERE / "celltypist.pkl").exists():
        theirs("celltypist_train")
    ds, celltypist = by_turns(3, lambda: ours("annotate"), lambda: theirs("celltypist_annotate"))
    ratio, detail = celltypist["seconds"] / ds["seconds"], against(celltypist["seconds"], ds["seconds"])
    report(f"CellTypist's annotate / annotate, {N_QUERY:,} cells in memory", ratio, 10, "x", detail, at_least=True)
    for calls, words in (("raw", "every cell called"), ("called", "Unclassified as wrong")):
        gain = 100 * (ds[calls] - celltypist["raw"])
        detail = f"{ds[calls]:.4f} - {celltypist['raw']:.4f}"
        report(f"  accuracy less CellTypist's, {words}", gain, 0, " points", detail, at_least=True)


def part_store() -> None:
    training()
    found = ours("store")
    detail = against(found["annotate"], found["read"])
    report(f"annotate an h5ad of {N_QUERY:,} cells / reading its X", found["annotate"] / found["read"], 2, "x", detail)


def part_million() -> None:
    data()
    many, few = by_turns(2, lambda: ours("from_disk", N_MANY), lambda: ours("from_disk", N_REFERENCE))
    detail = against(many["seconds"], few["seconds"])
    title = f"a reference of {N_MANY:,} cells on disk, set_reference and train / one of {N_REFERENCE:,}"
    report(title, many["seconds"] / few["seconds"], 8, "x", detail)
    report("  peak memory of the process", many["megabytes"] / 1000, 1.5, " GB", f"{few['megabytes'] / 1000:.2f} GB")
    detail = f"{many['raw']:.4f} - {few['raw']:.4f}"
    report("  accuracy less that of the smaller", 100 * (many["raw"] - few["raw"]), 0, " points", detail, at_least=True)


def part_growth() -> None:
    training()
    for run, words in (("from_disk", "set_reference and train"), ("annotate_from_disk", "annotate")):
        found = {n: ours(run, n) for n in GROWTH}
        seconds = [found[n]["seconds"] for n in GROWTH]
        exponent = np.polyfit(np.log(GROWTH), np.log(seconds), 1)[0]
        detail = f"exponent {exponent:.3f}; " + ", ".join(
            f"{n:,}: {found[n]['seconds']:.1f} s, {found[n]['megabytes']:.0f} MB" for n in GROWTH
        )
        title = f"{words} from disk, {GROWTH[0]:,} to {N_MANY:,} cells: exponent of time, off 1 by"
        report(title, abs(exponent - 1), 0.05, "", detail)
        ratio = found[N_MANY]["megabytes"] / found[GROWTH[-3]]["megabytes"]
        report(f"  peak memory of {N_MANY:,} cells / of {GROWTH[-3]:,}", ratio, 1.1, "x")


def part_dask() -> None:
    training()
    one, two = by_turns(2, lambda: ours("dask", 1), lambda: ours("dask", 2))
    ratio, detail = one["seconds"] / two["seconds"], against(one["seconds"], two["seconds"])
    title = f"one Dask worker / two, each on a core of its own, annotating {N_MANY:,} cells to a file"
    report(title, ratio, 1.8, "x", detail, at_least=True)


def part_neighbours() -> None:
    training()
    found = min((ours("four") for _ in range(3)), key=lambda run: run["once"]["processor"] / run["row"]["processor"])
    row, once = found["row"], found["once"]
    detail = f"{against(once['processor'], row['processor'])}; it took {against(once['seconds'], row['seconds'])}"
    ratio = once["processor"] / row["processor"]
    report("four annotations at once / in a row, processor time", ratio, 1.2, "x", detail)
    alone = min(ours("from_disk", cells(20_000))["seconds"] for _ in range(2))
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BUSY * (os.cpu_count() or 1))]
    try:
        beside = ours("from_disk", cells(20_000))["seconds"]
    finally:
        for other in others:
            other.kill()
            other.wait()
    detail = against(beside, alone)
    report(f"training beside {len(others)} busy programs / alone", beside / alone, 6, "x", detail)


def part_markers() -> None:
    HERE.mkdir(parents=True, exist_ok=True)
    ds, scanpy = by_turns(2, lambda: ours("markers"), lambda: theirs("scanpy_markers"))
    ratio, detail = scanpy["seconds"] / ds["seconds"], against(scanpy["seconds"], ds["seconds"])
    title = f"scanpy's rank_genes_groups / the same markers, Wilcoxon, {N_MARKERS:,} cells, 15 labels"
    report(title, ratio, 5, "x", detail, at_least=True)
    same = np.mean([len({*ds["top"][label]} & {*top}) / len(top) for label, top in scanpy["top"].items()])
    report("  the same 20 top genes", 100 * same, 99, " %", at_least=True)


PARTS = {
    "train": part_train,
    "products": part_products,
    "annotate": part_annotate,
    "store": part_store,
    "million": part_million,
    "growth": part_growth,
    "dask": part_dask,
    "neighbours": part_neighbours,
    "markers": part_markers,
}

if __name__ == "__main__":
    main(PARTS, globals())
