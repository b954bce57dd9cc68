"""The vote of the 15 nearest reference cells, and how near they are, in 20 joint principal components.

Both data sets are z-scored by themselves. The nearer, the more confident: the usual baseline for unknown types. Nearest
by Euclidean distance (knn_distance) or by the angle (knn_cosine).
"""

import numpy as np
from prepare import log_normalised, shared, z_scored
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

REQUIREMENTS = ["scikit-learn==1.9.1", "anndata>=0.11"]
VARIANTS = {"knn_distance": {"metric": "euclidean"}, "knn_cosine": {"metric": "cosine"}}


def transfer(reference, query, task, metric):
    labels = reference.obs["label"]
    values = [log_normalised(data) for data in shared(reference, query, task)]
    joint = np.vstack([z_scored(x, by=x) for x in values])
    joint = PCA(min(20, min(joint.shape) - 1), random_state=0).fit_transform(joint)
    model = KNeighborsClassifier(15, metric=metric).fit(joint[: len(labels)], labels)
    distance, _ = model.kneighbors(joint[len(labels) :])
    return model.predict(joint[len(labels) :]), -distance.mean(axis=1), {"note": "a distance is no probability"}
