from __future__ import annotations

import inspect
import logging
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

import deepscore
from deepscore.data.blocks import require_unique
from deepscore.data.modality import select_modality
from deepscore.errors import InputError
from deepscore.interfaces import r as rbridge
from deepscore.model import file as modelfile
from deepscore.version import __version__

CONFIG = {"hidden_nodes": [16.0, 8.0], "epochs": 3.0, "batch_size": 32.0, "seed": 4.0}


def handle(data, source="assay 'RNA', slot 'counts'", modality=None):
    """Return a data set the way R hands it over: columns of a features x cells matrix as bytes."""
    csr = data.X.tocsr()

    def read(start, stop):
        assert type(start) is type(stop) is int
        part = csr[start:stop]
        return {
            "p": bytearray(part.indptr.astype(np.int32).tobytes()),
            "i": bytearray(part.indices.astype(np.int32).tobytes()),
            "x": bytearray(part.data.astype(np.float32).tobytes()),
        }

    answer = rbridge.blocks(list(data.var_names), list(data.obs_names), float(csr.nnz), read, source, modality)
    return answer["value"]


def value(answer):
    assert "error" not in answer, answer["error"]
    return answer["value"]


def error(answer):
    assert "value" not in answer
    return answer["error"]


def labels(data):
    return data.obs["cell_type"].tolist()


def is_plain(answer):
    """Tell whether an answer holds nothing but what R can take."""
    if isinstance(answer, dict):
        return all(type(name) is str and is_plain(part) for name, part in answer.items())
    if isinstance(answer, list):
        return all(map(is_plain, answer))
    return type(answer) in (str, bytes, int, float, bool, type(None))


@pytest.fixture
def model(reference):
    prepared = value(rbridge.set_reference(CONFIG, handle(reference), labels(reference), None, {}))
    return value(rbridge.train(CONFIG, prepared, {"progress": False}))


def test_the_handshake_tells_versions():
    found = rbridge.handshake()
    assert is_plain(found)
    assert found["version"] == __version__
    assert found["numpy"] == np.__version__
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert found["python"] == sys.version.split()[0]
    assert found["bridge"] == rbridge.BRIDGE


def test_blocks_read_what_r_holds(reference):
    data = handle(reference)
    assert data.source == "assay 'RNA', slot 'counts'"
    assert (data.read(10, 35) != reference.X[10:35]).nnz == 0
    assert data.feature_names.tolist() == reference.var_names.tolist()


def test_blocks_of_one_modality(reference):
    both = reference.copy()
    peaks = [f"chr1:{i}00-{i}50" for i in range(30)]
    both.var_names = [*peaks, *both.var_names[30:]]
    assert handle(both, modality="peaks").feature_names.tolist() == peaks
    assert (handle(both, modality="rna").to_csr() != both.X[:, 30:]).nnz == 0
    answer = rbridge.blocks(["CD3E"], ["x"], 1.0, None, "matrix", "peaks")
    assert error(answer)["code"] == "modality_mismatch"


def test_names_of_peaks_are_told():
    assert value(rbridge.are_peaks(["chr1:10-20", "TRNA-1-2", "chr1-20-10", None])) == [True, True, False, False]
    assert value(rbridge.are_peaks([])) == []
    assert value(rbridge.modality_of_names(["chr1:10-20", "TRNA-1-2", "CD3E"])) == "peaks"
    assert value(rbridge.modality_of_names([])) == "rna"


def test_the_part_of_a_modality_is_told():
    assert value(rbridge.first_part(["ADT", "ATAC", "sct"], "rna")) == "sct"
    assert value(rbridge.first_part(["ADT"], "rna")) is None


