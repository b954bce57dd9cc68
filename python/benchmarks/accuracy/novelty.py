"""Teach the chances of :mod:`deepscore.query.novelty`: ``make bench-novelty``. TASKS=path ONLY=regex JOBS=1 OUT=folder

Known cells are those of the closed tasks, and of each of their labels alone. Unknown types are labels withheld from the
reference in turn (openset.py). Foreign are other tissues, noise and shuffled names. Two logistic regressions are fitted
on what the engine finds in them, every case with the same weight; printed as they stand in query/settings.py. The table
says what they find in each family of data when taught by the others; where these have too little to teach, what the
engine's own regressions find.
"""

import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from laws import ISLETS, in_common, noise, sample, shuffled
from methods.deepscore import sample_of, trained
from openset import withheld
from report import machine, markdown, save
from run import chosen_tasks
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from tasks import FAMILIES, ROOT, Task, tasks_file

from deepscore.data.linalg import Codes
from deepscore.interfaces.readers import open_source
from deepscore.query.align import align
from deepscore.query.cells import QueryCells
from deepscore.query.neighbours import Neighbourhoods, Space
from deepscore.query.novelty import Evidence
from deepscore.query.sample import Sample
from deepscore.query.scales import CellByCell
from deepscore.query.settings import SETTINGS
from deepscore.query.view import read_by_scales

OUT = Path(os.environ.get("OUT") or ROOT / "bench-output" / "novelty")
TISSUES = {  # a file of each family of genes, and the labels that only this tissue has
    "blood": ("pbmc3k.h5ad", ("B", "CD4 T", "CD8 T", "NK", "CD14 Mono", "CD16 Mono", "MK")),
    "islets": ISLETS,
    "cortex": ("snare_rna.h5ad", ("L2/3", "L4/5", "L6", "Astro", "Oligo", "Pvalb", "Sst", "Clau", "CGE", "Npy", "OPC")),
    "hypothalamus": ("hypo_ref.h5ad", ("Inhibitory", "Excitatory", "Astrocyte", "Ependymal", "OD Mature 2")),
}
BRAIN = {"cortex", "hypothalamus"}  # not foreign to each other, and left out together
FOREIGN = "foreign"  # the label of every cell of a foreign query
LEAST_GENES = 120
SORTED, MOST_SORTED = 60, 700  # cells of a query of one type
MOST_CELLS = 500  # of a case that the regressions are taught
# Share of the unknown cells that no profile tells from a known type (a subtype, say): to learn them as unknown would
# teach to doubt every cell.
ALIKE, ROUNDS = 0.2, 3
# Of a case beside another: to call a whole study foreign by mistake costs more than to miss a foreign one.
WEIGHTS = {"closed": 10.0}
NATIVE = ["unexplained", "raised", "agreement"]
USUAL = ["unexplained", "likeness", "order"]


def evidence(sample: Sample, truth: np.ndarray, **said: object) -> pd.DataFrame:
    """Return what the engine finds in a query, a row for each of up to MOST_CELLS cells."""
    model, batches = sample.model, sample.batches
    space = Space.of(sample.x, batches, sample.n_batches, whole=True)
    _, alone, ranked, calls = read_by_scales(sample, space)
    evident = Evidence.of(sample, space, alone, ranked, calls, SETTINGS.novelty)
    in_view, _ = Neighbourhoods.of(space, alone, np.ones(len(alone))).reweigh(alone, None, batches)
    table = pd.DataFrame({name: getattr(evident, name) for name in dict.fromkeys(NATIVE + USUAL)})
    table["known"] = np.isin(truth, model.labels)
    # Batches of one type are read cell by cell, unless the query is foreign.
    half, by_itself = np.full(len(in_view), 0.5), CellByCell.of(sample, in_view)
    read, known = in_view, half
    if by_itself is not None:
        read, known = by_itself.beside(in_view, half, model, sample.x, batches, sample.measured)
    table["power"] = np.log(known) / np.log(half)  # of the chance that a cell's type is known
    for name, found in (("native", read), ("foreign", in_view)):
        table[f"score_if_{name}"] = found.max(axis=1)
        table[f"right_if_{name}"] = model.label_names[found.argmax(axis=1)] == truth
    medians = table[NATIVE].median().add_prefix("median_")
    table = table.assign(**medians, **{f"{name}_away": table[name] - table[name].median() for name in USUAL}, **said)
    return table.sample(min(len(table), MOST_CELLS), random_state=0)


