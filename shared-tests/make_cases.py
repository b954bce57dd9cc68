"""Write the cases whose expected values are computed: `python shared-tests/make_cases.py`.

selection.json, alignment.json, annotation.json, evidence.json and plots_of_models.json come from here and from
shared_oracle.py; the other files of cases/ are written by hand. Nothing is computed with deepscore, whose answers the
cases are there to check.
"""

import json
import math

import numpy as np

import shared_oracle as oracle
from shared_data import HERE, read_fixture

UNCLASSIFIED = "Unclassified"
REFERENCE, QUERY = {"fixture": "reference"}, {"fixture": "query"}
PEAKS, PEAKS_QUERY = {"fixture": "peaks_reference"}, {"fixture": "peaks_query"}
LOG_REFERENCE, LOG_QUERY = REFERENCE | {"values": "lognorm"}, QUERY | {"values": "lognorm"}


def changed(spec, *mutations):
    return spec | {"mutate": list(mutations)}


def selection(name, reference, query, n, *, lognorm=False, expect=None, args=None, **how):
    """Make a case of find_common_features; `how` goes to the oracle and, as arguments, to the verb."""
    values = {"values": "lognorm"} if lognorm else {}  # what the verb must read, from X or from a layer
    queries = [read_fixture(one | values) for one in (query if isinstance(query, list) else [query])]
    data = read_fixture(reference | values)
    labels = how.get("labels")
    options = how | ({} if labels is None else {"labels": data.cells[labels]})
    features = oracle.select(data, queries, n, lognorm=lognorm, **options)
    expected = {"features": features} | (expect or {})
    if len(features) < n:
        expected["warning"] = f"Only {len(features)} features were found of the {n} asked for"
    return {
        "name": name, "verb": "find_common_features", "reference": reference, "query": query,
        "args": {"n_features": n} | how | (args or {}), "expect": expected,
    }  # fmt: skip


def annotation(
    name, query, *, model="v1/toy_rna", threshold=None, batch=None, groups=None, values="counts", expect=None, args=None
):
    """Make a case of annotate with an archived model; those of version 2 need `refine: false` in `args`."""
    path = HERE / "models" / f"{model}.deepscore"
    data = read_fixture(query)
    column = None if batch is None else data.cells[batch]
    table, empty, overlap = oracle.annotate(path, data, lognorm=values == "lognorm", batch=column)
    labels = np.array(oracle.read_model(path)[0]["labels"])
    least = 0.5 if threshold is None else threshold
    best = np.where(empty, 0.0, table.max(axis=1))
    ordered = np.sort(table, axis=1)
    decided = (ordered[:, -1] - ordered[:, -2] > 1e-4) & (np.abs(best - least) > 1e-4)
    assert (decided | empty).all(), f"{name}: a cell is too close to call"
    raw = labels[table.argmax(axis=1)]
    unclassified = (best < least) | empty
    calls = np.where(unclassified, UNCLASSIFIED, raw)
    why = np.where(empty, "no counts", "low overlap" if overlap < 0.5 else "low confidence")
    given = {"threshold": threshold, "batch": batch, "groups": groups}
    arguments = {key: value for key, value in given.items() if value is not None} | (args or {})
    expected = {"calls": calls.tolist(), "scores": best.round(7).tolist(), "raw": raw.tolist()}
    expected["reasons"] = np.where(unclassified, why, "").tolist()
    if groups is not None:
        group_of_cell = groups if isinstance(groups, list) else data.cells[groups].tolist()
        found, shares = oracle.vote(calls.tolist(), group_of_cell)
        expected |= {"groups": found, "group_shares": np.round(shares, 7).tolist()}
    if arguments.get("probabilities"):
        expected |= {"labels": labels.tolist(), "probabilities": table.round(7).tolist()}
    return {
        "name": name, "verb": "annotate", "model": f"models/{model}.deepscore", "query": query,
        "args": arguments, "expect": expected | (expect or {}),
    }  # fmt: skip


