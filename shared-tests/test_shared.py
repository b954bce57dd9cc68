"""Run the shared cases through the public Python API, on AnnData. test_shared.R is the twin."""

import ast
import inspect
import operator
import tempfile
import warnings
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from unittest.mock import patch

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

import deepscore
import deepscore.plots
from deepscore.errors import DeepScoreError
from deepscore.output.plot_tables import TABLES
from shared_data import HERE, change_file, make_labels, read_cases, read_fixture, read_json, to_anndata

pyplot.switch_backend("agg")
ARCHIVED = "models/v1/toy_rna.deepscore"
# Where a case does not care, training is short.
SHORT = {"hidden_nodes": [4], "epochs": 2}
TOLERANCE = 1e-5
CASES = read_cases()
# Error codes that are put together from what is wrong.
COMPOSED = {"labels_length", "batch_length", "groups_length", "duplicate_features", "duplicate_cells"}
WITHOUT_A_CASE = {
    "cluster_lost": "no case starts a cluster",
    "missing_package": "the machines that run the cases have all packages",
    "mixed_values": "there are no cases of lists of data sets",
    "no_lsi": "there are no cases of embed()",
    "write_failed": "only the command line writes results to files",
    "too_few_cells": "training leaves out the LSI of so few cells",
    "too_many_values": "only R limits the size of a sparse matrix, to more values than a case can have",
}