@pytest.mark.parametrize(
    ("names", "modality", "chosen"),
    [
        (["RNA", "ADT", "ATAC"], "protein", "ADT"),
        (["RNA", "ADT", "ATAC"], "peaks", "ATAC"),
        (["RNA", "ADT"], "peaks", "RNA"),
        (["ADT", "activity", "rna"], "rna", "rna"),  # its own name comes before its keys
        (["ATAC", "ACTIVITY"], "rna", "ACTIVITY"),
        (["ADT"], "colour", "ADT"),
        # What the name of an assay does not tell, the names of its features do.
        (["SCT", "RNA", "ADT"], "rna", "SCT"),
        (["windows", "cells"], "rna", "cells"),
        (["RNA", "windows"], "peaks", "windows"),
        (["Peaks", "Antibody Capture", "Gene Expression"], "rna", "Gene Expression"),
        (["Gene Expression", "Antibody Capture"], "protein", "Antibody Capture"),
        (["SCT", "RNA", "ADT"], "protein", "ADT"),
        (["windows", "RNA", "peaks"], "peaks", "windows"),
        (["windows", "RNA", "peaks"], "rna", "RNA"),
    ],
)
def test_the_assay_of_a_modality_is_told_by_its_name(names, modality, chosen):
    features = [["chr1:1-10", "chr1:20-30"] if name in ("windows", "ATAC") else ["CD4", "CD19"] for name in names]
    answer = rbridge.choose_part(names, features, modality)
    assert value(answer) == chosen
    assert bool(answer["notes"]) == (chosen != names[0])  # a choice is told


@pytest.mark.parametrize(
    ("assay", "kind"), [("ADT", "protein"), ("prot", "protein"), ("RNA", "peaks"), ("ATAC", "peaks"), (None, "peaks")]
)
def test_an_assay_of_antibodies_tells_what_its_features_are(assay, kind):
    """Peaks tell it themselves, also in an assay that Seurat called RNA because nobody gave a name."""
    data = value(rbridge.blocks(["chr1:1-10", "chr1:20-30"], ["x"], 1.0, None, "matrix", None, assay))
    assert select_modality(data, None)[1].name == kind


def test_queries_have_the_modality_of_their_reference(reference):
    data = handle(reference)
    assert value(rbridge.modality_of(data)) == "rna"
    prepared = value(rbridge.set_reference(CONFIG, data, labels(reference), None, {}))
    assert value(rbridge.modality_of(prepared)) == "rna"


def test_values_with_the_names_of_their_cells_are_put_in_order(reference):
    data, given = handle(reference), labels(reference)
    turned = {"values": given[::-1], "names": list(reference.obs_names[::-1])}
    for values in (given, turned):
        found = value(rbridge.set_reference(CONFIG, data, values, None, {}))
        batched = value(rbridge.set_reference(CONFIG, data, given, values, {}))
        if values is given:
            expected = found, batched
    assert (found, batched) == expected
    other = {"values": given, "names": ["x"] * len(given)}
    assert error(rbridge.set_reference(CONFIG, data, given, other, {}))["code"] == "labels_cells"


def test_words_for_missing_labels_are_missing(reference):
    some = ["nan"] * 20 + labels(reference)[20:]
    found = rbridge.set_reference(CONFIG, handle(reference), some, None, {})
    assert any("20 of 240 cells" in note["text"] for note in found["notes"])


def test_a_check_equals_that_of_python(reference, query):
    options = {"folds": 2.0, "seed": 3.0}
    found = value(
        rbridge.check_reference(
            handle(reference), labels(reference), handle(query), list(reference.obs["batch"]), options
        )
    )
    assert is_plain(found)
    expected = deepscore.check_reference(reference, "cell_type", query, batch="batch", folds=2, seed=3)
    assert found["words"] == list(expected.words)
    assert found["labels"] == expected.labels.to_dict("list")
    assert found["confusable"] == expected.confusable.to_dict("list")
    assert (found["overlap"], found["design"]) == (expected.overlap, expected.design)
    plain = value(
        rbridge.check_reference(
            handle(reference), labels(reference), None, None, {"common_features": ["GENE000"], **options}
        )
    )
    assert is_plain(plain)
    assert plain["overlap"] is None
    assert error(rbridge.check_reference(handle(reference), None, None, None, {}))["code"] == "no_labels"
    assert (
        error(rbridge.check_reference(handle(reference), labels(reference), None, None, {"x": 1}))["code"]
        == "bad_argument"
    )