def selection_cases():
    half = changed(QUERY, {"do": "take_cells", "start": 0, "stop": 45})
    few = changed(QUERY, {"do": "take_features", "start": 0, "stop": 120})
    layers = {"layers": {"counts": "counts", "data": "lognorm"}}
    markers = {"strategy": "markers", "labels": "label"}
    yield selection("variable genes of counts", REFERENCE, QUERY, 50)
    yield selection("variable genes of log-normalised values", LOG_REFERENCE, LOG_QUERY, 50, lognorm=True)
    yield selection(
        "variable genes of a named layer", REFERENCE | layers, QUERY | layers, 50, lognorm=True,
        args={"layer": "data", "query_layer": "data"},
    )  # fmt: skip
    yield selection("variable genes, several queries", REFERENCE, [half, few], 60)
    yield selection("fewer shared genes than asked for", REFERENCE, QUERY, 1000)
    yield selection("markers by t-test", REFERENCE, QUERY, 40, **markers)
    yield selection("markers by rank sum", REFERENCE, QUERY, 40, test="wilcoxon", **markers)
    yield selection("markers of log-normalised values", LOG_REFERENCE, LOG_QUERY, 40, lognorm=True, **markers)
    yield selection("markers, several queries", REFERENCE, [half, few], 30, **markers)
    yield selection("markers, some labels missing", REFERENCE, QUERY, 25, strategy="markers", labels="label_missing")
    yield selection("markers, labels are numbers", REFERENCE, QUERY, 25, strategy="markers", labels="cluster")
    yield selection("fewer markers than asked for", REFERENCE, few, 200, **markers)
    among = {"strategy": "markers_in_variable", "labels": "label"}
    yield selection("markers among variable genes", REFERENCE, QUERY, 20, **among)
    yield selection("markers among variable genes, several queries", REFERENCE, [half, few], 20, **among)
    yield selection("fewer markers among variable genes than asked for", REFERENCE, QUERY, 299, **among)
    yield selection("peaks in most cells", PEAKS, changed(PEAKS, {"do": "reverse_features"}), 50)
    # With a chr11 beside chr1, a dash and a colon sort in different ways.
    ties = changed(PEAKS, {"do": "respell", "pairs": {"chr3": "chr11"}})
    dashes = changed(PEAKS, {"do": "respell", "pairs": {"chr3": "chr11", ":": "-"}})
    yield selection("peaks in most cells, ties", ties, ties, 50)
    yield selection("peaks in most cells, ties, whatever their spelling", dashes, dashes, 50)
    yield selection("peaks with and without chr", PEAKS, PEAKS, 50) | {
        "query": changed(PEAKS, {"do": "respell", "pairs": {"chr": ""}})
    }
    yield selection("markers among peaks", PEAKS, PEAKS_QUERY, 30, **markers)


def alignment_cases():
    everything = {"ordered": False}
    spelled = {
        "GN000": "gn000", "GN001": "Gn001", "GN002": "GN002.1", "GN004": "gn005", "HLA_A": "hla-a",
        "ENSG00000100001": "ensg00000100001.12", "ENSG00000100038": "ENSG00000100038.1",
        "ENSG00000100075": "ENSG00000100038.2",
    }  # fmt: skip
    rivals = changed(REFERENCE, {"do": "rename", "pairs": {"GN010": "Gn011"}})
    third = changed(REFERENCE, {"do": "rename", "pairs": {"GN011": "gn011"}})
    yield selection("features in another order", REFERENCE, changed(REFERENCE, {"do": "reverse_features"}), 40)
    yield selection("other spellings of the same feature", REFERENCE, QUERY, 287, expect=everything)
    yield selection("other spellings, one by one", REFERENCE, changed(REFERENCE, {"do": "rename", "pairs": spelled}),
                    300, expect=everything)  # fmt: skip
    yield selection("two spellings in the reference are never guessed between", rivals, third, 300, expect=everything)
    yield selection("peaks in three spellings", PEAKS, PEAKS_QUERY, 160, expect=everything)
    some = {"do": "take_features", "start": 0, "stop": 150}
    yield annotation("query in another order", changed(QUERY, {"do": "reverse_features"}))
    yield annotation(
        "query with the model's own spelling", changed(REFERENCE, {"do": "take_cells", "start": 0, "stop": 60})
    )
    yield annotation("few features of the model in the query", changed(QUERY, some | {"stop": 90}), threshold=0.8,
                     expect={"warning": "The query has only"})  # fmt: skip
    yield annotation("half of the features", changed(QUERY, some), expect={"warning": "The query has only 97 of"})
    yield annotation("below the usual floor when it is lowered", changed(QUERY, some | {"stop": 20}), threshold=0.0,
                     args={"min_overlap": 0.0}, expect={"warning": "The query has only"})  # fmt: skip