def looked_at(reference: ad.AnnData, query: ad.AnnData, task: Task, truth: np.ndarray) -> tuple[Sample, np.ndarray]:
    """Train on a reference; return the cells of a query as the model sees them, and their labels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = trained(reference, query, task, 0)._model
        batch = query.obs["batch"].to_numpy(object) if sample_of(query) else None
        source = open_source(query, modality="protein" if task.modality == "protein" else None)
        cells = QueryCells.read(align(model, source.blocks, batch, min_overlap=0.0))
    found = Sample.of(cells, copies=True)
    return found, truth[found.rows]


def subset(query: Sample, rows: Codes) -> Sample:
    """Return some cells of a sample as a query by themselves."""
    kept, batches = np.unique(query.batches[rows], return_inverse=True)
    measured = query.measured if len(query.measured) == 1 else query.measured[kept]
    cells = {"x": query.x[rows], "rows": query.rows[rows], "of_cells": np.arange(len(rows))}
    return replace(query, **cells, batches=batches, n_batches=len(kept), measured=measured)


def of_task(task: Task) -> list[pd.DataFrame]:
    """Return what is found in a closed task, in its labels one by one, and without each of them in the reference."""
    (query, truth), tables = task.query(), []
    query, truth = few(query, np.asarray(truth))
    whole, truth_of = looked_at(task.reference(), query, task, truth)
    tables.append(evidence(whole, truth_of, case=task.name, kind="closed"))
    for label in whole.model.labels:
        rows = np.flatnonzero(truth_of == label)[:MOST_SORTED]
        if len(rows) >= SORTED:
            tables.append(evidence(subset(whole, rows), truth_of[rows], case=f"{task.name} {label}", kind="sorted"))
    for entry in withheld(task, 5):
        without = replace(task, entry=entry)
        seen = looked_at(without.reference(), query, without, truth)
        tables.append(evidence(*seen, case=without.name, kind="withheld"))
    return [table.assign(family=task.family) for table in tables]


def foreign(task: Task) -> list[pd.DataFrame]:
    """Return what is found in queries that have nothing of the task's reference."""
    rng, tables, reference = np.random.default_rng(0), [], task.reference()
    query = few(*task.query())[0]
    strangers = {"noise": noise(query, rng), "shuffled": shuffled(query, rng)}
    for tissue, (file, labels) in TISSUES.items():
        if tissue == task.family or {tissue, task.family} <= BRAIN or not (task.folder / file).is_file():
            continue
        data = ad.read_h5ad(task.folder / file)
        pair = in_common(query, sample(data[data.obs["label"].isin(labels).to_numpy()], rng)[0])
        if pair and pair[1].var_names.isin(reference.var_names).sum() >= LEAST_GENES:
            strangers[tissue] = pair[1]
    for name, stranger in strangers.items():
        seen = looked_at(reference, stranger, task, np.repeat(FOREIGN, stranger.n_obs))
        tables.append(evidence(*seen, case=f"{task.name} {name}", kind=FOREIGN, family=task.family))
    return tables


def few(query: ad.AnnData, truth: np.ndarray, most: int = 3000) -> tuple[ad.AnnData, np.ndarray]:
    cells = np.sort(np.random.default_rng(0).permutation(query.n_obs)[:most])
    return query[cells].copy(), np.asarray(truth)[cells]


def cases(tasks: list[Task]) -> Iterator[tuple]:
    """Yield what is to be done for each task; foreign queries once for each reference."""
    references = set()
    for task in tasks:
        if task.open_set or task.modality == "peaks" or "bridge" in task.entry:
            continue
        yield of_task, task
        reference = str((task.entry["reference"], task.entry.get("reference_where")))
        if task.family in FAMILIES and reference not in references:
            references.add(reference)
            yield foreign, task


def done(job: tuple) -> list[pd.DataFrame]:
    function, task = job
    print(function.__name__, task.name, flush=True)
    return function(task)


def can_teach(cells: pd.DataFrame) -> bool:
    """Return whether there are foreign and native queries, and cells of known and of unknown types."""
    inside = cells["kind"] != FOREIGN
    return inside.nunique() == 2 and cells["known"][inside].nunique() == 2