class Call:
    """One case, ready to run: the objects of the caller, and what the verb returns."""

    def __init__(self, case, folder):
        self.case, self.folder = case, folder
        self.args = case.get("args", {})
        reference = case.get("reference")
        query = case.get("query")
        queries = query if isinstance(query, list) else [query] if query else []
        self.reference_data = read_fixture(reference) if reference else None
        self.reference = to_anndata(self.reference_data) if reference else None
        self.queries = [to_anndata(read_fixture(spec)) for spec in queries]
        self.held = [data for data in (self.reference, *self.queries) if data is not None]
        self.objects = {name: self.make_object(spec) for name, spec in case.get("objects", {}).items()}
        self.labels = make_labels(case.get("labels"), self.reference_data)
        self.path = self.make_path()
        self.warnings = []
        with self.listening():
            self.ds = self.make_ds()

    def make_ds(self):
        """Bring the model to where the verb of the case begins; an error on the way is raised by the verb."""
        verb = self.case["verb"]
        if verb in ("annotate", "report", "save"):
            model = self.case.get("model", ARCHIVED)
            return deepscore.load(HERE / model) if model else deepscore.DeepScore()
        if verb in ("set_reference", "train", "select_model"):
            try:
                ds = deepscore.DeepScore(**(SHORT | self.case.get("config", {})))
            except DeepScoreError as error:
                return error
            return self.set_reference(ds) if verb != "set_reference" and self.reference is not None else ds
        return None

    def make_object(self, spec):
        """Return what a case says of an argument: data sets, names, a file, a table, a model, or several of them."""
        if isinstance(spec, list):
            return [self.make_object(one) for one in spec]
        if "fixture" in spec:
            self.held.append(to_anndata(read_fixture(spec)))
            return self.held[-1]
        if "rna" in spec:
            return self.make_object(spec["rna"]), self.make_object(spec["atac"])
        if "file" in spec:
            path = self.folder / spec["file"]
            content = b"" if spec.get("missing") else (HERE / "fixtures" / spec["file"]).read_bytes()
            if not spec.get("missing"):
                path.write_bytes(change_file(content, spec["change"]) if "change" in spec else content)
            return path
        if "model" in spec:
            return deepscore.load(HERE / spec["model"]) if spec["model"] else deepscore.DeepScore()
        if "lists" in spec:
            return spec["lists"]
        return pd.DataFrame(spec["table"]) if "table" in spec else spec["names"]

    def make_path(self):
        """Lay out the file that a case reads or the place where it saves."""
        path = self.folder / "model.deepscore"
        file, place = self.case.get("file"), self.case.get("path", {})
        if file is not None and not file.get("missing"):
            content = (HERE / file.get("of", ARCHIVED)).read_bytes()
            path.write_bytes(change_file(content, file["change"]) if "change" in file else content)
        if "existing" in place:
            path.write_text(place["existing"])
        if place.get("folder"):
            path.mkdir()
            (path / "notes.txt").write_text("kept")
        below = place.get("below")
        return (path if below == "existing" else path.with_name(below)) / "model.deepscore" if below else path

    @contextmanager
    def listening(self):
        """Keep what is warned of."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            yield
        self.warnings += [str(w.message) for w in caught if w.category is UserWarning]

    def run(self):
        with self.listening():
            return getattr(self, "run_" + self.case["verb"], self.run_function)()

    def run_function(self):
        """Run a verb whose arguments are all named in the case."""
        return getattr(deepscore, self.case["verb"])(**self.objects, **self.args)

    def run_DeepScore(self):  # noqa: N802
        return deepscore.DeepScore(**self.case["config"])

    def run_plot(self):
        """Draw cells that the case lists, data sets or objects, and return the table that is drawn."""
        name, tables = self.case["plot"], []
        made = TABLES[name]
        given = [cells_to_plot(self.case["cells"])] if "cells" in self.case else self.queries
        with patch.dict(TABLES, {name: lambda *args, **kwargs: tables.append(made(*args, **kwargs)) or tables[-1]}):
            getattr(deepscore.plots, name)(*given, **self.objects, **self.args)
        pyplot.close("all")
        return tables[-1]

    def run_find_common_features(self):
        query = self.queries if isinstance(self.case["query"], list) else self.queries[0]
        labels = {} if self.labels is None else {"labels": self.labels}
        return deepscore.find_common_features(self.reference, query, **(self.args | labels))

    def run_check_reference(self):
        return deepscore.check_reference(self.reference, self.labels, *self.queries, **self.args)

    def run_set_reference(self):
        if isinstance(self.ds, DeepScoreError):
            raise self.ds
        return self.set_reference(self.ds)

    def set_reference(self, ds):
        return ds.set_reference(self.reference, self.labels, **self.args)

    def run_train(self):
        return self.ds.train(**({"progress": False} | self.case.get("train", {})))

    def run_select_model(self):
        return deepscore.select_model(self.ds, **({"progress": False} | self.case.get("train", {})))

    def run_annotate(self):
        if "earlier" in self.case:  # an annotation whose columns are there already
            self.ds.annotate(self.queries[0], **self.case["earlier"])
        return self.ds.annotate(self.queries[0], **self.args, **self.objects)

    def run_report(self):
        found = self.queries[0].copy()
        if self.case.get("annotated", True):
            self.ds.annotate(found)
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "report.html"
            deepscore.report(found, self.ds, page, **self.args, **self.objects)
            return page.read_text(encoding="utf-8")

    def run_load(self):
        return deepscore.load(self.path)

    def run_inspect(self):
        return deepscore.inspect_model(self.path)

    def run_save(self):
        return self.ds.save(self.path)

    def state(self):
        """Everything the caller holds, to compare before and after."""
        files = {str(path): path.read_bytes() for path in sorted(self.folder.rglob("*")) if path.is_file()}
        ds = {} if self.ds is None or isinstance(self.ds, DeepScoreError) else dict(vars(self.ds))
        return [fingerprint(data) for data in self.held], ds, files


def cells_to_plot(columns):
    """Return annotated cells without values; the probabilities of labels are where annotate puts them."""
    table = pd.DataFrame(columns, index=[f"cell{i}" for i in range(len(next(iter(columns.values()))))])
    prefix = "deepscore_probability_"
    obsm = table.filter(like=prefix)
    data = ad.AnnData(obs=table.drop(columns=obsm.columns))
    if len(obsm.columns):
        data.obsm["deepscore_probabilities"] = obsm.rename(columns=lambda name: name.removeprefix(prefix))
    return data


def fingerprint(data):
    matrices = [data.X, *data.layers.values()]
    values = [part.tobytes() for x in matrices for part in (x.data, x.indices, x.indptr)]
    tables = [table.to_csv(na_rep="<NA>") for table in (data.obs, data.var)]
    return values, tables, [sorted(part) for part in (data.obsm, data.uns, data.layers)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(case, tmp_path):
    call, expect = Call(case, tmp_path), case["expect"]
    before = call.state()
    if "error" in expect:
        with pytest.raises(DeepScoreError) as error:
            call.run()
        assert error.value.code == expect["error"], str(error.value)
        for part in expect.get("message", []):
            assert part in str(error.value)
        assert call.state() == before
        return
    result = call.run()
    expected = expect.get("warning", [])
    expected = [expected] if isinstance(expected, str) else expected
    assert len(call.warnings) == len(expected), call.warnings
    assert all(any(part in text for text in call.warnings) for part in expected), call.warnings
    check(call, result, expect, before)


def check(call, result, expect, before):
    if "values" in expect:
        assert result.X.T.toarray().tolist() == expect["values"]
        assert result.obs_names.tolist() == cells_of(call).tolist()
        assert result.var.get("covered", pd.Series()).tolist() == expect.get("covered", [])
        result = result.var_names.tolist()
    if "features" in expect:
        put = list if expect.get("ordered", True) else sorted
        assert put(result) == put(expect["features"])
    if "table" in expect:
        for column, values in expect["table"].items():
            found = result[column].tolist()
            assert_alike([str(one) for one in found] if isinstance(values[0], str) else found, values)
    if "recovers" in expect:
        check_recovery(call, result, expect["recovers"])
    check_figures(result, expect)
    if "calls" in expect:
        check_annotation(call, result, expect, before)
    for part in expect.get("page", []):
        assert part in result
    if "check" in expect:
        check_check(result, expect["check"])
    if "manifest" in expect or "n_features" in expect:
        manifest = result if isinstance(result, dict) else result.manifest
        assert len(manifest["features"]) == expect.get("n_features", len(manifest["features"]))
        for key, value in expect.get("manifest", {}).items():
            assert reduce(operator.getitem, key.split("."), manifest) == value, key
    if "same_weights_with_labels" in expect:
        with call.listening():
            other = deepscore.DeepScore(**SHORT).set_reference(call.reference, expect["same_weights_with_labels"])
            other.train(progress=False)
        assert other.manifest["content_sha256"] == result.manifest["content_sha256"]
    if "saved" in expect:
        assert deepscore.load(call.path).manifest == call.ds.manifest
        assert [path.name for path in call.folder.iterdir()] == [call.path.name]


def cells_of(call):
    """Return the names of the cells that a verb counts."""
    names = call.objects.get("cells")
    return call.held[0].obs_names if names is None else np.array(names)


def check_recovery(call, ds, expect):
    """Annotate a data set with the model that came out, and compare with the truth."""
    query = call.make_object(expect["query"])
    if "annotation" in expect:
        query = deepscore.gene_activity(query, call.make_object(expect["annotation"]))
    found = ds.annotate(query)
    assert (found.obs["deepscore"].astype(str) == found.obs[expect["labels"]].astype(str)).mean() > expect["least"]


def check_check(found, expect):
    table = found.labels.set_index("label")
    for column in {"cells", "tested", "trusted"} & set(expect):
        assert table[column].to_dict() == expect[column]
    if "confusable" in expect:
        pairs = found.confusable[["label", "taken_for"]].to_numpy().tolist()
        assert sorted(pairs) == expect["confusable"]
    overlap = dict(found.overlap or {})
    if overlap:
        assert overlap.pop("share") == overlap["found"] / overlap["features"]
    assert overlap == expect.get("overlap", {})
    assert expect.get("design", found.design) == found.design
    for part in expect.get("words", []):
        assert part in "\n".join(found.words)


def check_figures(result, expect):
    """Compare tables (rows of some labels, some columns; "" is the result itself), named matrices, and numbers."""
    for name, columns in expect.get("tables", {}).items():
        table = getattr(result, name) if name else result
        table = table[table["label"].isin(columns["label"])]
        for column, values in columns.items():
            assert_alike(table[column].tolist(), values)
    for name, matrix in expect.get("matrices", {}).items():
        table = getattr(result, name)
        assert (table.index.tolist(), table.columns.tolist()) == (matrix["rows"], matrix["columns"])
        assert_alike(table.to_numpy().ravel().tolist(), np.ravel(matrix["values"]).tolist())
    for name, number in expect.get("numbers", {}).items():
        assert_alike([getattr(result, name)], [number])


def assert_alike(found, expected):
    if any(isinstance(one, str) for one in expected):
        assert found == expected
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def check_annotation(call, result, expect, before):
    numbers = {"scores": "_score", "group_shares": "_group_share"}
    texts = {"calls": "", "raw": "_raw", "reasons": "_reason", "groups": "_group"}
    tolerance = expect.get("tolerance", TOLERANCE)
    for key, column in texts.items():
        if key in expect:
            assert result.obs[f"deepscore{column}"].tolist() == expect[key]
    for key, column in numbers.items():
        if key in expect:
            np.testing.assert_allclose(result.obs[f"deepscore{column}"], expect[key], rtol=0, atol=tolerance)
    assert ("deepscore_probabilities" in result.obsm) == ("probabilities" in expect)
    if "probabilities" in expect:
        table = result.obsm.pop("deepscore_probabilities")
        assert list(table.columns) == expect["labels"]
        np.testing.assert_allclose(table, expect["probabilities"], rtol=0, atol=tolerance)
    assert result is call.queries[0]
    columns = ["deepscore", *(f"deepscore_{name}" for name in ("score", "raw", "reason"))]
    columns += ["deepscore_group", "deepscore_group_share"] if "groups" in expect else []
    assert [column for column in result.obs if column.startswith("deepscore")] == columns
    result.obs.drop(columns=columns, inplace=True)
    for key in ("deepscore", "deepscore_colors"):  # where the calls come from, and their colours
        result.uns.pop(key)
    assert call.state() == before  # nothing else of the query has changed


def test_cases_are_well_formed():
    names = [case["name"] for case in CASES]
    assert len(set(names)) == len(names)
    for entry in read_json("known_differences.json"):
        assert set(entry) == {"case", "container", "why"}
        assert entry["case"] in names
        assert entry["container"] in ("Seurat", "Seurat 5", "dgCMatrix")


def test_every_archived_model_is_checked():
    checked = {case.get("model") for case in CASES if case["name"].startswith("archived model")}
    assert checked == {str(path.relative_to(HERE)) for path in HERE.glob("models/*/*.deepscore")}


def error_codes():
    """Return the code of every error that the engine raises, from its source."""
    errors = {kind.__name__ for kind in DeepScoreError.__subclasses__()}
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in Path(deepscore.__file__).parent.rglob("*.py"))
    calls = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args)
    named = (call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id in errors)
    return {code.value for code in named if isinstance(code, ast.Constant)} | COMPOSED


def test_every_error_code_has_a_case():
    tested = {case["expect"].get("error") for case in CASES}
    assert error_codes() - tested == set(WITHOUT_A_CASE)


# What the contract does not list: the model and, of plots, the cells and what only matplotlib asks for.
ALSO = ("self", "ds", "adata", "ax", "show")


@pytest.mark.parametrize("verb", read_json("arguments.json"))
def test_arguments_are_those_of_the_contract(verb):
    contract = read_json("arguments.json")[verb]
    function = operator.attrgetter(contract["python"])(deepscore)
    found = [p for p in inspect.signature(function).parameters.values() if p.name not in ALSO]
    assert [p.name for p in found] == [argument[0] for argument in contract["arguments"]]
    defaults = [[] if p.default is p.empty else [p.default] for p in found]
    plain = [[list(v) if isinstance(v, tuple) else v for v in default] for default in defaults]
    assert plain == [argument[1:] for argument in contract["arguments"]]
    keyword_only = [p.name for p in found if p.kind is p.KEYWORD_ONLY]
    assert (keyword_only or [None])[0] == contract.get("keyword_only_from")


def test_r_has_the_schemas_of_python():
    ours, theirs = (HERE.parent / folder for folder in ("python/src/deepscore/model/schemas", "r-package/inst/schemas"))
    assert {path.name: path.read_bytes() for path in ours.iterdir()} == {
        path.name: path.read_bytes() for path in theirs.iterdir()
    }