V2 = {"model": "v2/toy_rna", "args": {"refine": False}}
ALONE = {"refine": False, "probabilities": True}


def annotation_cases():
    yield annotation("defaults", QUERY)
    yield annotation("a high threshold", QUERY, threshold=0.95)
    yield annotation("no threshold", QUERY, threshold=0.0)
    yield annotation("the table of probabilities", QUERY, args={"probabilities": True})
    yield annotation("samples of their own scale", QUERY, batch="batch", args={"probabilities": True})
    yield annotation("log-normalised values", LOG_QUERY, values="lognorm")
    yield annotation("log2-normalised values", LOG_QUERY, values="lognorm") | {
        "query": changed(LOG_QUERY, {"do": "multiply", "by": 1 / math.log(2)})
    }
    yield annotation("a cell without counts", changed(QUERY, {"do": "empty_cell", "cell": 4}), threshold=0.0)
    yield annotation(
        "one cell", changed(QUERY, {"do": "take_cells", "start": 7, "stop": 8}), args={"probabilities": True}
    )
    yield annotation("a linear scale that is no counts", changed(QUERY, {"do": "multiply", "by": 30.5}))
    small = changed(QUERY, {"do": "multiply", "by": 0.13})
    yield annotation("counts with fractions, none above 20", small)
    yield annotation("logarithms, as the user says", LOG_QUERY, values="lognorm", args={"values": "lognorm"})
    yield annotation("counts, as the user says", LOG_QUERY, threshold=0.4, args={"values": "counts"})
    yield annotation("peaks", PEAKS_QUERY, model="v1/toy_peaks", args={"probabilities": True})
    yield annotation("peaks, samples of their own scale", PEAKS_QUERY, model="v1/toy_peaks", batch="batch")
    yield annotation("a vote of groups", QUERY, threshold=0.95, groups="cluster")
    yield annotation("a vote of groups, some missing", QUERY, threshold=0.95, groups="cluster_missing")
    yield annotation("a vote of groups, a tie and a group of one", changed(QUERY, {"do": "take_cells", "start": 0,
                     "stop": 7}), groups=["a", "a", "b", "b", "a", "a", "c"])  # fmt: skip
    yield annotation("old groups and probabilities go", QUERY) | {"earlier": {"groups": "cluster", **ALONE}}
    yield annotation("each cell by itself", QUERY, **V2)
    yield annotation("each cell by itself, a high threshold", QUERY, threshold=0.95, groups="cluster", **V2)
    yield annotation("each cell by itself, samples of their own scale", QUERY, batch="batch", **V2)
    yield annotation("each cell by itself, log-normalised values", LOG_QUERY, values="lognorm", **V2)
    yield annotation("each cell by itself, one cell", changed(QUERY, {"do": "take_cells", "start": 7, "stop": 8}), **V2)
    yield annotation(
        "each cell by itself, one without counts", changed(QUERY, {"do": "empty_cell", "cell": 4}), threshold=0.0, **V2
    )
    yield annotation(
        "each cell by itself, few features of the model in the query",
        changed(QUERY, {"do": "take_features", "start": 0, "stop": 90}), threshold=0.8,
        expect={"warning": "The query has only"}, **V2,
    )  # fmt: skip


V2_MODEL = "models/v2/toy_rna.deepscore"