def taught(cells: pd.DataFrame, queries: pd.DataFrame) -> tuple[LogisticRegression, LogisticRegression]:
    """Fit both regressions: is a query native, is a cell of a native query of a known type."""
    columns = [f"median_{name}" for name in NATIVE]
    weight = queries["kind"].map(WEIGHTS).fillna(1)
    native = LogisticRegression(C=10).fit(queries[columns], queries["kind"] != FOREIGN, sample_weight=weight)
    inside = cells[cells["kind"] != FOREIGN]
    columns = [f"{name}_away" for name in USUAL]
    weight = 1 / inside.groupby("case")["case"].transform("size")
    for _ in range(ROUNDS):
        usual = LogisticRegression(C=10).fit(inside[columns], inside["known"], sample_weight=weight)
        chance = usual.predict_proba(inside[columns])[:, 1]
        weight = weight.where(inside["known"] | (chance < np.quantile(chance[~inside["known"]], 1 - ALIKE)), 0)
    return native, usual


def left_out(cells: pd.DataFrame, queries: pd.DataFrame) -> pd.DataFrame:
    """Return the cells with the chances that regressions taught by the other families give them.

    Or the engine's own, where the others cannot teach them; the column `by` says which.
    """
    parts = []
    group = cells["family"].where(~cells["family"].isin(BRAIN), "brain")
    of_query = queries["family"].where(~queries["family"].isin(BRAIN), "brain")
    for family in group.unique():
        part, others = cells[group == family].copy(), cells[group != family]
        columns = {"native": [f"median_{name}" for name in NATIVE], "usual": [f"{name}_away" for name in USUAL]}
        part["by"] = "the others" if can_teach(others) else "the engine"
        if can_teach(others):
            models = taught(others, queries[of_query != family])
            weights = [[*model.intercept_, *model.coef_[0]] for model in models]
        else:
            weights = [SETTINGS.novelty.native, SETTINGS.novelty.usual]
        for (chance, names), (constant, *slopes) in zip(columns.items(), weights, strict=True):
            part[chance] = expit(constant + part[names].to_numpy() @ slopes)
        parts.append(part)
    return pd.concat(parts)


def found_in(cells: pd.DataFrame) -> dict[str, float]:
    """Return the figures of one case."""
    foreign, known = cells["native"] < 0.5, cells["known"].to_numpy()
    score = np.where(
        foreign,
        cells["score_if_foreign"] * cells["usual"] * cells["native"],
        cells["score_if_native"] * cells["usual"] ** cells["power"],
    )
    right, low = np.where(foreign, cells["right_if_foreign"], cells["right_if_native"]), score < 0.5
    line = {"called foreign": float(foreign.mean())}
    if known.any():
        line["right withheld"] = (low & right)[known].mean()
        line["known Unclassified"] = low[known].mean()
    if not known.all():
        line["unknown Unclassified"] = low[~known].mean()
    if known.any() and not known.all():
        line["AUROC"] = roc_auc_score(known, score)
    return line


def main() -> None:
    jobs = list(cases(chosen_tasks(tasks_file())))
    n_jobs = int(os.environ.get("JOBS") or 1)
    if n_jobs > 1:
        with ProcessPoolExecutor(n_jobs) as pool:
            tables = [table for some in pool.map(done, jobs) for table in some]
    else:
        tables = [table for job in jobs for table in done(job)]
    cells = pd.concat(tables, ignore_index=True)
    queries = cells.groupby("case").first().reset_index()
    if can_teach(cells):
        for name, model in zip(("native", "usual"), taught(cells, queries), strict=True):
            weights = ", ".join(f"{value:.3g}" for value in [*model.intercept_, *model.coef_[0]])
            print(f"    {name}: tuple[float, ...] = ({weights})")
    by_case = (
        left_out(cells, queries)
        .groupby(["kind", "family", "by", "case"], sort=False)
        .apply(lambda part: pd.Series(found_in(part)), include_groups=False)
    )
    figures = by_case.unstack() if isinstance(by_case, pd.Series) else by_case
    means = figures.groupby(["kind", "family", "by"]).mean().reset_index()
    overall = figures.groupby("kind").agg(["mean", "max"]).round(3)
    overall.columns = [" ".join(pair) for pair in overall.columns]
    parts = [
        "# Unknown types and foreign queries",
        machine(),
        "Each family by regressions taught by the others, or by the engine's where these cannot.",
    ]
    save([*parts, markdown(overall.reset_index()), markdown(means)], figures.reset_index(), OUT, "novelty")


if __name__ == "__main__":
    main()
