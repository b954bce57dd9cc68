"""The laws of a call as figures, on real data: ``make bench-laws``.

TASKS=path/to/tasks.toml  ONLY=regex  SEEDS=0  OUT=folder
"""

import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from methods.deepscore import best_labels, trained
from report import machine, markdown, save
from tasks import ROOT, UNCLASSIFIED, Task, read_tasks, tasks_file

from deepscore.errors import DeepScoreError

OUT = Path(os.environ.get("OUT") or ROOT / "bench-output" / "laws")
USUAL = (  # of each kind of data, several where studies differ most
    "pbmc3k_to_kang",
    "symphony_to_pbmc3k",
    "pbmc3k_to_zheng_sorted",
    "panc8_loo_indrop",
    "baron_human_to_mouse",
    "snare_rna_holdout",
    "starmap_left_to_right",
    "hypo_to_merfish",
    "kidney_holdout",
    "bladder_holdout",
    "cite_control_to_cite_stim",
    "snare_peaks_holdout",
)
ISLETS = ("baron_cider.h5ad", ("alpha", "beta", "delta", "activated_stellate"))
BLOOD = ("pbmc3k.h5ad", ("B", "CD4 T", "CD8 T", "NK", "CD14 Mono", "CD16 Mono", "DC", "MK"))
FOREIGN = {"blood": ISLETS, "islets": BLOOD, "cortex": BLOOD, "hypothalamus": ISLETS}  # of each family of data
LEAST_GENES = 50  # in common with foreign cells
MOST_CELLS = 2000  # of a query
SURE = 0.9  # score
SORTED, FEW, DRAWS = 100, 10, 20  # cells of a sorted query, of a small one, and how many of these

# Of each figure: the number of the law, and what it must reach.
BOUNDS = {
    "permuted cells: equal calls": (1, ">=", 1.0),
    "permuted cells: largest difference of scores": (1, "<=", 1e-6),
    "permuted genes: equal calls": (1, ">=", 1.0),
    "permuted genes: largest difference of scores": (1, "<=", 1e-6),
    "x 2: calls changed": (3, "<=", 0.01),
    "x 3: calls changed": (3, "<=", 0.01),
    "x 5: calls changed": (3, "<=", 0.01),
    "half: sure calls that become another label": (4, "<=", 0.001),
    "sorted, worst label: accuracy less that of refine=False": (4, ">=", -0.01),
    "10 cells: sure calls that become another label": (4, "<=", 0.001),
    "10 cells: accuracy less that of refine=False": (4, ">=", -0.01),
    "whole: right labels withheld": (5, "<=", 0.05),
    "whole: warned": (6, "", np.nan),
    "sorted, worst label: right labels withheld": (5, "<=", 0.05),
    "10 cells: right labels withheld": (5, "<=", 0.05),
    "a tenth foreign: foreign Unclassified": (6, ">=", 0.9),
    "a tenth foreign: native sure calls that become another label": (4, "<=", 0.001),
    "a tenth foreign: native calls changed": (4, "", np.nan),
    "a tenth foreign: warned": (6, "", np.nan),
    "half foreign: foreign Unclassified": (6, ">=", 0.9),
    "half foreign: native sure calls that become another label": (4, "<=", 0.001),
    "half foreign: native calls changed": (4, "", np.nan),
    "half foreign: warned": (6, "", np.nan),
    "all foreign: Unclassified": (6, ">=", 0.9),
    "all foreign: warned": (6, ">=", 1.0),
    "noise: Unclassified": (6, ">=", 0.9),
    "noise: warned": (6, ">=", 1.0),
    "shuffled gene names: Unclassified": (6, ">=", 0.9),
    "shuffled gene names: warned": (6, ">=", 1.0),
}


@dataclass(frozen=True)
class Found:
    """An annotation: of each cell its call, score and best label; and the warnings, without their numbers."""

    calls: np.ndarray
    scores: np.ndarray
    best: np.ndarray
    told: frozenset[str]

    @property
    def unclassified(self) -> np.ndarray:
        return self.calls == UNCLASSIFIED

    def at(self, cells: np.ndarray) -> "Found":
        return Found(self.calls[cells], self.scores[cells], self.best[cells], self.told)

    def changed(self, other: "Found") -> float:
        return float((self.calls != other.calls).mean())

    def overturned(self, other: "Found") -> float:
        """Return the share of cells whose sure call is another label there."""
        sure = ~self.unclassified & (self.scores >= SURE)
        return float((sure & (self.calls != other.calls) & ~other.unclassified).mean())

    def withheld(self, truth: np.ndarray) -> float:
        """Return the share of cells whose best label is right and that are Unclassified."""
        return float((self.unclassified & (self.best == truth)).mean())


Annotate = Callable[..., Found]
Figures = Iterator[tuple[str, float]]


