"""SingleR; its confidence is delta, the lead of the best label."""

import singler
from prepare import log_normalised, shared

REQUIREMENTS = ["singler==0.5.0", "anndata>=0.11"]


def transfer(reference, query, task):
    reference, query = shared(reference, query, task)
    found = singler.annotate_single(
        test_data=log_normalised(query).T.tocsr(),
        test_features=list(query.var_names),
        ref_data=log_normalised(reference).T.tocsr(),
        ref_features=list(reference.var_names),
        ref_labels=list(reference.obs["label"]),
    )
    return found["best"], found["delta"], {"note": "delta is no probability: its ECE means nothing"}