def test_training_and_annotation_equal_those_of_python(reference, query, model):
    ds = deepscore.DeepScore((16, 8), epochs=3, batch_size=32, seed=4).set_reference(reference, "cell_type")
    ds.train(progress=False)
    assert model == modelfile.to_bytes(ds._model)
    groups = [*query.obs["batch"][:-1], None]
    options = {"probabilities": True, "threshold": 0.4}
    found = value(rbridge.annotate(model, handle(query), None, groups, options))
    assert is_plain(found)
    expected = ds.annotate(query, threshold=0.4, probabilities=True, groups=groups)
    columns = found["columns"]
    assert list(columns) == [name for name in expected.obs if name.startswith("deepscore")]
    for name, values in columns.items():
        if isinstance(values, bytes):
            np.testing.assert_allclose(np.frombuffer(values), expected.obs[name], atol=1e-5)
        else:
            assert values == expected.obs[name].tolist()
    table = np.frombuffer(found["probabilities"]).reshape(query.n_obs, -1)
    np.testing.assert_allclose(table, expected.obsm["deepscore_probabilities"], atol=1e-5)
    assert found["labels"] == ["B cell", "NK cell", "T cell"]


def test_batches_cross_the_bridge(reference, query):
    batches = [data.obs["batch"].tolist() for data in (reference, query)]
    prepared = value(
        rbridge.set_reference(CONFIG, handle(reference), labels(reference), batches[0], {"test_prop": 0.2})
    )
    model = value(rbridge.train(CONFIG, prepared, {"progress": False}))
    found = value(rbridge.annotate(bytearray(model), handle(query), batches[1], None, {}))
    ds = deepscore.DeepScore((16, 8), epochs=3, batch_size=32, seed=4)
    ds.set_reference(reference, "cell_type", batch="batch", test_prop=0.2).train(progress=False)
    assert found["columns"]["deepscore"] == ds.annotate(query, batch="batch").obs["deepscore"].tolist()
    assert found["probabilities"] is None
    assert "deepscore_group" not in found["columns"]


@pytest.mark.parametrize("kwargs", [{}, {"n_features": 20.0}, {"n_features": 12.0, "strategy": "markers"}])
def test_common_features_equal_those_of_python(reference, query, kwargs):
    kwargs = {"n_features": 30.0} | kwargs
    found = value(rbridge.find_common_features(handle(reference), [handle(query)], labels(reference), kwargs))
    arguments = kwargs | {"n_features": int(kwargs["n_features"])}
    assert found == deepscore.find_common_features(reference, query, labels="cell_type", **arguments)
    assert is_plain(found)


def test_missing_labels_are_none(reference):
    some = labels(reference)
    some[:20] = [None] * 20
    answer = rbridge.set_reference(CONFIG, handle(reference), some, None, {})
    model = value(rbridge.train(CONFIG, value(answer), {"progress": False}))
    assert modelfile.from_bytes(model).training["n_unlabelled"] == 20
    assert any("20 of 240 cells" in note["text"] for note in answer["notes"])


def test_a_model_is_checked_in_full(model):
    assert rbridge.check_model(model) == {"value": None, "notes": []}
    damaged = bytearray(model)
    damaged[-1] ^= 1
    assert error(rbridge.check_model(damaged))["code"] == "edited"


def test_a_model_is_saved_as_a_whole(model, tmp_path):
    path = tmp_path / "model.deepscore"
    assert value(rbridge.save_model(bytearray(model), str(path))) is None
    assert path.read_bytes() == model
    assert error(rbridge.save_model(model, str(tmp_path)))["code"] == "path_not_writable"
    assert error(rbridge.save_model(model[:-9], str(path)))["code"] == "truncated"
    assert path.read_bytes() == model


def test_that_torch_came_first_is_told_once(model, query, monkeypatch):
    monkeypatch.setattr(rbridge, "_torch_came_first", None)
    assert rbridge.torch_came_first()  # these tests have loaded it
    told = [
        [note["text"] for note in rbridge.annotate(model, handle(query), None, None, {})["notes"]] for _ in range(2)
    ]
    assert [sum(text.startswith("torch was loaded before deepscore") for text in texts) for texts in told] == [1, 0]
    monkeypatch.setattr(rbridge, "_torch_came_first", False)
    assert not rbridge.torch_came_first()


