"""The vote of the 15 nearest reference cells in 50 principal components of the reference's z-scores."""

from prepare import log_normalised, shared, z_scored
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

REQUIREMENTS = ["scikit-learn==1.9.1", "anndata>=0.11"]


def transfer(reference, query, task):
    reference, query = shared(reference, query, task)
    values = log_normalised(reference)
    x, new = z_scored(values, by=values), z_scored(log_normalised(query), by=values)
    pca = PCA(min(50, min(x.shape) - 1), random_state=0).fit(x)
    model = KNeighborsClassifier(15).fit(pca.transform(x), reference.obs["label"])
    found = model.predict_proba(pca.transform(new))
    return model.classes_[found.argmax(axis=1)], found.max(axis=1)
