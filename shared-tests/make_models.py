"""Train the archived models: `python shared-tests/make_models.py`.

A model that is there is never replaced, because old models must load for ever (see the README.md beside them). Those of
version 1, written by an earlier deepscore, are left alone. What the others must answer is written anew: for a cell by
itself it is worked out from the tensors; what uses the query as a whole is recorded, and changes with how that is done.
"""

import warnings

import numpy as np

import deepscore
from make_cases import annotation, write
from shared_data import HERE, read_fixture, to_anndata

# What uses the query as a whole is compared no closer: clusters may differ in a cell from machine to machine.
TOLERANCE = 0.005


def archive(name, reference, n_features, without=(), modality=None, **settings):
    """Train on a fixture without some of its labels, where the model is not there yet."""
    path = HERE / "models" / f"{name}.deepscore"
    if path.exists():
        print(f"{path.name} is there and stays as it is")
        return
    data = to_anndata(read_fixture({"fixture": reference}))
    features = deepscore.find_common_features(data, data, n_features, modality=modality)
    ds = deepscore.DeepScore(hidden_nodes=(16, 8), common_features=features, seed=1, **settings)
    labels = data.obs["label"].where(~data.obs["label"].isin(without))
    ds.set_reference(data, labels, modality=modality).train(progress=False).save(path)
    print(f"{path.name}: {path.stat().st_size} bytes, {ds}")


def worked_out(name, query, **args):
    """Make a case from the tensors of the model."""
    return annotation(f"archived model {name}", query, model=name, args={"probabilities": True, **args})


def recorded(name, what, query, **args):
    """Make a case of what the model answers on the day it is archived."""
    ds = deepscore.load(HERE / "models" / f"{name}.deepscore")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        found = ds.annotate(to_anndata(read_fixture(query)), probabilities=True, **args)
    cells, table = found.obs, found.obsm["deepscore_probabilities"]
    for values, least in ((cells["deepscore_score"], 0.5), (np.diff(np.sort(table, axis=1)[:, -2:], axis=1), 0)):
        assert (np.abs(values - least) > 2 * TOLERANCE).all(), f"{what}: a cell is too close to call"
    columns = {"calls": "", "scores": "_score", "raw": "_raw", "reasons": "_reason"}
    if "groups" in args:
        columns |= {"groups": "_group", "group_shares": "_group_share"}
    expected = {key: cells[f"deepscore{column}"].tolist() for key, column in columns.items()}
    expected |= {"labels": list(table.columns), "probabilities": table.to_numpy().tolist(), "tolerance": TOLERANCE}
    if told:
        expected["warning"] = [str(one.message).split(":")[0] for one in told]
    return {
        "name": f"archived model {name}, {what}", "verb": "annotate", "model": f"models/{name}.deepscore",
        "query": query, "args": {"probabilities": True, **args}, "expect": rounded(expected),
    }  # fmt: skip


def reversed_cells(case):
    """Make of a recorded case another one with the cells of the query the other way round: the same answers."""
    per_cell = [key for key in case["expect"] if key not in ("labels", "tolerance", "warning")]
    expected = case["expect"] | {key: case["expect"][key][::-1] for key in per_cell}
    query = {**case["query"], "mutate": [*case["query"].get("mutate", []), {"do": "reverse_cells"}]}
    return case | {"name": f"{case['name']}, its cells the other way round", "query": query, "expect": expected}


def rounded(values):
    if isinstance(values, dict):
        return {key: rounded(value) for key, value in values.items()}
    if isinstance(values, list):
        return [rounded(value) for value in values]
    return round(values, 5) if isinstance(values, float) else values


SETTINGS = {"epochs": 30, "batch_size": 32, "lr": 5e-3}
GENES, REFERENCE_GENES = {"fixture": "query"}, {"fixture": "reference"}
OTHERS = {"v3/toy_peaks": {"fixture": "peaks_query"}, "v4/toy_protein": {"fixture": "protein_query"}}
# Cells among which no one is too close to call.
SOME_CELLS = {**GENES, "mutate": [{"do": "take_cells", "start": 14, "stop": 88}]}
SOME_OF_REFERENCE = {**REFERENCE_GENES, "mutate": [{"do": "take_cells", "start": 4, "stop": 220}]}


def cases_of(name):
    """Make the cases of a model."""
    if name == "v2/toy_rna":
        unknown = recorded(name, "a type that it does not know", SOME_OF_REFERENCE, groups="cluster", batch="batch")
        return [
            worked_out(name, GENES, refine=False),
            recorded(name, "the query as a whole", GENES, groups="cluster"),
            recorded(name, "batches of the query", SOME_CELLS, batch="batch"),
            unknown,
            reversed_cells(unknown),
        ]
    return [worked_out(name, OTHERS[name], refine=False), recorded(name, "the query as a whole", OTHERS[name])]


if __name__ == "__main__":
    archive("v2/toy_rna", "reference", 200, without=["Mono"], **SETTINGS)
    archive("v3/toy_peaks", "peaks_reference", 120, **SETTINGS)
    archive("v4/toy_protein", "protein_reference", 18, modality="protein", **SETTINGS)
    for model in ("v2/toy_rna", *OTHERS):
        write(HERE / "models" / f"{model}.json", cases_of(model))