def annotator(model: object) -> Annotate:
    """Return a function from a query, and options of the verb, to what is found."""

    def annotate(query: ad.AnnData, **options: object) -> Found:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = model.annotate(query.copy(), probabilities=True, **options)
        told = frozenset(re.sub(r"\d[\d.,%]*", "#", str(one.message)) for one in caught if one.category is UserWarning)
        best = best_labels(found)
        scores = found.obs["deepscore_score"].to_numpy(float)
        return Found(found.obs["deepscore"].to_numpy(str), scores, best, told)

    return annotate


def order(annotate: Annotate, query: ad.AnnData, whole: Found, rng: np.random.Generator) -> Figures:
    cells, genes = rng.permutation(query.n_obs), rng.permutation(query.n_vars)
    orders = {"cells": (query[cells], whole.at(cells)), "genes": (query[:, genes], whole)}
    for name, (other, same) in orders.items():
        found = annotate(other)
        yield f"permuted {name}: equal calls", 1 - same.changed(found)
        yield f"permuted {name}: largest difference of scores", float(np.abs(same.scores - found.scores).max())


def copies(annotate: Annotate, query: ad.AnnData, whole: Found) -> Figures:
    for k in (2, 3, 5):
        many = ad.concat([query] * k, index_unique="-")
        yield f"x {k}: calls changed", whole.at(np.tile(np.arange(query.n_obs), k)).changed(annotate(many))


def halves(annotate: Annotate, query: ad.AnnData, whole: Found, rng: np.random.Generator) -> Figures:
    parts = np.array_split(rng.permutation(query.n_obs), 2)
    found = [len(part) * whole.at(part).overturned(annotate(query[part])) for part in parts]
    yield "half: sure calls that become another label", sum(found) / query.n_obs


def one_type(annotate: Annotate, query: ad.AnnData, truth: np.ndarray, labels: set[str]) -> Figures:
    """Sort the query: each label with many cells is a query by itself."""
    names, counts = np.unique(truth, return_counts=True)
    lines = []
    for label in names[(counts >= SORTED) & np.isin(names, list(labels))]:
        of_label = truth == label
        alone, each = (annotate(query[of_label], refine=refine) for refine in (True, False))
        lines.append([(alone.calls == label).mean() - (each.calls == label).mean(), alone.withheld(truth[of_label])])
    if lines:
        yield "sorted, worst label: accuracy less that of refine=False", min(lead for lead, _ in lines)
        yield "sorted, worst label: right labels withheld", max(lost for _, lost in lines)


def few(annotate: Annotate, query: ad.AnnData, truth: np.ndarray, whole: Found, rng: np.random.Generator) -> Figures:
    """Take a few cells at a time."""
    lines = []
    for _ in range(DRAWS):
        cells = np.sort(rng.choice(query.n_obs, FEW, replace=False))
        alone, each = (annotate(query[cells], refine=refine) for refine in (True, False))
        lead = (alone.calls == truth[cells]).mean() - (each.calls == truth[cells]).mean()
        lines.append([whole.at(cells).overturned(alone), lead, alone.withheld(truth[cells])])
    overturned, lead, lost = np.mean(lines, axis=0)
    yield f"{FEW} cells: sure calls that become another label", overturned
    yield f"{FEW} cells: accuracy less that of refine=False", lead
    yield f"{FEW} cells: right labels withheld", lost


def company(annotate: Annotate, native: ad.AnnData, foreign: ad.AnnData, rng: np.random.Generator) -> Figures:
    """Mix cells of another tissue in; both have the same genes."""
    for name, share in (("a tenth", 0.1), ("half", 0.5)):
        n = min(native.n_obs, int(foreign.n_obs * (1 - share) / share))
        own = native[np.sort(rng.choice(native.n_obs, n, replace=False))]
        others = foreign[np.sort(rng.choice(foreign.n_obs, round(n * share / (1 - share)), replace=False))]
        alone, mixed = annotate(own), annotate(ad.concat([own, others], index_unique="-"))
        inside = mixed.at(np.arange(n))
        yield f"{name} foreign: foreign Unclassified", float(mixed.unclassified[n:].mean())
        yield f"{name} foreign: native sure calls that become another label", alone.overturned(inside)
        yield f"{name} foreign: native calls changed", alone.changed(inside)
        yield f"{name} foreign: warned", float(bool(mixed.told - alone.told))


def absence(
    name: str, annotate_of: Callable[[ad.AnnData], Annotate], query: ad.AnnData, usual: frozenset[str]
) -> Figures:
    """Annotate a query that has nothing of the reference; to refuse it is as well.

    The warnings that the native query has, too, do not count.
    """
    try:
        found = annotate_of(query)(query)
        unclassified, warned = found.unclassified.mean(), bool(found.told - usual)
    except DeepScoreError:
        unclassified, warned = 1, True
    yield f"{name}: Unclassified", float(unclassified)
    yield f"{name}: warned", float(warned)


