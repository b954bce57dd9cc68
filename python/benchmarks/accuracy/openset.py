"""How well unknown types are seen, where each label of each task is unknown in turn: ``make bench-openset``.

TASKS=path/to/tasks.toml  ONLY=regex  LIMIT=labels of each task
METHODS=comma,list  SEEDS=0  PEERS=fresh  JOBS=1  OUT=folder
"""

import os
from collections import Counter
from pathlib import Path

import pandas as pd
from chromatin_tasks import linked, write_tasks
from report import OPEN, PRODUCT, failures, machine, markdown, save, table_of
from run import chosen_methods, chosen_tasks, measure
from tasks import ROOT, Task, read_tasks, tasks_file

OUT = Path(os.environ.get("OUT") or ROOT / "bench-output" / "openset")
CASES = ROOT / ".bench" / "openset"
METHODS = (PRODUCT, "lr_refz", "lr_ownz", "knn_distance", "knn_cosine", "singler", "celltypist")
LEAST_CELLS, LEAST_SHARE, MOST_SHARE = 15, 0.02, 0.5  # of the query that are of the unknown label
LEAST_LABELS = 2  # that remain in the reference


def withheld(task: Task, limit: int = 0) -> list[dict]:
    """Return a task for each label that the reference of a closed task can be without; `limit`: the commonest ones."""
    if task.open_set or task.modality == "activity" or "bridge" in task.entry:
        return []
    labels, (_, truth) = sorted(set(task.reference().obs["label"])), task.query()
    column, where = task.entry["label"], task.entry.get("reference_where", {})
    cases = []
    for label, cells in Counter(truth).most_common(None if len(labels) > LEAST_LABELS else 0):
        if label in labels and cells >= LEAST_CELLS and LEAST_SHARE <= cells / len(truth) <= MOST_SHARE:
            remain = {"reference_where": where | {column: [other for other in labels if other != label]}}
            name = f"{task.name}_without_{label.replace('/', '-')}"
            cases.append(task.entry | {"name": name, "kind": "open-set", **remain})
    return cases[: limit or None]


def by_family(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the means over the cases of each family of data, and over all, for each method."""
    cases = runs.groupby(["family", "task", "method"], sort=False)[OPEN].mean().dropna(subset="auroc").reset_index()
    parts = [*cases.groupby("family", sort=False), ("**all**", cases)]
    tables = []
    for family, part in parts:
        by_method = part.groupby("method", sort=False)
        tables.append(by_method[OPEN].mean().reset_index())
        tables[-1].insert(0, "family", family)
        tables[-1].insert(2, "cases", by_method.size().to_numpy())
    return pd.concat(tables, ignore_index=True)


def leads(means: pd.DataFrame) -> pd.DataFrame:
    """Return DeepScore's mean AUROC beside that of the best peer of each family."""
    lines = []
    for family, part in means.groupby("family", sort=False):
        peers, own = part[part["method"] != PRODUCT], part[part["method"] == PRODUCT]
        if len(peers) and len(own):
            best = peers.loc[peers["auroc"].idxmax()]
            line = {"family": family, "cases": own["cases"].iloc[0], "DeepScore": own["auroc"].iloc[0]}
            line |= {"best peer": best["auroc"], "which": best["method"]}
            lines.append(line | {"AUROC less best peer": line["DeepScore"] - line["best peer"]})
    return pd.DataFrame(lines)


def every_case(runs: pd.DataFrame) -> str:
    """Return the AUROC of each method, case by case, and what DeepScore called Unclassified."""
    table = runs.pivot_table(values="auroc", index="task", columns="method", sort=False)
    own = runs[runs["method"] == PRODUCT].groupby("task")[["unclassified_unknown", "unclassified_known"]].mean()
    return markdown(table.join(own).reset_index())


def main() -> None:
    path = tasks_file()
    cases = [case for task in read_tasks(path) for case in withheld(task, int(os.environ.get("LIMIT") or 0))]
    CASES.mkdir(parents=True, exist_ok=True)
    for file in {path.parent / case[name] for case in cases for name in ("reference", "query")}:
        linked(file, CASES / file.name)
    file = write_tasks(cases, CASES)
    os.environ.setdefault("SEEDS", "0")
    runs = table_of(measure(file, chosen_tasks(file), chosen_methods(METHODS)))
    parts = ["# Unknown types", machine(), "Each label of each closed task is left out of the reference in turn."]
    if runs["auroc"].notna().any():
        means = by_family(runs)
        parts += ["## By family of data", markdown(leads(means)), markdown(means)]
        parts += ["## Every case", "AUROC of each method; the rest is of DeepScore.", every_case(runs)]
    save([*parts, failures(runs)], runs, OUT, "openset")


if __name__ == "__main__":
    main()
