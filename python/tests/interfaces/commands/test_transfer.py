from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import deepscore
from deepscore.errors import InputError
from deepscore.interfaces.cli import main
from deepscore.interfaces.commands.transfer import write_lines
from synthetic import dataset


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset(1, n_cells=120).write_h5ad("ref.h5ad")
    dataset(2, n_cells=150)[:, 10:].copy().write_h5ad("query.h5ad")
    return tmp_path


def run(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.mark.parametrize("form", [["query.h5ad"], ["--query", "query.h5ad"]])
@pytest.mark.parametrize("how", [{}, {"strategy": "markers", "labels": "cell_type", "test": "wilcoxon"}])
def test_features_are_those_of_python_printed_or_written(folder, capsys, form, how):
    options = [text for name, value in how.items() for text in (f"--{name}", value)]
    assert run("features", "ref.h5ad", *form, "--n-features", 20, *options) == 0
    expected = deepscore.find_common_features("ref.h5ad", "query.h5ad", 20, **how)
    assert capsys.readouterr().out.splitlines() == expected
    assert run("features", "ref.h5ad", *form, "--n-features", 20, *options, "-o", "genes.txt") == 0
    assert capsys.readouterr().out == "20 features -> genes.txt\n"
    assert (folder / "genes.txt").read_text().splitlines() == expected


def test_a_model_is_trained_on_the_features_in_a_file(folder, capsys):
    assert run("features", "ref.h5ad", "-q", "--n-features", 15, "-o", "genes.txt") == 0
    assert capsys.readouterr().out == ""
    train = ("train", "ref.h5ad", "--labels", "cell_type", "-o", "m", "--features", "genes.txt")
    assert run(*train, "--n-features", 10) == 1
    assert capsys.readouterr().err.endswith("[bad_argument]\n")
    assert run(*train) == 0
    assert deepscore.inspect_model("m")["features"] == (folder / "genes.txt").read_text().splitlines()


def test_the_settings_of_network_and_training_are_those_of_python(folder):
    settings = {
        "epochs": 3, "batch_size": 16, "lr": 0.01, "activation": "tanh", "dropout_rate": 0.1, "max_norm": 2.5,
        "l1": 1e-4, "l2": 1e-3, "seed": 4, "n_labels": 3,
    }  # fmt: skip
    course = {"patience": 1, "lr_schedule": "step"}
    options = [text for name, x in (settings | course).items() for text in (f"--{name.replace('_', '-')}", x)]
    flags = ("--no-batchnorm", "--early-stopping", "--hidden-nodes", "8,4", "--test-prop", 0.2, "--device", "cpu")
    shared = dataset(1).var_names[10:40]
    (folder / "genes").write_text("\n".join(shared))
    assert run("train", "ref.h5ad", "--labels", "cell_type", "--features", "genes", *options, *flags, "-o", "m") == 0
    ds = deepscore.DeepScore((8, 4), list(shared), batchnorm=False, **settings)
    ds.set_reference("ref.h5ad", "cell_type", test_prop=0.2).train(early_stopping=True, progress=False, **course)
    assert deepscore.inspect_model("m") == ds.manifest


@pytest.mark.parametrize(
    "options",
    [("--lr", "-1"), ("--activation", "none"), ("--hidden-nodes", "0"), ("--lr-schedule", "no"), ("--patience", "0")],
)
def test_settings_that_make_no_sense_are_refused_before_anything_is_read(folder, capsys, options):
    assert run("train", "none.h5ad", "--labels", "cell_type", *options, "-o", "m") == 1
    assert capsys.readouterr().err.endswith("[bad_argument]\n")


def test_the_film_shows_the_query(folder):
    quick = ("--n-features", 20, "--epochs", 2, "--hidden-nodes", 8, "--query", "query.h5ad")
    assert run("train", "ref.h5ad", "--labels", "cell_type", *quick, "--gif", "film.gif", "-o", "m") == 0
    assert (folder / "film.gif").read_bytes().startswith(b"GIF8")
    assert run("train", "ref.h5ad", "--labels", "cell_type", *quick, "--gif", "m", "-o", "m") == 1


def test_a_lone_cell_type_column_is_no_feature_list(tmp_path):
    with pytest.raises(InputError, match="not one line"):
        write_lines(str(tmp_path / "out"), ["A", "B\nC"])
    assert not list(tmp_path.iterdir())


def test_an_error_shows_where_it_came_from_with_debug(folder, capsys, monkeypatch):
    for arguments in (
        ("--debug", "check", "ref.h5ad", "--labels", "no"),
        ("check", "ref.h5ad", "--labels", "no", "--debug"),
    ):
        assert run(*arguments) == 1
        told = capsys.readouterr().err
        assert "Traceback" in told
        assert told.rstrip().endswith("[column_not_found]")

    def fails(*args, **kwargs):
        raise ZeroDivisionError("\x1b[2J")

    monkeypatch.setattr("deepscore.interfaces.python.check_reference", fails)
    assert run("check", "ref.h5ad", "--labels", "cell_type") == 1
    told = capsys.readouterr().err
    assert told.startswith("deepscore: ZeroDivisionError: \\x1b[2J. ")
    assert told.endswith("[unexpected]\n")
    assert "Traceback" not in told


def test_check_takes_the_features_in_a_file(folder, capsys):
    (folder / "genes").write_text("\n".join(f"GENE{i:03d}" for i in range(20)))
    assert run("check", "ref.h5ad", "--labels", "cell_type", "--features", "genes", "--folds", 2) == 0
    names = [f"GENE{i:03d}" for i in range(20)]
    expected = deepscore.check_reference("ref.h5ad", "cell_type", common_features=names, folds=2)
    assert capsys.readouterr().out.strip() == str(expected)


def test_refine_and_probabilities_may_be_said_either_way(folder, trained):
    trained.save("m")
    dataset(2, n_cells=150).write_h5ad("query.h5ad")
    scores = []
    for flag in ("--refine", "--no-refine"):
        assert run("annotate", "m", "query.h5ad", flag, "--no-probabilities", "-o", "out.h5ad") == 0
        scores.append(ad.read_h5ad("out.h5ad").obs["deepscore_score"])
    assert not np.allclose(*scores)


def test_a_device_is_handed_on(folder, trained, capsys):
    trained.save("m")
    assert run("annotate", "m", "query.h5ad", "-o", "out.csv", "--device", "cpu") == 0
    capsys.readouterr()
    assert run("annotate", "m", "nothing.h5ad", "-o", "out.csv", "--device", "banana") == 1
    assert capsys.readouterr().err.endswith("[bad_argument]\n")


def test_several_queries_are_one_and_get_a_table(folder, trained, capsys):
    trained.save("m")
    whole = dataset(2, n_cells=150)
    whole[:60].copy().write_h5ad("a.h5ad")
    whole[60:].copy().write_h5ad("b.h5ad")
    expected = trained.annotate(whole.copy(), batch="batch").obs
    for out, read in (("out.csv", pd.read_csv), ("out.parquet", pd.read_parquet)):
        assert run("annotate", "m", "a.h5ad", "b.h5ad", "--batch", "batch", "-o", out) == 0
        assert capsys.readouterr().out.startswith("150 cells, ")
        table = read(out)
        table = table.set_index("cell") if "cell" in table else table
        assert table.index.tolist() == whole.obs_names.tolist()
        assert table["deepscore"].tolist() == expected["deepscore"].tolist()
        assert table["file"].tolist() == ["a.h5ad"] * 60 + ["b.h5ad"] * 90
        assert next(iter(table)) == "file"


def test_several_queries_have_no_store_and_no_report(folder, trained, capsys):
    trained.save("m")
    for options, code, words in (
        (["-o", "out.h5ad"], "path_not_writable", "of several data sets a table is written"),
        (["-o", "out.csv", "--report", "r.html"], "bad_argument", "A report is of one query"),
        (["-o", "query.h5ad"], "path_not_writable", "of several data sets a table is written"),
    ):
        assert run("annotate", "m", "ref.h5ad", "query.h5ad", *options) == 1
        told = capsys.readouterr().err
        assert words in told
        assert told.endswith(f"[{code}]\n")
    assert not (folder / "out.h5ad").exists()


def test_several_references_are_one(folder):
    whole = dataset(1, n_cells=120)
    whole[:50].copy().write_h5ad("a.h5ad")
    whole[50:].copy().write_h5ad("b.h5ad")
    rest = (
        "--labels",
        "cell_type",
        "--query",
        "query.h5ad",
        "--n-features",
        50,
        "--epochs",
        2,
        "--hidden-nodes",
        8,
        "-q",
    )
    assert run("train", "a.h5ad", "b.h5ad", *rest, "-o", "several") == 0
    assert run("train", "ref.h5ad", *rest, "-o", "one") == 0
    assert deepscore.inspect_model("several")["self_check"] == deepscore.inspect_model("one")["self_check"]
    assert run("check", "a.h5ad", "b.h5ad", "--labels", "cell_type", "--folds", 2) == 0
