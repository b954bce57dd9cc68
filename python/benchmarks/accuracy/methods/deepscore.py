"""DeepScore with its defaults, and `batch=` where the task names the query's samples."""

import numpy as np
import torch  # noqa: F401 - loaded before the clock starts, as the libraries of the peers are

import deepscore

REQUIREMENTS = None  # the environment of this checkout: never cached, once for each seed


def transfer(reference, query, task, seed):
    model = trained(reference, query, task, seed)
    has_peaks = task.modality == "activity" and "query_peaks" in task.entry
    return annotated(model, query, task if has_peaks else None)


def bridge(reference, multiome, query, task, seed):
    options = {"batch": sample_of(multiome[0]), "seed": seed, "progress": False}
    if task.modality != "activity":
        return annotated(deepscore.train_bridge(reference, multiome, labels="label", **options), query)
    model = trained(reference, query, task, seed)  # of genes: it calls the multiome and the query's activity
    peaks_model = deepscore.train_bridge(model, multiome, **options)
    return annotated(model, query, task, peaks_model=peaks_model)


def trained(reference, query, task, seed):
    features, kind = None, "protein" if task.modality == "protein" else None  # names do not tell antibodies from genes
    if task.modality != "peaks":  # of peaks the reference's own: a cell has too few of any 2,000
        n_features = min(2000, reference.var_names.isin(query.var_names).sum())
        features = deepscore.find_common_features(reference, query, n_features=n_features, modality=kind)
    model = deepscore.DeepScore(common_features=features, seed=seed)
    return model.set_reference(reference, "label", modality=kind).train(progress=False)


def annotated(model, query, peaks_of=None, **options):
    """Annotate, with the raw peaks that the task `peaks_of` has of the query."""

    def annotate(query):
        peaks = peaks_of.query_peaks(query) if peaks_of else None
        return model.annotate(query, batch=sample_of(query), probabilities=True, peaks=peaks, **options)

    found = annotate(query)
    more = {
        "best": best_labels(found).tolist(),
        "in_order": lambda order: annotate(query[order].copy()).obs["deepscore"],
    }
    return found.obs["deepscore"], found.obs["deepscore_score"], more


def best_labels(found):
    """Return the best label of each cell; a column of AnnData cannot have the name of every label."""
    return np.array(found.uns["deepscore"]["labels"])[found.obsm["deepscore_probabilities"].to_numpy().argmax(axis=1)]


def sample_of(data):
    return "batch" if "batch" in data.obs else None
