"""DeepScore with its defaults."""

import torch  # noqa: F401 - loaded before the clock starts, as the libraries of the peers are

import deepscore

REQUIREMENTS = None  # the environment of this checkout: never cached, once for each seed


def transfer(reference, query, task, seed):
    features = None  # of peaks the reference's own: a cell has too few of any 2,000
    if task.modality != "peaks":
        n_features = min(2000, reference.var_names.isin(query.var_names).sum())
        features = deepscore.find_common_features(reference, query, n_features=n_features)
    model = deepscore.DeepScore(common_features=features, seed=seed)
    model = model.set_reference(reference, "label").train(progress=False)
    query = model.annotate(query, batch="batch" if "batch" in query.obs else None, probabilities=True)
    best = query.obsm["deepscore_probabilities"].idxmax(axis=1)
    return query.obs["deepscore"], query.obs["deepscore_score"], {"best": best.astype(str).tolist()}
