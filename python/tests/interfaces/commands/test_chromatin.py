from __future__ import annotations

import anndata as ad
import numpy as np
import pytest

import deepscore
from deepscore.interfaces.cli import main
from synthetic import dataset, peak_names

FRAGMENTS = "chr1\t100\t900\tAAA-1\t1\nchr1\t300\t400\tCCC-1\t2\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder, made the current one, with two sets of peaks and one of fragments."""
    monkeypatch.chdir(tmp_path)
    data = dataset(1, n_cells=60)
    data.var_names = peak_names(80)
    data.write_h5ad("atac.h5ad")
    (tmp_path / "wider.bed").write_text(
        "".join(f"chr{1 + i % 5}\t{1000 * i + 100}\t{1000 * i + 700}\n" for i in range(60))
    )
    (tmp_path / "fragments.tsv").write_text(FRAGMENTS)
    (tmp_path / "cells").write_text("CCC-1\nAAA-1\n")
    return tmp_path


def run(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.mark.parametrize("how", ["intersection", "union"])
def test_common_peaks_are_those_of_python(folder, capsys, how):
    expected = deepscore.find_common_peaks(["atac.h5ad", "wider.bed"], how)
    both = ("peaks", "common", "atac.h5ad", "wider.bed", "--how", how)
    assert run(*both) == 0
    assert capsys.readouterr().out.splitlines() == expected
    for output in ("peaks.bed", "peaks.txt"):
        assert run(*both, "-o", output) == 0
        assert capsys.readouterr().out == f"{len(expected)} peaks -> {output}\n"
        assert run("peaks", "common", output, output) == 0
        assert capsys.readouterr().out.splitlines() == expected
    assert (folder / "peaks.txt").read_text().splitlines() == expected
    first = (folder / "peaks.bed").read_text().splitlines()[0].split("\t")
    assert "{}:{}-{}".format(*first) == expected[0]
    assert run(*both, "-o", "wider.bed") == 1  # which is read


def test_a_query_is_matched_as_in_python_to_peaks_in_any_file(folder, capsys):
    expected = deepscore.match_peaks("atac.h5ad", "wider.bed")
    assert run("peaks", "common", "wider.bed", "wider.bed", "-o", "names.txt") == 0
    for wanted in ("wider.bed", "names.txt"):
        assert run("peaks", "match", "atac.h5ad", wanted, "-o", "out.h5ad") == 0
        found = ad.read_h5ad("out.h5ad")
        assert sorted(found.var_names) == sorted(expected.var_names)
        np.testing.assert_array_equal(found[:, expected.var_names].X.toarray(), expected.X.toarray())
        assert found.obs["cell_type"].tolist() == expected.obs["cell_type"].tolist()
    assert "60 cells x 60 peaks (60 covered) -> out.h5ad" in capsys.readouterr().out
    assert run("peaks", "match", "atac.h5ad", "none.bed", "-o", "out.h5ad") == 1
    assert capsys.readouterr().err.endswith("[file_not_found]\n")


def test_a_query_is_matched_to_the_peaks_of_a_model(folder):
    quick = ("--epochs", 1, "--hidden-nodes", 4, "--n-features", 30)
    assert run("train", "atac.h5ad", "--labels", "cell_type", *quick, "-o", "model") == 0
    assert run("peaks", "match", "atac.h5ad", "model", "-o", "out.h5ad") == 0
    assert ad.read_h5ad("out.h5ad").var_names.tolist() == deepscore.inspect_model("model")["features"]


@pytest.mark.parametrize("counting", ["fragments", "insertions"])
def test_fragments_are_counted_as_in_python(folder, capsys, counting):
    (folder / "peaks.bed").write_text("chr1\t50\t350\nchr1\t380\t1000\n")
    assert (
        run("peaks", "count", "fragments.tsv", "peaks.bed", "--cells", "cells", "--counting", counting, "-o", "a.h5ad")
        == 0
    )
    found = ad.read_h5ad("a.h5ad")
    assert found.obs_names.tolist() == ["CCC-1", "AAA-1"]
    assert found.X.toarray().tolist() == [[1, 1], [1, 1]]
    assert "2 cells x 2 peaks -> a.h5ad" in capsys.readouterr().out
    assert run("peaks", "count", "fragments.tsv", "peaks.bed", "-o", "a.h5ad") == 1
    assert capsys.readouterr().err.endswith("[no_cells]\n")


def test_cells_of_fragments_may_be_those_of_a_data_set(folder):
    (folder / "peaks.bed").write_text("chr1\t50\t350\n")
    cells = dataset(1, n_cells=2)
    cells.obs_names = ["AAA-1", "CCC-1"]
    cells.write_h5ad("cells.h5ad")
    assert run("peaks", "count", "fragments.tsv", "peaks.bed", "--cells", "cells.h5ad", "-o", "a.h5ad") == 0
    assert ad.read_h5ad("a.h5ad").obs["cell_type"].tolist() == cells.obs["cell_type"].tolist()


def test_a_table_is_no_place_for_counts(folder, capsys):
    assert run("peaks", "match", "atac.h5ad", "wider.bed", "-o", "out.csv") == 1
    assert capsys.readouterr().err.endswith("[path_not_writable]\n")