def evidence_cases():
    path, query, reference = HERE / V2_MODEL, read_fixture(QUERY), read_fixture(REFERENCE)
    truth, objects = query.cells["label"].tolist(), {"ds": {"model": V2_MODEL}, "data": QUERY}
    of_labels = {"labels": "label", "refine": False}
    for method in ("gradient", "linear"):
        yield {
            "name": f"evidence: {method}, by label", "verb": "feature_importance", "objects": objects,
            "args": of_labels | {"method": method, "n_features": 4},
            "expect": {"tables": {"": oracle.importance(path, query, truth, method, 4)}},
        }  # fmt: skip
    table, empty, _ = oracle.annotate(path, query)
    labels = oracle.read_model(path)[0]["labels"]
    assert not empty.any()
    for threshold in (0.5, 0.95):
        calls = [labels[row.argmax()] if row.max() >= threshold else UNCLASSIFIED for row in table]
        yield {
            "name": f"performance: a threshold of {threshold}", "verb": "performance", "objects": objects,
            "args": of_labels | {"threshold": threshold}, "expect": oracle.weighed(truth, calls, table, labels),
        }  # fmt: skip
    yield {
        "name": "thresholds: of each label", "verb": "find_thresholds", "objects": objects, "args": of_labels,
        "expect": {"tables": {"": oracle.thresholds(truth, table, labels)}},
    }  # fmt: skip
    some = {"do": "take_cells", "start": 90, "stop": 240}, {"do": "take_features", "start": 20, "stop": 300}
    other = changed(REFERENCE, *some)
    both = reference, read_fixture(other)
    for test in ("t-test", "wilcoxon"):
        sides = top_markers(*both, 10, test), top_markers(*both[::-1], 10, test)
        yield {
            "name": f"markers: of two data sets, {test}", "verb": "match_markers",
            "objects": {"reference": REFERENCE, "query": other},
            "args": {"labels": "label", "query_labels": "label", "n_markers": 10, "test": test},
            "expect": oracle.match(*sides),
        }  # fmt: skip
    lists = {"T": ["CD3D", "CD3E", "IL7R"], "B": ["MS4A1", "CD79A", "CD79B"], "NK": ["NKG7", "GNLY", "CD3E"]}
    others = {"0": ["CD3E", "CD3D", "TRAC"], "1": ["CD79A", "HLA_DRA", "MS4A1"], "2": ["LYZ", "NKG7"]}
    yield {
        "name": "markers: of two lists", "verb": "match_markers",
        "objects": {"reference": {"lists": lists}, "query": {"lists": others}}, "expect": oracle.match(lists, others),
    }  # fmt: skip
    rows = [("0", "CD3E", 1e-9, 1.0), ("0", "CD3D", 1e-9, 2.0), ("0", "LYZ", 1e-9, -3.0), ("0", "TRAC", 1e-3, 4.0),
            ("1", "CD79A", 1e-5, 1.5), ("1", "MS4A1", 1e-7, 1.0), ("1", "HLA-DRA", 1e-4, 9.0)]  # fmt: skip
    two = {name: lists[name][:2] for name in ("T", "B")}
    for change in ("avg_log2FC", "avg_logFC"):
        columns = ("cluster", "gene", "p_val", change)
        table = {name: list(column) for name, column in zip(columns, zip(*rows, strict=True), strict=True)}
        found = {"0": ["CD3D", "CD3E"], "1": ["MS4A1", "CD79A"]}  # the lowest p, of equal ones the greatest change
        yield {
            "name": f"markers: of a list and a table of Seurat, {change}", "verb": "match_markers",
            "objects": {"reference": {"lists": two}, "query": {"table": table}},
            "args": {"n_markers": 2}, "expect": oracle.match(two, found),
        }  # fmt: skip
    named = {"reference": {"lists": lists}}
    for name, query, code in (
        ("a table without labels", {"table": {"gene": ["CD3D"], "p_val": [0.1]}}, "unknown_markers"),
        ("a list without names", {"lists": {"0": [], "1": []}}, "no_markers"),
        ("cells without labels", QUERY, "no_labels"),
    ):
        yield {
            "name": f"markers: {name}", "verb": "match_markers", "objects": named | {"query": query},
            "expect": {"error": code},
        }  # fmt: skip
    few = changed(QUERY, {"do": "take_cells", "start": 0, "stop": 3}, {"do": "empty_cell", "cell": 0})
    for name, change, code in (
        (
            "the model has no linear path",
            {"ds": {"model": "models/v1/toy_rna.deepscore"}, "method": "linear"},
            "no_linear_path",
        ),
        ("a cell that is not there", {"cells": ["nobody"]}, "cells_not_found"),
        ("labels that the model does not know", {"labels": "batch"}, "no_shared_labels"),
        ("neither by label nor by cell", {"by": "gene"}, "bad_argument"),
        ("no cell with a label has counts", {"data": few, "labels": ["B", "x", "x"]}, "no_calls"),
    ):
        given = {name: change.pop(name) for name in ("ds", "data") if name in change}
        yield {
            "name": f"evidence: {name}", "verb": "feature_importance", "objects": objects | given, "args": change,
            "expect": {"error": code},
        }  # fmt: skip
    yield {
        "name": "performance: labels that the model does not know", "verb": "performance", "objects": objects,
        "args": {"labels": "batch"}, "expect": {"error": "no_shared_labels"},
    }  # fmt: skip
    yield {
        "name": "models: none is held out to compare by", "verb": "select_model",
        "reference": REFERENCE, "labels": "label", "args": {"test_prop": 0},
        "train": {"n_models": 2}, "expect": {"error": "no_held_out_cells"},
    }  # fmt: skip


