"""What each part of DeepScore is worth: every task with the part left out.

`python ablation.py TASKS OUT.md` trains DeepScore four times per task (one seed) and annotates with parts switched off,
by the settings and options of the engine.
"""

import sys
import warnings
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anndata as ad
import numpy as np
from score import score
from tasks import Task, read_tasks

import deepscore
from deepscore.data.labels import read_labels
from deepscore.data.modality import MODALITIES
from deepscore.data.normalize import LogNorm
from deepscore.interfaces.readers import labels_of, open_source
from deepscore.model.config import NetworkConfig
from deepscore.model.model import Model
from deepscore.query.annotation import Annotation
from deepscore.query.settings import SETTINGS
from deepscore.training.config import TrainConfig
from deepscore.training.fit import fit
from deepscore.training.reference import prepare
from deepscore.training.settings import SETTINGS as TRAINING_SETTINGS
from deepscore.workflows.annotate import AnnotateRequest, annotate

TRAINING = {
    "all parts": {},
    "counts scaled to 10,000 per cell": {"recipe": LogNorm(10_000)},
    "linear path alone": {"hidden_weight": 0.0},
    "hidden layers alone": {"hidden_weight": 1.0},
}
ANNOTATION = {
    "no query: each cell by itself": {"refine": False, "batch": None},
    "the query's batches as one": {"batch": None},
    "own scale, each cell by itself": {"refine": False},
    "own scale alone": {"own_weight": 1.0, "trust": 0.0},
    "shifted scale alone": {"own_weight": 0.0, "trust": 0.0},
    "both scales alike": {"trust": 0.0},
    "no second reading": {"second": 0.0},
    "sorted batches as any": {"mixed": 1.0, "sorted": 2.0},
    "no second round on raw peaks": {"peaks": None},
    "no neighbours": {"neighbour_power": 0.0},
    "neighbours of peaks in principal components": {"lsi_components": 0},
    "no novelty": {"novelty": replace(SETTINGS.novelty, least=sys.maxsize)},
}
COLUMNS = (
    "rna",
    "activity",
    "peaks",
    "spatial",
    "protein",
    "closed",
    "redrawn",
    "one_type",
    "ece",
    "auroc",
    "unknown_below",
)
FEWEST = 30  # cells of a query of one type
DRAWS, MOST = 3, 400  # queries of another composition, and cells in each


def trained(data: ad.AnnData, query: ad.AnnData, modality: str, recipe=None, **settings: float) -> Model:
    """Train with a recipe in place of the one that the reference teaches, and with other settings."""
    kind = modality if modality in MODALITIES else None
    features = None
    if modality != "peaks":
        n_features = min(2000, data.var_names.isin(query.var_names).sum())
        features = deepscore.find_common_features(data, query, n_features=n_features, modality=kind)
    opened, network = open_source(data, modality=kind), NetworkConfig(common_features=features)
    recipe = None if modality == "peaks" or modality == "protein" else recipe  # they have recipes of their own
    labels = read_labels(labels_of(opened, "label"))
    reference = prepare(opened.blocks, labels, network, modality=kind, recipe=recipe)
    return fit(reference, network, TrainConfig(progress=False), settings=replace(TRAINING_SETTINGS, **settings))


def annotated(model: Model, query: ad.AnnData, peaks: ad.AnnData | None = None, **changed: object) -> Annotation:
    """Annotate with options of the request, other batches, or other settings."""
    source = open_source(query)
    sample = query.obs["batch"].to_numpy(object) if "batch" in query.obs else np.repeat("query", query.n_obs)
    batch = changed.pop("batch", np.asarray(sample, dtype=object))
    request = AnnotateRequest(probabilities=True, refine=changed.pop("refine", True))
    beside = None if peaks is None else open_source(peaks).blocks
    settings = replace(SETTINGS, **changed)
    return annotate(model, source.blocks, request, batch=batch, peaks=beside, settings=settings)


def figures(task: Task, labels: list[str], truth: list[str], found: Annotation) -> dict[str, float]:
    best = np.array(found.labels, dtype=object)[found.probabilities.argmax(axis=1)]
    result = {"calls": found.calls, "confidence": found.scores, "best": best}
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

    def all_figures(model: Model, **changed: object) -> dict[str, float]:
        def on(cells: np.ndarray | slice) -> Annotation:
            beside = {} if peaks is None else {"peaks": peaks[cells].copy()}
            return annotated(model, query[cells].copy(), **(beside | changed))

        result = figures(task, labels, truth, on(slice(None)))
        for column, queries in parts.items():
            result[column] = np.mean([(on(cells).calls == truth[cells]).mean() for cells in queries])
        return result

    for name, changed in TRAINING.items():
        known = data
        if bridge:
            rna, atac = bridge
            calls = annotated(trained(data, rna, "rna", **changed), rna).calls
            known = atac[calls != "Unclassified"].copy()
            known.obs["label"] = calls[calls != "Unclassified"].astype(str)
        model = trained(known, query, task.modality, **changed)
        add(name, all_figures(model))
        if name == "all parts":
            for part, change in ANNOTATION.items():
                add(part, all_figures(model, **change))


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
