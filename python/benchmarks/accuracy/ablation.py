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
from deepscore.query import neighbours, scales as queryscale, view as refine
from deepscore.data import normalize
from deepscore.training import reference, fit as training
from deepscore.model.model import Model


def share_of_own(share: float) -> Callable:
    """Take so much of the query's own scale, whatever its neighbours say."""
    return lambda sample, *rest: np.full(sample.n_groups, share)


def by_neighbours(sample, own, shifted, space, share: Callable = queryscale._share_of_own) -> np.ndarray:
    """Choose between the scales by the neighbours alone, as if the paths agreed as often on both."""
    return share(sample, own, replace(shifted, doubt=own.doubt), space)


def counted_by_network(sample, by_ranks, space, shifted: Callable = queryscale.own_and_shifted) -> tuple:
    """Count a batch's composition from the network's labels on the reference's scale."""
    labels = sample.model.predict_proba(sample.x, present=sample.present).argmax(axis=1)
    return shifted(sample, labels, space)


def without_held_out(model: Model, *rest: object, expected: Callable = refine._expected_accuracy) -> float:
    return expected(replace(model, training={}), *rest)


def first_tfidf(data, counts: np.ndarray) -> normalize.Normalization:
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
    "the query's samples as one": {"batch": None},
    "own scale alone": {"refine": False},
    "own scale without composition": {(queryscale, "_share_of_own"): share_of_own(1.0)},
    "composition without own scale": {(queryscale, "_share_of_own"): share_of_own(0.0)},
    "both scales alike": {(queryscale, "_share_of_own"): share_of_own(0.5)},
    "scales chosen by neighbours alone": {(queryscale, "_share_of_own"): by_neighbours},
    "composition by the network, on the reference's scale": {(refine, "own_and_shifted"): counted_by_network},
    "composition by ranks, however torn": {(queryscale, "TORN"): 0},
    "no second round on raw peaks": {"peaks": None},
    "no neighbours": {(neighbours, "LIFT"): 0.0},
    "neighbours of peaks in principal components": {(neighbours, "_latent"): lambda x: None},
    "no expected accuracy": {(refine, "_sharpness"): lambda probabilities, expected: 1.0},
    "expected accuracy without held-out cells": {(refine, "_expected_accuracy"): without_held_out},
    "no novelty": {(refine, "p_known"): lambda space, groups, *rest: np.ones(len(groups))},
}
COLUMNS = ("rna", "activity", "peaks", "spatial", "closed", "redrawn", "one_type", "ece", "auroc", "unknown_below")
FEWEST = 30  # cells of a query of one type
DRAWS, MOST = 3, 400  # queries of another composition, and cells in each


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


def figures(task: Task, labels: list[str], truth: list[str], found: ad.AnnData) -> dict[str, float]:
    best = found.obsm["deepscore_probabilities"].idxmax(axis=1).astype(str)
    result = {"calls": found.obs["deepscore"], "confidence": found.obs["deepscore_score"], "best": best}
    return score(result | {"truth": truth, "labels": labels}, task.open_set)


def parts_of(task: Task, truth: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Return cells that are queries by themselves: of other compositions of labels, and of one label each."""
    if task.open_set:
        return {}
    labels, codes, counts = np.unique(truth, return_inverse=True, return_counts=True)
    rng = np.random.default_rng(0)
    size = min(MOST, len(truth) // 2)
    redrawn = []
    for _ in range(DRAWS):
        chance = (rng.dirichlet(np.full(len(labels), 0.5)) / counts)[codes] + 1e-9
        redrawn.append(np.sort(rng.choice(len(truth), size, replace=False, p=chance / chance.sum())))
    one_type = [np.flatnonzero(truth == label) for label in labels[counts >= FEWEST]]
    return {"redrawn": redrawn} | ({"one_type": one_type} if one_type and task.modality in ("rna", "spatial") else {})


def one_task(task: Task, add: Callable[[str, dict[str, float]], None]) -> None:
    data, (query, truth), bridge = task.reference(), task.query(), task.bridge()
    truth, labels = np.asarray(truth), sorted(set(data.obs["label"]))
    peaks = task.query_peaks(query) if "query_peaks" in task.entry else None
    parts = parts_of(task, truth)

    def all_figures(model: deepscore.DeepScore, **options: object) -> dict[str, float]:
        def on(cells: np.ndarray | slice) -> ad.AnnData:
            beside = {} if peaks is None else {"peaks": peaks[cells]}
            return annotated(model, query[cells], **(beside | options))

        result = figures(task, labels, truth, on(slice(None)))
        for column, queries in parts.items():
            result[column] = np.mean([(on(cells).obs["deepscore"] == truth[cells]).mean() for cells in queries])
        return result

    for name, changed in TRAINING.items():
        with patched(changed):
            known = data
            if bridge:
                rna, atac = bridge
                calls = annotated(trained(data, rna, "rna"), rna).obs["deepscore"].to_numpy()
                known = atac[calls != "Unclassified"].copy()
                known.obs["label"] = calls[calls != "Unclassified"]
            model = trained(known, query, task.modality)
        add(name, all_figures(model))
        if name != "all parts":
            continue
        for part, change in ANNOTATION.items():
            options = {key: value for key, value in change.items() if isinstance(key, str)}
            with patched({key: value for key, value in change.items() if not isinstance(key, str)}):
                add(part, all_figures(model, **options))


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
            for column in ("redrawn", "one_type", "auroc", "unknown_below"):
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