def top_markers(data, other, n, test):
    """Return the best markers of each label, of the features that another data set has, too."""
    shared = {oracle.spelling(name) for name in other.features}
    scores = oracle.marker_scores(data, data.cells["label"], False, test)
    best = {label: np.argsort(-score, kind="stable") for label, score in scores.items()}
    return {
        label: [data.features[i] for i in best[label] if score[i] > 0 and oracle.spelling(data.features[i]) in shared][
            :n
        ]
        for label, score in scores.items()
    }


def plot_cases():
    path = "models/v2/toy_rna.deepscore"
    manifest, data = oracle.read_model(HERE / path)[0], read_fixture(QUERY)
    groups, features = data.cells["cluster"].astype(str).tolist(), manifest["features"]
    evidence = {features[30]: "B", features[20]: "B", features[10]: "CD4 T"}
    table = {"label": list(evidence.values()), "feature": list(evidence), "importance": [2.0, 1.0, 1.0]}
    of_model = {"verb": "plot", "query": QUERY, "args": {"groups": "cluster"}}
    ds = {"model": path}
    yield of_model | {
        "name": "plot of profiles beside those of the reference", "plot": "label_correlation", "objects": {"ds": ds},
        "expect": {"table": oracle.correlation(HERE / path, data, groups)},
    }  # fmt: skip
    yield of_model | {
        "name": "plot of the evidence in each cluster", "plot": "markers",
        "objects": {"ds": ds, "importance": {"table": table}},
        "expect": {"table": oracle.expression(HERE / path, data, groups, evidence)},
    }  # fmt: skip
    records = [(name, one) for name in ("loss", "accuracy") for one in manifest["training"]["history"]]
    course = {
        "measure": [name for name, _ in records], "cells": ["training"] * len(records),
        "epoch": [one["epoch"] for _, one in records], "value": [one[name] for name, one in records],
    }  # fmt: skip
    yield {
        "name": "plot of a training", "verb": "plot", "plot": "training_curve", "objects": {"ds": ds},
        "expect": {"table": course},
    }  # fmt: skip


def write(path, cases):
    lines = (json.dumps(case, ensure_ascii=False) for case in cases)
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    write(HERE / "cases" / "selection.json", selection_cases())
    write(HERE / "cases" / "alignment.json", alignment_cases())
    write(HERE / "cases" / "annotation.json", annotation_cases())
    write(HERE / "cases" / "evidence.json", evidence_cases())
    write(HERE / "cases" / "plots_of_models.json", plot_cases())