def test_log_lines_and_warnings_are_handed_over_as_notes(model, query):
    answer = rbridge.annotate(model, handle(query[:, :30].copy()), None, None, {})
    levels = [note["level"] for note in answer["notes"]]
    assert set(levels) == {"info", "warning"}
    assert any(note["text"].startswith("assay 'RNA', slot 'counts': counts") for note in answer["notes"])
    assert [note["text"][:32] for note in answer["notes"] if note["level"] == "warning"] == [
        "The query has only 30 of the mod",
    ]


def test_errors_are_values(model, query, reference):
    short = error(rbridge.set_reference(CONFIG, handle(reference), labels(reference)[:-1], None, {}))
    assert (short["class"], short["code"]) == ("InputError", "labels_length")
    assert "239" in short["message"]
    assert "240" in short["message"]
    assert error(rbridge.set_reference(CONFIG, handle(reference), None, None, {}))["code"] == "no_labels"
    assert error(rbridge.annotate(model, handle(query), None, ["x"], {}))["code"] == "groups_length"
    assert error(rbridge.annotate(model, handle(query), None, None, {"refine": "yes"}))["code"] == "bad_argument"
    assert error(rbridge.check_config({"epochs": 0.0}))["class"] == "ConfigError"
    assert error(rbridge.check_config({"epoch": 1.0}))["code"] == "bad_argument"
    assert error(rbridge.check_model(b"no model"))["class"] == "ModelFileError"
    assert error(rbridge.annotate(model, handle(query), None, None, {"threshold": 2.0}))["code"] == "bad_argument"
    told = rbridge.blocks(["a", "a"], ["x", "x"], 1.0, None, "matrix")["notes"]
    assert [note["level"] for note in told] == ["warning"]
    assert told[0]["text"].startswith("1 cell names occur more than once (x)")


@pytest.mark.parametrize("verb", ["set_reference", "train", "annotate", "find_common_features"])
def test_an_argument_that_is_not_there_is_refused(verb, model, reference):
    data = handle(reference)
    prepared = value(rbridge.set_reference(CONFIG, data, labels(reference), None, {}))
    answer = {
        "set_reference": lambda: rbridge.set_reference(CONFIG, data, labels(reference), None, {"tests": 1.0}),
        "train": lambda: rbridge.train(CONFIG, prepared, {"epochs": 3.0}),
        "annotate": lambda: rbridge.annotate(model, data, None, None, {"treshold": 0.5}),
        "find_common_features": lambda: rbridge.find_common_features(data, [data], None, {"n": 5.0}),
    }[verb]()
    assert error(answer)["code"] == "bad_argument"


@pytest.mark.parametrize("shown", [True, False])
def test_r_says_whether_bars_are_shown(model, query, shown, capsys, monkeypatch):
    monkeypatch.setattr("deepscore.support.progress.DELAY", 0)
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda stream: True)
    value(rbridge.annotate(model, handle(query), None, None, {}, progress=shown))
    assert ("annotate: 100%" in capsys.readouterr().err) == shown
    assert error(rbridge.modality_of_names(["CD3E"], progress="often"))["code"] == "bad_argument"


def test_configurations_are_checked_without_data():
    assert rbridge.check_config(CONFIG) == {"value": None, "notes": []}
    assert rbridge.check_config({"hidden_nodes": 64.0, "common_features": ["a", "b"]})["value"] is None


def test_the_logger_and_warnings_are_left_as_they_were(model, query):
    logger = logging.getLogger("deepscore")
    before = logger.level, list(logger.handlers), list(warnings.filters)
    rbridge.annotate(model, handle(query), None, None, {})
    rbridge.check_model(b"")
    assert (logger.level, list(logger.handlers), list(warnings.filters)) == before


def test_the_film_of_a_query(reference, query, tmp_path):
    prepared = value(rbridge.set_reference(CONFIG, handle(reference), labels(reference), None, {}))
    value(rbridge.train(CONFIG, prepared, {"progress": False, "gif": str(tmp_path / "film.gif")}, handle(query)))
    assert (tmp_path / "film.gif").read_bytes()[:3] == b"GIF"


