"""Run one method on one task in this process; `python one.py TASKS TASK METHOD OUT [SEED]` writes a JSON file."""

import dataclasses
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
from catalog import discover
from tasks import UNCLASSIFIED, Task, read_tasks


def through_bridge(
    transfer: Callable, reference: ad.AnnData, bridge: tuple[ad.AnnData, ad.AnnData], query: ad.AnnData, task: Task
) -> tuple:
    """Label the RNA of the bridge, then learn from its peaks with the labels that were given."""
    rna, atac = bridge
    calls, *_ = transfer(reference, rna, dataclasses.replace(task, entry=task.entry | {"modality": "rna"}))
    atac.obs["label"] = np.asarray(calls, dtype=str)
    return transfer(atac[atac.obs["label"] != UNCLASSIFIED].copy(), query, task)


def permuted(in_order: Callable, n_cells: int) -> list[str]:
    """Return the calls of the query's cells, in their order, after they were annotated in another one."""
    order = np.random.default_rng(0).permutation(n_cells)
    return np.asarray(in_order(order), dtype=str)[np.argsort(order)].tolist()


def peak_megabytes() -> float:
    """Return the most resident memory this process has had; ru_maxrss would count its parent's as well."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def main(tasks: str, task_name: str, method_name: str, out: str, *seed: str) -> None:
    task = next(task for task in read_tasks(Path(tasks)) if task.name == task_name)
    method = discover()[method_name]
    module = importlib.import_module(f"methods.{method.file.stem}")
    options = method.options | ({"seed": int(seed[0])} if seed else {})

    def transfer(reference: ad.AnnData, query: ad.AnnData, task: Task) -> tuple:
        return module.transfer(reference, query, task, **options)

    def bridged(reference: ad.AnnData, bridge: tuple[ad.AnnData, ad.AnnData], query: ad.AnnData, task: Task) -> tuple:
        if hasattr(module, "bridge"):  # a way of its own
            return module.bridge(reference, bridge, query, task, **options)
        return through_bridge(transfer, reference, bridge, query, task)

    reference, (query, truth), bridge = task.reference(), task.query(), task.bridge()
    labels = sorted(set(reference.obs["label"]))
    start = time.perf_counter()
    if bridge:
        calls, confidence, *own = bridged(reference, bridge, query, task)
    else:
        calls, confidence, *own = transfer(reference, query, task)
    measured = {"seconds": time.perf_counter() - start, "megabytes": peak_megabytes()}
    result = {"calls": np.asarray(calls, dtype=str).tolist(), "confidence": np.asarray(confidence, float).tolist()}
    assert len(result["calls"]) == len(result["confidence"]) == len(truth)
    more = dict(*own)
    if in_order := more.pop("in_order", None):
        more["permuted"] = permuted(in_order, len(truth))
    Path(out).write_text(json.dumps(result | {"truth": truth, "labels": labels} | measured | more))


if __name__ == "__main__":
    main(*sys.argv[1:])
