from __future__ import annotations

import pandas as pd
import pytest

import deepscore
from deepscore.interfaces.cli import main
from synthetic import dataset


@pytest.fixture
def folder(tmp_path, monkeypatch, trained):
    monkeypatch.chdir(tmp_path)
    dataset(1, n_cells=120).write_h5ad("ref.h5ad")
    query = dataset(2, n_cells=150)
    query.layers["same"] = query.X
    query.write_h5ad("query.h5ad")
    trained.save("model")
    return tmp_path


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_markers_of_two_data_sets_are_compared_as_in_python(folder, capsys):
    labels = ("--labels", "cell_type", "--query-labels", "cell_type", "--n-markers", 12)
    assert run("markers", "ref.h5ad", "query.h5ad", *labels, "--query-layer", "same") == 0
    expected = deepscore.match_markers(
        "ref.h5ad", "query.h5ad", 12, labels="cell_type", query_labels="cell_type", query_layer="same"
    )
    assert capsys.readouterr().out.strip() == repr(expected)
    assert run("markers", "ref.h5ad", "query.h5ad", *labels, "-o", "out.csv") == 0
    assert expected.words[0] in capsys.readouterr().out
    found = pd.read_csv("out.csv", index_col="label")
    pd.testing.assert_frame_equal(found, expected.jaccard, check_names=False)


def test_a_query_without_labels_has_its_calls(folder, capsys):
    assert run("annotate", "model", "query.h5ad", "-o", "out.h5ad", "-q") == 0
    assert run("markers", "ref.h5ad", "out.h5ad", "--labels", "cell_type", "--n-markers", 6) == 0
    found = capsys.readouterr().out
    for label in ("B cell", "NK cell", "T cell"):
        assert f"'{label}' matches '{label}' best" in found


def test_of_a_model_the_features_that_speak_for_each_label_are_listed(folder, capsys):
    assert run("markers", "model", "query.h5ad", "--query-labels", "cell_type", "--n-markers", 3) == 0
    expected = deepscore.feature_importance("model", "query.h5ad", "cell_type", n_features=3)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(expected) + 1 == 10
    for line, feature in zip(printed[1:], expected["feature"], strict=True):
        assert feature in line
    assert run("markers", "model", "query.h5ad", "--method", "linear", "--by", "overall", "-o", "out.tsv") == 0
    expected = deepscore.feature_importance("model", "query.h5ad", by="overall", method="linear")
    assert pd.read_csv("out.tsv", sep="\t")["feature"].tolist() == expected["feature"].tolist()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("model", "query.h5ad", "--labels", "cell_type"), "bad_argument"),
        (("ref.h5ad", "query.h5ad", "--by", "cell"), "bad_argument"),
        (("ref.h5ad", "query.h5ad"), "no_labels"),
        (("none", "query.h5ad"), "file_not_found"),
        (("ref.h5ad", "query.h5ad", "--labels", "cell_type", "-o", "out.h5ad"), "path_not_writable"),
    ],
)
def test_what_makes_no_sense_is_refused(folder, capsys, arguments, code):
    assert run("markers", *arguments) == 1
    assert capsys.readouterr().err.rstrip().endswith(f"[{code}]")
