"""Where DeepScore errs in a task: `python errors.py TASKS TASK [SEED]` prints accuracy by depth and by label, and what
the errors have in common with those that a model of the paired RNA makes.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from catalog import discover
from report import markdown
from run import result
from tasks import UNCLASSIFIED, Task, read_tasks

DEPTHS = ("lowest quarter", "second", "third", "highest quarter")
UNKNOWN = "no paired data"


def cells_of(path: Path, task: Task, seed: str) -> pd.DataFrame:
    """Return for each scored cell its label, its calls by DeepScore and by the paired RNA, and its depth."""
    found = {}
    for name in ("deepscore", "ceiling_rna"):
        found[name] = result(path, task, discover()[name], Path(sys.executable), seed)
        if "error" in found[name] and (name == "deepscore" or UNKNOWN not in found[name]["error"]):
            sys.exit(f"{name}: {found[name]['error']}")
    query, truth = task.query()
    counts = task.query_peaks(query) if "query_peaks" in task.entry else query
    calls = found["ceiling_rna"].get("calls")
    cells = pd.DataFrame({"label": truth, "call": found["deepscore"]["calls"], "by_rna": calls})
    cells["total"] = np.asarray(counts.X.sum(axis=1)).ravel()
    cells = cells[cells["label"].isin(found["deepscore"]["labels"])].reset_index(drop=True)
    cells["depth"] = pd.qcut(cells["total"].rank(method="first"), len(DEPTHS), labels=DEPTHS)
    cells["right"] = cells["call"] == cells["label"]
    cells["rna_right"] = cells["by_rna"] == cells["label"] if calls else np.nan
    return cells


def by_depth(cells: pd.DataFrame) -> pd.DataFrame:
    groups = cells.groupby("depth", observed=True)
    totals = groups["total"].agg(lambda values: f"{values.min():.0f} to {values.max():.0f}")
    return summary(groups).assign(counts=totals).reset_index()


def by_label(cells: pd.DataFrame, reference: pd.Series) -> pd.DataFrame:
    """Return the accuracy of each label (its recall), the most frequent of the reference first."""
    table = summary(cells.groupby("label"))
    table.insert(0, "in the reference", reference.value_counts().reindex(table.index))
    return table.sort_values("in the reference", ascending=False).reset_index()


def summary(groups: object) -> pd.DataFrame:
    table = groups[["right", "rna_right"]].mean().astype(float)
    table = table.set_axis(["accuracy", "accuracy of the paired RNA"], axis=1)
    table.insert(0, "cells", groups.size())
    return table


def explained(cells: pd.DataFrame) -> pd.DataFrame:
    """Divide the errors; a cell counts in the first line that fits."""
    wrong = cells[~cells["right"]]
    rna_wrong, called = wrong["rna_right"].eq(False), wrong["call"].ne(UNCLASSIFIED)
    lines = {
        "paired RNA gives the same other label": rna_wrong & wrong["by_rna"].eq(wrong["call"]) & called,
        "paired RNA is wrong as well": rna_wrong,
        "depth in the lowest quarter": wrong["depth"] == DEPTHS[0],
        "depth in the second quarter": wrong["depth"] == DEPTHS[1],
        "none of these": pd.Series(True, wrong.index),
    }
    first = pd.DataFrame(lines).idxmax(axis=1) if len(wrong) else pd.Series(dtype=str)
    counts = first.value_counts().reindex(list(lines), fill_value=0)
    share = counts / max(len(wrong), 1)
    return pd.DataFrame({"what explains an error": counts.index, "errors": counts.values, "share": share.values})


def main(tasks: str, name: str, seed: str = "0") -> None:
    path = Path(tasks).resolve()
    task = next(task for task in read_tasks(path) if task.name == name)
    cells = cells_of(path, task, seed)
    print(f"# {name}: {(~cells['right']).sum()} errors in {len(cells)} cells, accuracy {cells['right'].mean():.3f}")
    for table in (by_depth(cells), by_label(cells, task.reference().obs["label"]), explained(cells)):
        print(f"\n{markdown(table)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
