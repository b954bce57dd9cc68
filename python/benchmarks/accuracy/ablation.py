"""What each part of DeepScore is worth: every task with the part left out.

`python ablation.py TASKS OUT.md` trains DeepScore five times per task (one seed) and annotates with parts switched off.
"""

import sys
import warnings
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import anndata as ad
import numpy as np
from score import score
from tasks import Task, read_tasks

import deepscore
from deepscore import normalize, reference, refine, training
from deepscore.model import Model


def share_of_own(share: float) -> Callable:
    """Take so much of the query's own scale, whatever its neighbours say."""
    return lambda calls, groups, n_groups, space: np.full(n_groups, share)


def without_held_out(model: Model, *rest: object, expected: Callable = refine._expected_accuracy) -> float:
    return expected(replace(model, training={}), *rest)


def first_tfidf(data, columns: np.ndarray, counts: np.ndarray) -> normalize.Normalization:
    """Weigh peaks as Signac's first method does."""
    return normalize.Normalization("tfidf", (data.n_cells / np.maximum(counts, 1)).astype(np.float32))


TRAINING = {
    "all parts": {},
    "TF-IDF by Signac's first method": {
        (normalize.Normalization, "of_peaks"): first_tfidf,
        (training, "_lsi"): lambda *reference: None,  # annotation needs none
    },
    "counts scaled to 10,000 per cell": {(reference, "typical_total"): lambda data, values: 10_000.0},
    "linear path alone": {(training, "HIDDEN_SHARE"): 1e-6},
    "hidden layers alone": {(training, "HIDDEN_SHARE"): 1 - 1e-6},
}
ANNOTATION = {
    "no query: each cell by itself": {"refine": False, "batch": None},
    "own scale alone": {"refine": False},
    "own scale without composition": {(refine, "_share_of_own"): share_of_own(1.0)},
    "composition without own scale": {(refine, "_share_of_own"): share_of_own(0.0)},
    "both scales alike": {(refine, "_share_of_own"): share_of_own(0.5)},
    "composition without the reference's": {(refine, "PRIOR_DOUBT"): 0},
    "no second round on raw peaks": {"peaks": None},
    "no neighbours": {(refine, "LIFT"): 0.0},
    "no test for one type": {(refine, "_mixed"): lambda model, sample, groups, n_groups, *rest: np.ones(n_groups)},
    "no expected accuracy": {(refine, "_sharpness"): lambda probabilities, expected: 1.0},
    "expected accuracy without held-out cells": {(refine, "_expected_accuracy"): without_held_out},
    "no novelty": {(refine, "p_known"): lambda z, *rest: np.ones(z.shape[0])},
}
COLUMNS = ("rna", "activity", "peaks", "spatial", "closed", "one_type", "ece", "auroc", "unknown_below")
FEWEST = 30  # cells of a query of one type


def patched(parts: dict) -> ExitStack:
    stack = ExitStack()
    for (module, name), value in parts.items():
        stack.enter_context(patch.object(module, name, value))
    return stack


def trained(data: ad.AnnData, query: ad.AnnData, modality: str) -> deepscore.DeepScore:
    features = None
    if modality != "peaks":
        n_features = min(2000, data.var_names.isin(query.var_names).sum())
        features = deepscore.find_common_features(data, query, n_features=n_features)
    return deepscore.DeepScore(common_features=features).set_reference(data, "label").train(progress=False)


def annotated(model: deepscore.DeepScore, query: ad.AnnData, **options: object) -> ad.AnnData:
    batch = "batch" if "batch" in query.obs else np.repeat("query", query.n_obs)
    return model.annotate(query.copy(), **({"batch": batch, "probabilities": True} | options))


def raw_peaks(task: Task, query: ad.AnnData) -> dict[str, ad.AnnData]:
    return {"peaks": task.query_peaks(query)} if "query_peaks" in task.entry else {}


def figures(task: Task, labels: list[str], truth: list[str], found: ad.AnnData) -> dict[str, float]:
    best = found.obsm["deepscore_probabilities"].idxmax(axis=1).astype(str)
    result = {"calls": found.obs["deepscore"], "confidence": found.obs["deepscore_score"], "best": best}
    return score(result | {"truth": truth, "labels": labels}, task.open_set)


def one_type(task: Task, truth: list[str], model: deepscore.DeepScore, query: ad.AnnData, **options: object) -> dict:
    """Return the mean accuracy over the labels, the cells of each being a query by themselves."""
    if task.open_set or task.modality not in ("rna", "spatial"):
        return {}
    labels, counts = np.unique(truth, return_counts=True)
    shares = []
    for label in labels[counts >= FEWEST]:
        found = annotated(model, query[np.asarray(truth) == label], **options)
        shares.append((found.obs["deepscore"] == label).mean())
    return {"one_type": np.mean(shares)} if shares else {}


def one_task(task: Task, add: Callable[[str, dict[str, float]], None]) -> None:
    data, (query, truth), bridge = task.reference(), task.query(), task.bridge()
    for name, parts in TRAINING.items():
        with patched(parts):
            known = data
            if bridge:
                rna, atac = bridge
                calls = annotated(trained(data, rna, "rna"), rna).obs["deepscore"].to_numpy()
                known = atac[calls != "Unclassified"].copy()
                known.obs["label"] = calls[calls != "Unclassified"]
            model = trained(known, query, task.modality)
        labels = sorted(set(data.obs["label"]))
        peaks = raw_peaks(task, query)
        found = figures(task, labels, truth, annotated(model, query, **peaks))
        add(name, found | one_type(task, truth, model, query))
        if name != "all parts":
            continue
        for part, change in ANNOTATION.items():
            options = peaks | {key: value for key, value in change.items() if isinstance(key, str)}
            with patched({key: value for key, value in change.items() if not isinstance(key, str)}):
                found = figures(task, labels, truth, annotated(model, query, **options))
                add(part, found | one_type(task, truth, model, query, **options))


def main(tasks: str, out: str) -> None:
    warnings.simplefilter("ignore")
    values = defaultdict(lambda: defaultdict(list))
    for task in read_tasks(Path(tasks)):

        def add(part: str, found: dict[str, float], task: Task = task) -> None:
            print(f"{task.name}, {part}: macro-F1 {found['macro_f1']:.3f}", flush=True)
            if not task.open_set:
                for column in (task.group, "closed"):
                    values[part][column].append(found["macro_f1"])
                values[part]["ece"].append(found["ece"])
            for column in ("one_type", "auroc", "unknown_below"):
                if column in found:
                    values[part][column].append(found[column])

        one_task(task, add)
    head = ["| part left out, or alone | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    rows = [
        f"| {part} | " + " | ".join(f"{np.mean(found[c]):.3f}" if found[c] else "" for c in COLUMNS) + " |"
        for part, found in values.items()
    ]
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    Path(out).write_text("\n".join([*head, *rows]) + "\n")
    print("\n".join([*head, *rows]))


if __name__ == "__main__":
    main(*sys.argv[1:])
