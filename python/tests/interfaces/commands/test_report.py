from __future__ import annotations

import pytest

import deepscore
from deepscore.interfaces.cli import main
from synthetic import dataset


@pytest.fixture
def folder(tmp_path, monkeypatch, trained):
    monkeypatch.chdir(tmp_path)
    dataset(1).write_h5ad("ref.h5ad")
    dataset(2, n_cells=150).write_h5ad("query.h5ad")
    trained.save("m")
    return tmp_path


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_annotate_and_report_write_the_same_page(folder, capsys):
    assert run("annotate", "m", "query.h5ad", "-o", "out.h5ad", "--batch", "batch", "--report", "one.html") == 0
    assert run("report", "m", "out.h5ad", "-o", "two.html", "--batch", "batch", "--title", "query.h5ad") == 0
    assert capsys.readouterr().out.endswith("out.h5ad -> two.html\n")
    one, two = ((folder / name).read_text(encoding="utf-8") for name in ("one.html", "two.html"))
    assert one == two
    assert "<h1>query.h5ad</h1>" in one
    assert "Samples</h3>" in one
    assert run("annotate", "m", "query.h5ad", "-o", "cells.csv", "--report", "three.html", "-q") == 0
    assert (folder / "three.html").exists()


def test_the_reference_is_checked_where_it_is_named(folder):
    assert run("annotate", "m", "query.h5ad", "-o", "out.h5ad") == 0
    checked = ("--reference", "ref.h5ad", "--labels", "cell_type")
    assert run("report", "m", "out.h5ad", "-o", "r.html", *checked, "--groups", "cell_type") == 0
    text = (folder / "r.html").read_text(encoding="utf-8")
    ds = deepscore.load("m")
    check = deepscore.check_reference("ref.h5ad", "cell_type", common_features=ds.common_features)
    assert f"Reference check ({check.design})" in text
    assert "Clusters</h3>" in text


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("out.h5ad", "-o", "r.html", "--reference", "ref.h5ad"), "bad_argument"),
        (("out.h5ad", "-o", "r.html", "--labels", "cell_type"), "bad_argument"),
        (("query.h5ad", "-o", "r.html"), "column_not_found"),
        (("none.h5ad", "-o", "r.html"), "file_not_found"),
        (("out.h5ad", "-o", "out.h5ad"), "path_not_writable"),
        (("out.h5ad", "-o", "no/r.html"), "path_not_writable"),
    ],
)
def test_what_cannot_be_reported_is_refused(folder, capsys, options, code):
    assert run("annotate", "m", "query.h5ad", "-o", "out.h5ad") == 0
    assert run("report", "m", *options) == 1
    assert capsys.readouterr().err.endswith(f"[{code}]\n")
    assert not (folder / "r.html").exists()