def heavy_after(code):
    """Return which of the heavy libraries a new Python has loaded after some code."""
    code = f"import sys; {code}; print(*sorted({{'torch', 'anndata'}} & set(sys.modules)))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_the_handshake_needs_neither_torch_nor_anndata():
    code = "from deepscore.interfaces import r as rbridge; rbridge.handshake(); rbridge.check_config({'epochs': 3.0})"
    assert heavy_after(code) == []


def test_a_path_is_opened_with_its_names_and_columns(query, tmp_path):
    query.obs["cluster"] = [None, "a", "b"] * 50
    query.write_h5ad(tmp_path / "query.h5ad")
    opened = rbridge.open_data([str(tmp_path / "query.h5ad")], None, None, None)["value"]
    assert opened["cells"] == query.obs_names.tolist()
    assert opened["features"] == query.var_names.tolist()
    assert opened["columns"] == ["cell_type", "batch", "cluster"]
    assert rbridge.column_of(opened["table"], "cluster")["value"] == [None, "a", "b"] * 50
    np.testing.assert_array_equal(opened["blocks"].to_csr().toarray(), query.X.toarray())
    assert rbridge.column_of(opened["table"], "none")["error"]["code"] == "column_not_found"
    assert rbridge.open_data([str(tmp_path / "none.h5ad")], None, None, None)["error"]["code"] == "file_not_found"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("refine must be True or False, not None.", "refine must be TRUE or FALSE, not NULL."),
        ("strategy='markers' needs labels: give labels=.", 'strategy = "markers" needs labels: give `labels`.'),
        ("Give peaks=, too (min_overlap=0.1).", "Give `peaks`, too (min_overlap = 0.1)."),
        ("Say so: values='counts' (on the command line --values).", 'Say so: values = "counts".'),
        (
            "Name a column (feature_names=, --feature-names) or give cells=, or --cells FILE.",
            "Name a column (`feature_names`) or give `cells`.",
        ),
        ("None of the 5 genes of 'x' has a peak: a == b, X=y.", "None of the 5 genes of 'x' has a peak: a == b, X=y."),
    ],
)
def test_arguments_in_messages_are_spelt_as_in_r(text, expected):
    assert rbridge.in_r(text) == expected


def test_users_of_r_are_told_what_to_type_in_r():
    @rbridge.answering
    def refused():
        require_unique(np.array(["A", "A"], object), "feature")

    told = refused()["error"]["message"]
    assert "rownames(x) <- make.unique(rownames(x))" in told
    assert "adata" not in told
    with pytest.raises(InputError, match=r"adata\.var_names_make_unique\(\)"):
        require_unique(np.array(["A", "A"], object), "feature")


def test_reticulate_sees_that_every_function_takes_progress():
    """Its newer versions make R functions with the arguments of the Python signature."""
    for function in (rbridge.train, rbridge.check_config, rbridge.choose_part):
        assert "progress" in inspect.signature(function).parameters


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.h5ad", True), ("A.H5", True), ("matrix.mtx.gz", True), ("f.tsv.gz", False), ("peaks.bed", False)],
)
def test_paths_of_data_sets_are_told_from_those_of_text(tmp_path, name, expected):
    assert rbridge.holds_data(str(tmp_path / name))["value"] is expected
    assert rbridge.holds_data(str(tmp_path))["value"] is True  # as a store or the matrices of Cell Ranger are


def test_several_paths_are_opened_as_one_with_the_columns_that_all_have(query, tmp_path):
    query[:60].copy().write_h5ad(tmp_path / "a.h5ad")
    other = query[60:].copy()
    other.obs = other.obs[["cell_type"]]
    other.write_h5ad(tmp_path / "b.h5ad")
    paths = [str(tmp_path / name) for name in ("a.h5ad", "b.h5ad")]
    opened = rbridge.open_data(paths, None, None, None)["value"]
    assert opened["cells"] == query.obs_names.tolist()
    assert (opened["columns"], opened["sizes"]) == (["cell_type"], [60, 90])
    assert rbridge.column_of(opened["table"], "cell_type")["value"] == query.obs["cell_type"].tolist()
