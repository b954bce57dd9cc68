"""Train the archived models of format version 1: `python shared-tests/make_models.py`.

Once only: a model that is there is never replaced, because old models must load for ever (see models/v1/README.md).
"""

import deepscore
from make_cases import annotation, write
from shared_data import HERE, read_fixture, to_anndata

MODELS = HERE / "models" / "v1"


def archive(name, reference, n_features, **settings):
    path = MODELS / f"{name}.deepscore"
    if path.exists():
        print(f"{path.name} is there and stays as it is")
        return
    data = to_anndata(read_fixture({"fixture": reference}))
    features = deepscore.find_common_features(data, data, n_features)
    ds = deepscore.DeepScore(hidden_nodes=(16, 8), common_features=features, seed=1, **settings)
    ds.set_reference(data, "label").train(progress=False).save(path)
    print(f"{path.name}: {path.stat().st_size} bytes, {ds}")
    query = {"fixture": reference.replace("reference", "query")}
    case = annotation(f"archived model v1/{name}", query, model=name, args={"probabilities": True})
    write(path.with_suffix(".json"), [case])


if __name__ == "__main__":
    archive("toy_rna", "reference", 200, epochs=30, batch_size=32, lr=5e-3)
    archive("toy_peaks", "peaks_reference", 120, epochs=30, batch_size=32, lr=5e-3, activation="gelu")
