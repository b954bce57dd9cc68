"""Logistic regression on z-scores, the query's by the reference (lr_refz) or by itself (lr_ownz)."""

from prepare import log_normalised, shared, z_scored
from sklearn.linear_model import LogisticRegression

REQUIREMENTS = ["scikit-learn==1.9.1", "anndata>=0.11"]
VARIANTS = {"lr_refz": {"own_scale": False}, "lr_ownz": {"own_scale": True}}


def transfer(reference, query, task, own_scale):
    reference, query = shared(reference, query, task)
    x, new = log_normalised(reference), log_normalised(query)
    model = LogisticRegression(C=0.01, class_weight="balanced", max_iter=1000)
    model.fit(z_scored(x, by=x), reference.obs["label"])
    found = model.predict_proba(z_scored(new, by=new if own_scale else x))
    return model.classes_[found.argmax(axis=1)], found.max(axis=1)
