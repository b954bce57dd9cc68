"""Measure how accurate DeepScore is, and how long it learns, by the size of the reference: ``make bench-size``.

The references are a simulated atlas (simulated.py) of 1,000 to 1,000,000 cells on disk, with a query of another batch,
and the largest reference of each file of the tasks that TASKS=tasks.toml lists, of which cells are drawn without
replacement by three seeds. Writes bench-output/size.csv and python/docs/images/size.png. ``python size.py NAME...``
measures only the named parts ("atlas", "tasks") and keeps the other rows of the table; SIZE=small has a twentieth of
the cells, and draws no picture.
"""

import os
import sys
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from measuring import OUT, main, measure
from simulated import query, reference

sys.path.append(str(Path(__file__).parent / "accuracy"))

SMALL = os.environ.get("SIZE") == "small"
TABLE = OUT / ("size-small.csv" if SMALL else "size.csv")
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "size.png"
SIZES = [n // 20 if SMALL else n for n in (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)]
N_QUERY = SIZES[-1] // 50
N_TASKS, SEEDS = 5, (0, 1, 2)
ATLAS = "simulated atlas"


# ----------------------------------------------------------------------- what is measured, each in a process of its own


def run_atlas(n_cells: str) -> dict:
    import deepscore

    path, of_query = reference(int(n_cells)), query(N_QUERY)
    features = deepscore.find_common_features(path, of_query)
    return measured(path, ad.read_h5ad(of_query), features=features)


def run_task(name: str, n_cells: str, seed: str) -> dict:
    from tasks import read_tasks, tasks_file

    task = next(task for task in read_tasks(tasks_file()) if task.name == name)
    whole, (cells, truth) = task.reference(), task.query()
    chosen = np.random.default_rng(int(seed)).choice(whole.n_obs, int(n_cells), replace=False)
    cells.obs["label"] = truth
    return measured(whole[np.sort(chosen)].copy(), cells, seed=int(seed), task=task)


def measured(learn_from, cells: ad.AnnData, *, features=None, task=None, seed: int = 0) -> dict:
    """Train and annotate; tell what became of the query's cells, and how long training took."""
    import torch  # noqa: F401 - loaded before the clock starts

    import deepscore

    if task is not None and task.modality != "peaks":
        kind = "protein" if task.modality == "protein" else None
        n_features = min(2000, learn_from.var_names.isin(cells.var_names).sum())
        features = deepscore.find_common_features(learn_from, cells, n_features=n_features, modality=kind)
    modality = None if task is None or task.modality != "protein" else task.modality
    start = time.perf_counter()
    ds = deepscore.DeepScore(common_features=features, seed=seed)
    ds.set_reference(learn_from, "label", modality=modality).train(progress=False)
    seconds = time.perf_counter() - start
    ds.annotate(cells, batch="batch" if "batch" in cells.obs else None)
    known = cells.obs[cells.obs["label"].astype(str).isin(ds.manifest["labels"]).to_numpy()]
    is_right = known["deepscore_raw"].astype(str) == known["label"].astype(str)
    withheld = known["deepscore"].astype(str) == "Unclassified"
    reasons = known["deepscore_reason"].astype(str)[is_right & withheld].value_counts() / len(known)
    return {
        "raw": float(is_right.mean()),
        "called": float((known["deepscore"].astype(str) == known["label"].astype(str)).mean()),
        "seconds": seconds,
        "held_out": ds.manifest["training"]["held_out"]["accuracy"],
        "right_withheld": {reason: float(share) for reason, share in reasons.items()},
    }


# ------------------------------------------------------------------------------------------------------------ report


def ours(*words: object) -> dict:
    return measure(sys.executable, __file__, "run", *map(str, words))


def part_atlas() -> None:
    for n_cells in SIZES:
        keep(ATLAS, n_cells, 0, ours("atlas", n_cells))


def part_tasks() -> None:
    largest = largest_references()
    for seed in SEEDS:
        for name, n_cells in largest.items():
            for size in [*(size for size in SIZES if size < 0.8 * n_cells), n_cells]:
                keep(name, size, seed, ours("task", name, size, seed))


def largest_references() -> dict[str, int]:
    """Return the tasks whose references have most labelled cells, one of each file, and how many."""
    from tasks import read_tasks, tasks_file

    found: dict[str, tuple[int, str]] = {}
    for task in read_tasks(tasks_file()):
        if not task.open_set and "bridge" not in task.entry:
            most = (task.reference().n_obs, task.name)
            found[task.entry["reference"]] = max(most, found.get(task.entry["reference"], most))
    return {name: n_cells for n_cells, name in sorted(found.values(), reverse=True)[:N_TASKS]}


def keep(name: str, n_cells: int, seed: int, found: dict) -> None:
    """Put a row into the table, in the place of an earlier one."""
    row = {"data": name, "cells": n_cells, "seed": seed, **found}
    row["right_withheld"] = "; ".join(f"{reason} {share:.4f}" for reason, share in found["right_withheld"].items())
    print(f"{name}, {n_cells:,} cells, seed {seed}: ", end="")
    print(f"{found['raw']:.4f}, called {found['called']:.4f}, {found['seconds']:.1f} s", flush=True)
    table = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame(columns=list(row))
    others = table[(table["data"] != name) | (table["cells"] != n_cells) | (table["seed"] != seed)]
    pd.DataFrame([*others.to_dict("records"), row]).to_csv(TABLE, index=False)
    if not SMALL:
        draw(pd.read_csv(TABLE))


def draw(table: pd.DataFrame) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (simulated, tasks, time_axis) = plt.subplots(1, 3, figsize=(13, 4.5), layout="constrained")
    mean = table.groupby(["data", "cells"])[["raw", "called", "seconds"]].mean().reset_index()
    for number, (name, rows) in enumerate(mean.groupby("data", sort=False)):
        axes, colour = (simulated, "black") if name == ATLAS else (tasks, f"C{number}")
        axes.plot(rows["cells"], rows["raw"], "o-", color=colour)
        axes.plot(rows["cells"], rows["called"], "o:", color=colour)
        time_axis.plot(rows["cells"], rows["seconds"], "o-", color=colour, label=name)
    for axes in (simulated, tasks):
        axes.set(ylabel="accuracy", title="solid: every cell called; dotted: Unclassified as wrong")
        axes.title.set_fontsize(9)
    time_axis.set(yscale="log", ylabel="set_reference and train, seconds")
    time_axis.yaxis.set_major_formatter("{x:g}")
    time_axis.yaxis.set_minor_formatter("{x:g}")
    for axes in (simulated, tasks, time_axis):
        axes.set(xscale="log", xlabel="cells of the reference")
    figure.legend(loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=110)
    plt.close(figure)


PARTS = {"atlas": part_atlas, "tasks": part_tasks}

if __name__ == "__main__":
    main(PARTS, globals())
