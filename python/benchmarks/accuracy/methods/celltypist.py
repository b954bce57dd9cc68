"""CellTypist trained on the reference, without and with majority voting (the confidence is that of the cell)."""

import celltypist
from prepare import log_normalised, shared

REQUIREMENTS = ["celltypist==1.7.1", "scikit-learn<1.6", "anndata>=0.11"]
VARIANTS = {"celltypist": {"voting": False}, "celltypist_mv": {"voting": True}}


def transfer(reference, query, task, voting):
    reference, query = shared(reference, query, task)
    reference.X, query.X = log_normalised(reference), log_normalised(query)
    model = celltypist.train(reference, labels="label", n_jobs=1, check_expression=False)
    found = celltypist.annotate(query, model=model, majority_voting=voting)
    calls = found.predicted_labels["majority_voting" if voting else "predicted_labels"]
    return calls, found.probability_matrix.max(axis=1)
