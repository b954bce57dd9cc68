"""scANVI on the reference, then scArches surgery with the query."""

import scvi
from prepare import shared

REQUIREMENTS = ["scvi-tools==1.4.2", "torch==2.13.0"]
QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "logger": False}


def transfer(reference, query, task):
    scvi.settings.seed = 0
    reference, query = shared(reference, query, task)
    for name, data in (("reference", reference), ("query", query)):
        data.obs["sample"] = name + "_" + data.obs["batch"].astype(str) if "batch" in data.obs else name
    query.obs["label"] = "unknown"
    scvi.model.SCVI.setup_anndata(reference, batch_key="sample", labels_key="label")
    base = scvi.model.SCVI(reference)
    base.train(max_epochs=min(150, 400_000 // reference.n_obs), **QUIET)
    model = scvi.model.SCANVI.from_scvi_model(base, unlabeled_category="unknown")
    model.train(max_epochs=20, **QUIET)
    scvi.model.SCANVI.prepare_query_anndata(query, model)
    mapped = scvi.model.SCANVI.load_query_data(query, model)
    mapped.train(max_epochs=100, plan_kwargs={"weight_decay": 0.0}, **QUIET)
    found = mapped.predict(query, soft=True)
    return found.idxmax(axis=1), found.max(axis=1)
