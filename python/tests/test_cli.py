from __future__ import annotations

import json
import logging

import anndata as ad
import numpy as np
import pytest

import deepscore
from deepscore.cli import main
from synthetic import dataset


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    yield
    logging.captureWarnings(capture=False)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder, made the current one, with a reference, a query and a model."""
    monkeypatch.chdir(tmp_path)
    dataset(1, n_cells=120).write_h5ad("ref.h5ad")
    query = dataset(2, n_cells=150)
    query.layers["raw"] = query.X.copy()
    query.write_h5ad("query.h5ad")
    return tmp_path


@pytest.fixture
def with_model(folder, trained):
    trained.save("model.deepscore")
    return folder


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_train_annotate_inspect(folder, capsys):
    assert (
        run("train", "ref.h5ad", "--labels", "cell_type", "--query", "query.h5ad", "--n-features", 40, "-o", "m") == 0
    )
    assert "3 labels, 40 features" in capsys.readouterr().out
    assert run("annotate", "m", "query.h5ad", "-o", "out.h5ad", "--probabilities", "--report", "report.html") == 0
    assert "150 cells, " in capsys.readouterr().out
    found = ad.read_h5ad("out.h5ad")
    assert (found.obs["deepscore"] == found.obs["cell_type"]).mean() > 0.9
    assert found.obsm["deepscore_probabilities"].shape == (150, 3)
    assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert run("inspect", "m") == 0
    assert json.loads(capsys.readouterr().out) == deepscore.inspect_model("m")
    assert sorted(path.name for path in folder.iterdir()) == ["m", "out.h5ad", "query.h5ad", "ref.h5ad", "report.html"]


def test_check_prints_what_python_finds(folder, capsys):
    assert run("check", "ref.h5ad", "--labels", "cell_type", "--query", "query.h5ad", "--batch", "batch") == 0
    expected = deepscore.check_reference("ref.h5ad", "cell_type", "query.h5ad", batch="batch")
    assert capsys.readouterr().out.strip() == str(expected)
    assert run("check", "ref.h5ad", "--labels", "cell_type", "--folds", 2, "--seed", 3) == 0
    expected = deepscore.check_reference("ref.h5ad", "cell_type", folds=2, seed=3)
    assert capsys.readouterr().out.strip() == str(expected)


def test_the_command_gives_the_model_that_python_gives(folder):
    run("train", "ref.h5ad", "--labels", "cell_type", "--batch", "batch", "--n-features", 30, "--seed", 5, "-o", "m")
    genes = deepscore.find_common_features("ref.h5ad", [], 30)
    ds = deepscore.DeepScore(common_features=genes, seed=5).set_reference("ref.h5ad", "cell_type", batch="batch")
    assert ds.train(progress=False).manifest == deepscore.inspect_model("m")


def test_markers_are_those_of_the_labels(folder):
    run("train", "ref.h5ad", "--labels", "cell_type", "--strategy", "markers", "--n-features", 12, "-o", "m")
    expected = deepscore.find_common_features("ref.h5ad", [], 12, "markers", labels="cell_type")
    assert deepscore.inspect_model("m")["features"] == expected


def test_arguments_of_annotate_are_handed_on(with_model, trained):
    run(
        "annotate",
        "model.deepscore",
        "query.h5ad",
        "-o",
        "out.h5ad",
        "--threshold",
        0.9,
        "--layer",
        "raw",
        "--batch",
        "batch",
        "--groups",
        "cell_type",
        "--no-refine",
    )
    found = ad.read_h5ad("out.h5ad").obs
    expected = trained.annotate("query.h5ad", threshold=0.9, batch="batch", groups="cell_type", refine=False).obs
    for column in ("deepscore", "deepscore_raw", "deepscore_reason", "deepscore_group"):
        assert found[column].astype(str).tolist() == expected[column].tolist()
    refined = trained.annotate("query.h5ad", threshold=0.9, batch="batch").obs["deepscore_score"]
    assert not np.allclose(refined, found["deepscore_score"])


def test_a_file_may_be_annotated_in_place(with_model):
    assert run("annotate", "model.deepscore", "query.h5ad", "-o", "query.h5ad") == 0
    assert "deepscore" in ad.read_h5ad("query.h5ad").obs


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("inspect", "none"), "file_not_found"),
        (("inspect", "query.h5ad"), "not_a_model"),
        (("annotate", "model.deepscore", "none.h5ad", "-o", "out.h5ad"), "file_not_found"),
        (("annotate", "model.deepscore", "query.h5ad", "-o", "out.h5ad", "--threshold", "2"), "bad_argument"),
        (("annotate", "model.deepscore", "query.h5ad", "-o", "none/out.h5ad"), "os_error"),
        (("check", "ref.h5ad", "--labels", "none"), "column_not_found"),
        (("check", "ref.h5ad", "--labels", "cell_type", "--folds", "1"), "bad_argument"),
        (("train", "ref.h5ad", "--labels", "none", "--n-features", "20", "-o", "m"), "column_not_found"),
        (("train", "ref.h5ad", "--labels", "cell_type", "--n-features", "0", "-o", "m"), "bad_argument"),
        (("train", "ref.h5ad", "--labels", "cell_type", "--n-features", "20", "-o", "none/m"), "path_not_writable"),
    ],
)
def test_an_error_is_one_line_with_its_code(with_model, capsys, arguments, code):
    before = {path.name: path.read_bytes() for path in with_model.iterdir()}
    assert run(*arguments) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("deepscore: ")
    assert last.endswith(f"[{code}]")
    assert {path.name: path.read_bytes() for path in with_model.iterdir()} == before


@pytest.mark.parametrize(("arguments", "status"), [(("--version",), 0), (("--help",), 0), ((), 2), (("fly",), 2)])
def test_help_and_wrong_use(arguments, status, capsys):
    with pytest.raises(SystemExit) as left:
        run(*arguments)
    assert left.value.code == status
    told = capsys.readouterr()
    assert "deepscore" in (told.out if status == 0 else told.err)