def noise(query: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
    """Return Poisson counts as deep as the query, alike in all genes."""
    values = rng.poisson(query.X.mean(), query.shape).astype(np.float32)
    return ad.AnnData(sp.csr_matrix(values), obs=query.obs[[]], var=query.var[[]])


def shuffled(query: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
    query = query.copy()
    query.var_names = rng.permutation(query.var_names.to_numpy())
    return query


def in_common(query: ad.AnnData, foreign: ad.AnnData) -> tuple[ad.AnnData, ad.AnnData] | None:
    """Return both with the genes they share, in whatever case they are written, as the query names them."""
    names = pd.Series(query.var_names, index=query.var_names.str.upper())
    names = names[~names.index.duplicated()]
    genes = foreign.var_names.str.upper()
    kept = genes.isin(names.index) & ~genes.duplicated()
    if kept.sum() < LEAST_GENES:
        return None
    foreign = foreign[:, kept].copy()
    foreign.var_names = names[genes[kept]].to_numpy()
    return query[:, foreign.var_names].copy(), foreign


def foreign_cells(task: Task, rng: np.random.Generator) -> ad.AnnData | None:
    """Return cells of a tissue that has no type of the task's, or None."""
    file, labels = FOREIGN.get(task.family, ("", ()))
    if not (task.folder / file).is_file():
        return None
    data = ad.read_h5ad(task.folder / file)
    return sample(data[data.obs["label"].isin(labels).to_numpy()], rng)[0]


def sample(data: ad.AnnData, rng: np.random.Generator) -> tuple[ad.AnnData, np.ndarray]:
    """Return at most MOST_CELLS cells, without what is said of them, and which these are."""
    cells = np.sort(rng.permutation(data.n_obs)[:MOST_CELLS])
    return ad.AnnData(sp.csr_matrix(data.X[cells]), obs=data.obs.iloc[cells][[]], var=data.var[[]]), cells


def figures(task: Task, seed: int) -> Figures:
    """Return every figure of a task; of the query as one sample."""
    rng = np.random.default_rng(seed)
    reference, (query, truth) = task.reference(), task.query()
    query, cells = sample(query, rng)
    truth = np.asarray(truth)[cells]

    def annotate_of(query: ad.AnnData) -> Annotate:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of labels with few cells
            return annotator(trained(reference, query, task, seed))

    annotate = annotate_of(query)
    whole = annotate(query)
    yield from order(annotate, query, whole, rng)
    yield from copies(annotate, query, whole)
    yield from halves(annotate, query, whole, rng)
    yield from one_type(annotate, query, truth, set(reference.obs["label"]))
    yield from few(annotate, query, truth, whole, rng)
    yield "whole: right labels withheld", whole.withheld(truth)
    yield "whole: warned", float(bool(whole.told))
    strangers = {"noise": noise(query, rng), "shuffled gene names": shuffled(query, rng)}
    foreign = foreign_cells(task, rng)
    if foreign is not None and (pair := in_common(query, foreign)):
        yield from company(annotate_of(pair[0]), *pair, rng)
        strangers["all foreign"] = pair[1]
    for name, stranger in strangers.items():
        yield from absence(name, annotate_of, stranger, whole.told)


def kept(figure: str, value: float) -> bool:
    """Return whether a figure keeps its law; one without a bound does."""
    _, sign, bound = BOUNDS[figure]
    return {"<=": value <= bound + 1e-12, ">=": value >= bound - 1e-12}.get(sign, True)


def table(found: pd.DataFrame) -> pd.DataFrame:
    """Return a line for each figure: its law and bound, how many tasks keep it, and its value in each task."""
    lines = []
    for figure, (law, sign, bound) in BOUNDS.items():
        values = found[found["figure"] == figure].set_index("task")["value"]
        if len(values):
            of = f"{sum(kept(figure, value) for value in values)}/{len(values)}" if sign else ""
            line = {"law": str(law), "figure": figure, "bound": f"{sign} {bound:g}" if sign else "", "kept": of}
            lines.append(line | {task: f"{value:.2g}" for task, value in values.items()})
    return pd.DataFrame(lines).fillna("")


def main() -> None:
    path, only = tasks_file(), os.environ.get("ONLY")
    tasks = [task for task in read_tasks(path) if (re.search(only, task.name) if only else task.name in USUAL)]
    if not tasks:
        sys.exit(f"No task of {path} has a name that matches {only or ' or '.join(USUAL)}.")
    rows = []
    for task in tasks:
        for seed in map(int, (os.environ.get("SEEDS") or "0").split(",")):
            for figure, value in figures(task, seed):
                rows.append({"task": task.name, "seed": seed, "figure": figure, "value": value})
                print(f"{task.name} {seed}: {figure} {value:.3g}{'' if kept(figure, value) else ' BROKEN'}", flush=True)
    found = pd.DataFrame(rows)
    note = "Shares of cells, and differences of them; the mean over seeds. The query is one sample."
    mean = found.groupby(["task", "figure"], sort=False)["value"].mean().reset_index()
    save(["# Laws of a call", machine(), note, markdown(table(mean))], found, OUT, "laws")


if __name__ == "__main__":
    main()
