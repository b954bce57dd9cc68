from __future__ import annotations

import gzip
import json
import logging
import os
import re
import signal
import subprocess
import sys

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest

import deepscore
from deepscore.interfaces.cli import main
from deepscore.model import file as modelfile
from synthetic import READ_HIDDEN, dataset, hidden, peak_names, random_model


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
    assert (found.obs["deepscore"].astype(str) == found.obs["cell_type"].astype(str)).mean() > 0.9
    assert found.obsm["deepscore_probabilities"].shape == (150, 3)
    assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert run("inspect", "m", "--json") == 0
    assert json.loads(capsys.readouterr().out) == deepscore.inspect_model("m")
    assert sorted(path.name for path in folder.iterdir()) == ["m", "out.h5ad", "query.h5ad", "ref.h5ad", "report.html"]


@pytest.mark.parametrize("first", [True, False])
def test_quiet_commands_write_and_say_nothing(with_model, capsys, monkeypatch, first):
    monkeypatch.setattr("deepscore.support.progress.DELAY", 0)
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda stream: True)
    for command in (
        ("train", "ref.h5ad", "--labels", "cell_type", "--n-features", 20, "-o", "m"),
        ("annotate", "model.deepscore", "query.h5ad", "-o", "out.h5ad"),
    ):
        assert run(*command) == 0
        told = capsys.readouterr()
        assert command[-1] in told.out
        assert "100%" in told.err
        assert run(*(["-q", *command] if first else [*command, "--quiet"])) == 0
        assert capsys.readouterr() == ("", "")
    assert run("-q", "inspect", "m", "--json") == 0  # what was asked for is not left out
    assert json.loads(capsys.readouterr().out) == deepscore.inspect_model("m")


def test_a_log_holds_no_bars(with_model):
    script = "import deepscore.support.progress as p, deepscore.__main__ as m; p.DELAY = 0; raise SystemExit(m.main())"
    for arguments in (
        ["train", "ref.h5ad", "--labels", "cell_type", "--n-features", "20", "-o", "m"],
        ["annotate", "model.deepscore", "query.h5ad", "-o", "out.h5ad"],
    ):
        found = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
        assert arguments[-1] in found.stdout
        assert "%|" not in found.stderr
        assert "\r" not in found.stderr


def test_names_of_features_may_stand_in_a_column(folder):
    query = ad.read_h5ad("query.h5ad")
    expected = query.var_names.tolist()
    query.var["symbol"], query.var_names = expected, [f"ENSG{i:011d}" for i in range(query.n_vars)]
    query.write_h5ad("ids.h5ad")
    train = ("train", "ref.h5ad", "--labels", "cell_type", "--n-features", 40, "-o", "m", "--query", "ids.h5ad")
    assert run(*train, "--query-feature-names", "none") == 1
    assert run(*train, "--query-feature-names", "symbol") == 0
    assert run("annotate", "m", "ids.h5ad", "--feature-names", "symbol", "-o", "out.h5ad") == 0
    assert run("train", "ids.h5ad", "--labels", "cell_type", "--feature-names", "symbol", "-o", "n") == 0
    assert set(deepscore.load("n").manifest["features"]) == set(expected)


def test_check_prints_what_python_finds(folder, capsys):
    assert run("check", "ref.h5ad", "--labels", "cell_type", "--query", "query.h5ad", "--batch", "batch") == 0
    shared = deepscore.find_common_features("ref.h5ad", "query.h5ad", 80)
    expected = deepscore.check_reference("ref.h5ad", "cell_type", "query.h5ad", batch="batch", common_features=shared)
    assert capsys.readouterr().out.strip() == str(expected)
    assert run("check", "ref.h5ad", "--labels", "cell_type", "--folds", 2, "--seed", 3) == 0
    expected = deepscore.check_reference("ref.h5ad", "cell_type", folds=2, seed=3)
    assert capsys.readouterr().out.strip() == str(expected)


@pytest.mark.filterwarnings("ignore:Only 50 features")
def test_check_uses_the_features_that_the_query_has(folder, capsys):
    ad.read_h5ad("query.h5ad")[:, :50].copy().write_h5ad("few.h5ad")
    assert run("check", "ref.h5ad", "--labels", "cell_type", "--query", "few.h5ad") == 0
    assert "The query has 50 of the 50 features used (100%)." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        ([], ["A", "B"]),
        (["--missing", "doublet"], ["A", "B", "NA"]),
        (["--missing", "doublet", "NA"], ["A", "B"]),
        (["--missing"], ["A", "B", "NA", "doublet"]),
        (["--missing", ""], ["A", "B", "NA", "doublet"]),
    ],
)
@pytest.mark.filterwarnings("ignore:.* of 120 cells have no label")
@pytest.mark.filterwarnings("ignore:Of .* held-out cells")  # the labels mean nothing
def test_words_for_a_missing_label_are_named(folder, options, labels):
    data = ad.read_h5ad("ref.h5ad")
    words = [word for word in ("A", "B", "NA", "doublet") if options or word != "doublet"]
    data.obs["own"] = np.resize(words, 120)
    data.write_h5ad("own.h5ad")
    assert run("train", "own.h5ad", "--labels", "own", "--n-features", 10, *options, "-o", "m") == 0
    assert deepscore.inspect_model("m")["labels"] == labels


def test_the_command_gives_the_model_that_python_gives(folder):
    run("train", "ref.h5ad", "--labels", "cell_type", "--batch", "batch", "--n-features", 30, "--seed", 5, "-o", "m")
    genes = deepscore.find_common_features("ref.h5ad", "ref.h5ad", 30)
    ds = deepscore.DeepScore(common_features=genes, seed=5).set_reference("ref.h5ad", "cell_type", batch="batch")
    assert ds.train(progress=False).manifest == deepscore.inspect_model("m")


def test_scaled_values_give_way_to_raw_and_that_is_told_once(folder):
    data = ad.read_h5ad("ref.h5ad")
    scaled = data.copy()
    scaled.X, scaled.raw = data.X.toarray() - data.X.mean(axis=0).A1, data
    scaled.write_h5ad("scaled.h5ad")
    arguments = ("train", "scaled.h5ad", "--labels", "cell_type", "--n-features", 30)
    assert run(*arguments, "--layer", "raw", "-o", "named") == 0
    told = subprocess.run(
        [sys.executable, "-m", "deepscore", *map(str, arguments), "-o", "found"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stderr.count("X is scaled (z-scores): .raw is read in its place") == 1
    assert deepscore.inspect_model("found") == deepscore.inspect_model("named")


def test_what_values_are_is_handed_on(with_model, trained):
    query = ad.read_h5ad("query.h5ad")
    query.X = query.X * np.float32(0.37)
    query.write_h5ad("query.h5ad")
    for values in ("counts", "lognorm"):
        expected = trained.annotate("query.h5ad", values=values).obs["deepscore_score"]
        assert run("annotate", "model.deepscore", "query.h5ad", "-o", "out.h5ad", "--values", values) == 0
        np.testing.assert_allclose(ad.read_h5ad("out.h5ad").obs["deepscore_score"], expected, rtol=1e-6)


def test_markers_are_those_of_the_labels(folder):
    run("train", "ref.h5ad", "--labels", "cell_type", "--strategy", "markers", "--n-features", 12, "-o", "m")
    expected = deepscore.find_common_features("ref.h5ad", "ref.h5ad", 12, "markers", labels="cell_type")
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


@pytest.fixture
def multiome(folder):
    """Add paired cells: RNA of the reference's types, and a gene's peak with its counts, 200 bases into the gene."""
    rna = dataset(6, n_cells=200)
    atac = rna.copy()
    atac.var_names = peak_names(80)
    mudata.MuData({"rna": rna, "atac": atac}).write_h5mu("multiome.h5mu")
    atac.write_h5ad("atac.h5ad")
    rows = (re.split("[:-]", peak) for peak in peak_names(80))
    genes = [
        f"{c}\t{int(a) + 200}\t{int(b) + 900}\t{gene}\t0\t+"
        for (c, a, b), gene in zip(rows, rna.var_names, strict=True)
    ]
    (folder / "genes.bed").write_text("\n".join(genes) + "\n")
    return rna


def test_bridge_trains_as_python_does_and_helps_to_annotate_activity(multiome, capsys, trained):
    trained.save("model.deepscore")
    assert run("bridge", "ref.h5ad", "multiome.h5mu", "--labels", "cell_type", "-o", "bridge", "--seed", 2) == 0
    assert "3 labels, 80 features" in capsys.readouterr().out
    expected = deepscore.train_bridge("ref.h5ad", "multiome.h5mu", labels="cell_type", seed=2, progress=False)
    assert expected.manifest == deepscore.inspect_model("bridge")
    deepscore.gene_activity("atac.h5ad", "genes.bed").write_h5ad("activity.h5ad")
    beside = ("--peaks", "atac.h5ad", "--peaks-model", "bridge", "--probabilities")
    assert run("annotate", "model.deepscore", "activity.h5ad", *beside, "-o", "out.h5ad") == 0
    called = trained.annotate("activity.h5ad", peaks="atac.h5ad", peaks_model="bridge", probabilities=True)
    found = ad.read_h5ad("out.h5ad").obsm["deepscore_probabilities"]
    np.testing.assert_allclose(found, called.obsm["deepscore_probabilities"])
    alone = trained.annotate("activity.h5ad", peaks="atac.h5ad", probabilities=True)
    assert (found != alone.obsm["deepscore_probabilities"]).all(axis=None)  # the cells are easy to call, though


def reading_hidden(*data):
    """Return the options that say how to read what was hidden, of each data set."""
    options = READ_HIDDEN.items()
    return [text for one in data for name, value in options for text in (f"--{one}{name.replace('_', '-')}", value)]


def test_data_sets_beside_the_first_are_read_as_it_is_said(multiome, folder, trained):
    trained.save("model.deepscore")
    deepscore.gene_activity("atac.h5ad", "genes.bed").write_h5ad("activity.h5ad")
    for name in ("ref", "query", "atac"):
        hidden(ad.read_h5ad(f"{name}.h5ad")).write_h5ad(f"hidden_{name}.h5ad")
    atac = ad.read_h5ad("hidden_atac.h5ad")
    atac.var_names = "peak " + atac.var_names
    mudata.MuData({"rna": hidden(multiome), "atac": atac}).write_h5mu("hidden_multiome.h5mu")
    for before, read in (("", lambda *_: ()), ("hidden_", reading_hidden)):
        of_query = ("--query", f"{before}query.h5ad", *read("query-"))
        assert run("train", "ref.h5ad", "--labels", "cell_type", *of_query, "--n-features", 20, "-o", f"{before}m") == 0
        assert run("check", "ref.h5ad", "--labels", "cell_type", *of_query, "--folds", 2) == 0
        halves = (f"{before}ref.h5ad", f"{before}multiome.h5mu", *read("", "atac-", "reference-"))
        assert run("bridge", *halves, "--labels", "cell_type", "-o", f"{before}bridge") == 0
        of_peaks = ("--peaks", f"{before}atac.h5ad", *read("peaks-"))
        assert run("annotate", "model.deepscore", "activity.h5ad", *of_peaks, "-o", f"{before}out.csv") == 0
    assert deepscore.inspect_model("m") == deepscore.inspect_model("hidden_m")
    digests = {deepscore.inspect_model(name)["content_sha256"] for name in ("bridge", "hidden_bridge")}
    assert len(digests) == 1
    assert (folder / "out.csv").read_bytes() == (folder / "hidden_out.csv").read_bytes()


def test_activity_is_that_of_python_and_peaks_help_to_annotate_it(multiome, capsys, trained):
    assert run("activity", "atac.h5ad", "genes.bed", "-o", "activity.h5ad", "--upstream", 500) == 0
    assert "200 cells x 80 genes" in capsys.readouterr().out
    found = ad.read_h5ad("activity.h5ad")
    expected = deepscore.gene_activity("atac.h5ad", "genes.bed", 500)
    np.testing.assert_array_equal(found.X.toarray(), expected.X.toarray())
    trained.save("model.deepscore")
    assert run("annotate", "model.deepscore", "activity.h5ad", "--peaks", "atac.h5ad", "-o", "out.h5ad") == 0
    called = trained.annotate("activity.h5ad", peaks="atac.h5ad").obs
    assert ad.read_h5ad("out.h5ad").obs["deepscore"].astype(str).tolist() == called["deepscore"].tolist()
    assert (called["deepscore"].astype(str) == multiome.obs["cell_type"].astype(str)).mean() > 0.8


def test_activity_counts_fragments_of_the_cells_in_a_file(multiome, folder):
    (folder / "fragments.tsv").write_text("chr1\t100\t900\tAAA-1\t1\nchr1\t300\t400\tCCC-1\t2\n")
    (folder / "cells").write_text("CCC-1\nAAA-1\n")
    assert run("activity", "fragments.tsv", "genes.bed", "--cells", "cells", "-o", "a.h5ad", "--upstream", 0) == 0
    found = ad.read_h5ad("a.h5ad")
    assert found.obs_names.tolist() == ["CCC-1", "AAA-1"]
    assert found.X.toarray().sum(axis=1).tolist() == [1, 1]
    text = 'chr1\tx\tgene\t201\t300\t.\t+\t.\tgene_id "E1"; gene_name "A";\n'
    (folder / "genes.gtf").write_text(text)
    for names, gene in (("gene_id", "E1"), ("gene_name", "A")):
        where = ("fragments.tsv", "genes.gtf", "--cells", "cells", "-o", "a.h5ad", "--names", names)
        assert run("activity", *where) == 0
        found = ad.read_h5ad("a.h5ad")
        assert found.var_names.tolist() == [gene]
        assert found.var["gene_ids"].tolist() == ["E1"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("activity", "query.h5ad", "none.bed", "-o", "out.h5ad"), "file_not_found"),
        (("bridge", "model.deepscore", "none.h5mu", "-o", "m"), "file_not_found"),
        (("activity", "f.tsv", "genes.bed", "--cells", "none.txt", "-o", "out.h5ad"), "file_not_found"),
        (("inspect", "none"), "file_not_found"),
        (("inspect", "query.h5ad"), "not_a_model"),
        (("annotate", "model.deepscore", "none.h5ad", "-o", "out.h5ad"), "file_not_found"),
        (("annotate", "model.deepscore", "query.h5ad", "-o", "out.h5ad", "--threshold", "2"), "bad_argument"),
        (("annotate", "model.deepscore", "query.h5ad", "-o", "none/out.h5ad"), "path_not_writable"),
        (("annotate", "model.deepscore", "query.h5ad", "-o", "o.h5ad", "--report", "none/r.html"), "path_not_writable"),
        (("check", "ref.h5ad", "--labels", "none"), "column_not_found"),
        (("check", "ref.h5ad", "--labels", "cell_type", "--folds", "1"), "bad_argument"),
        (("annotate", "model.deepscore", "query.h5ad", "-o", "out.h5ad", "--values", "log"), "bad_argument"),
        (("bridge", "model.deepscore", "query.h5ad", "-o", "m", "--values", "log"), "bad_argument"),
        (("train", "ref.h5ad", "--labels", "cell_type", "--layer", "raw", "-o", "m"), "layer_not_found"),
        (("train", "ref.h5ad", "--labels", "none", "--n-features", "20", "-o", "m"), "column_not_found"),
        (("train", "ref.h5ad", "--labels", "cell_type", "--n-features", "0", "-o", "m"), "bad_argument"),
        (("train", "ref.h5ad", "--labels", "cell_type", "-o", "./ref.h5ad"), "path_not_writable"),
        (("train", "ref.h5ad", "--labels", "l", "--query", "query.h5ad", "-o", "query.h5ad"), "path_not_writable"),
        (("bridge", "model.deepscore", "query.h5ad", "-o", "model.deepscore"), "path_not_writable"),
        (("activity", "query.h5ad", "genes.bed", "-o", "query.h5ad"), "path_not_writable"),
        (("annotate", "model.deepscore", "query.h5ad", "--peaks", "ref.h5ad", "-o", "ref.h5ad"), "path_not_writable"),
        (("annotate", "model.deepscore", "query.h5ad", "-o", "o.h5ad", "--report", "o.h5ad"), "path_not_writable"),
        (("annotate", "model.deepscore", "query.h5ad", "-o", "o.h5ad", "--report", "query.h5ad"), "path_not_writable"),
        (("train", "not read.h5ad", "--labels", "cell_type", "-o", "none/m"), "path_not_writable"),
        (("train", "not read.h5ad", "--labels", "cell_type", "-o", "."), "path_not_writable"),
        (("train", "not read.h5ad", "--labels", "cell_type", "-o", os.devnull), "path_not_writable"),
    ],
)
def test_an_error_is_one_line_with_its_code(with_model, capsys, arguments, code):
    before = {path.name: path.read_bytes() for path in with_model.iterdir()}
    assert run(*arguments) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("deepscore: ")
    assert last.endswith(f"[{code}]")
    assert {path.name: path.read_bytes() for path in with_model.iterdir()} == before


def test_a_reader_that_has_enough_is_no_error(with_model):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "deepscore", "inspect", "model.deepscore"]
    found = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert found.stderr == b""


@pytest.mark.parametrize(("model", "status", "told"), [("model.deepscore", 0, ""), ("none", 1, "There is no file")])
def test_output_may_be_closed(with_model, model, status, told):
    command = f'exec "{sys.executable}" -m deepscore inspect {model} >&-'
    found = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert found.returncode == status
    assert told in found.stderr
    assert "Traceback" not in found.stderr


def test_characters_that_the_terminal_lacks_are_no_error(folder):
    dataset(1, labels=["\u03b1", "\u03b2"]).write_h5ad("greek.h5ad")
    deepscore.DeepScore((4,), epochs=1).set_reference("greek.h5ad", "cell_type").train(progress=False).save("\u03b2")
    command = [sys.executable, "-m", "deepscore", "inspect", "--json"]
    found, none = (
        subprocess.run(
            [*command, name], capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": "ascii"}
        )
        for name in ("\u03b2", "\u03b3")
    )
    assert json.loads(found.stdout)["labels"] == ["\u03b1", "\u03b2"]
    assert none.stderr.startswith(b"deepscore: There is no file \\u03b3")


def test_the_table_of_any_labels_is_written(folder):
    query = dataset(1, labels=["T", "T/CD4"])
    deepscore.DeepScore((4,), epochs=1).set_reference(query, "cell_type").train(progress=False).save("m")
    for output, columns in (("out.h5ad", ["T", "T|CD4"]), ("out.csv", ["T", "T/CD4"])):
        assert run("annotate", "m", "query.h5ad", "-o", output, "--probabilities") == 0
        if output == "out.h5ad":
            table = ad.read_h5ad(output).obsm["deepscore_probabilities"]
        else:
            table = pd.read_csv(output, index_col="cell").filter(like="probability_")
            columns = [f"deepscore_probability_{name}" for name in columns]
        assert list(table) == columns
        np.testing.assert_allclose(table.sum(axis=1), 1)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_command_that_is_stopped_leaves_nothing_behind(with_model, number, status, monkeypatch, capsys):
    def stopped(store, name, element):
        os.kill(os.getpid(), number)

    before, handlers = os.listdir(), [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)]
    monkeypatch.setattr("deepscore.interfaces.writers.write_elem", stopped)
    assert run("annotate", "model.deepscore", "query.h5ad", "-o", "out.h5ad") == status
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"deepscore: stopped ({signal.Signals(number).name})")
    assert sorted(os.listdir()) == sorted(before)
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)] == handlers


def test_only_a_store_is_annotated_in_place(with_model, capsys):
    pd.DataFrame({"g": [1]}, index=["c"]).to_csv("query.csv")
    assert run("annotate", "model.deepscore", "query.csv", "-o", "query.csv") == 1
    assert capsys.readouterr().err.endswith("[path_not_writable]\n")


@pytest.mark.filterwarnings("ignore:The query has only 20")
def test_the_least_overlap_is_an_argument(with_model, capsys):
    query = ad.read_h5ad("query.h5ad")
    query[:, :20].copy().write_h5ad("few.h5ad")
    for least, status in (("0.5", 1), ("0.2", 0), ("2", 1)):
        assert run("annotate", "model.deepscore", "few.h5ad", "-o", "out.tsv", "--min-overlap", least) == status
    told = capsys.readouterr().err
    assert "[low_overlap]" in told
    assert "[bad_argument]" in told


@pytest.mark.parametrize(("arguments", "status"), [(("--version",), 0), (("--help",), 0), ((), 2), (("fly",), 2)])
def test_help_and_wrong_use(arguments, status, capsys):
    with pytest.raises(SystemExit) as left:
        run(*arguments)
    assert left.value.code == status
    told = capsys.readouterr()
    assert "deepscore" in (told.out if status == 0 else told.err)


def test_barcodes_may_be_packed(folder):
    (folder / "fragments.tsv").write_text("chr1\t100\t200\tAAA-1\t1\nchr1\t120\t220\tCCC-1\t1\n")
    (folder / "genes.bed").write_text("chr1\t50\t300\tCD3E\t0\t+\n")
    (folder / "barcodes.tsv.gz").write_bytes(gzip.compress(b"AAA-1\n"))
    assert run("activity", "fragments.tsv", "genes.bed", "--cells", "barcodes.tsv.gz", "-o", "out.h5ad") == 0
    assert ad.read_h5ad("out.h5ad").obs_names.tolist() == ["AAA-1"]


@pytest.mark.parametrize("text", ["barcode,is_cell\nAAA-1,1\n", "AAA-1\tB cell\n"])
def test_barcodes_stand_alone_in_their_lines(folder, capsys, text):
    (folder / "cells.csv").write_text(text)
    assert run("activity", "f.tsv", "genes.bed", "--cells", "cells.csv", "-o", "out.h5ad") == 1
    assert "one barcode in a line" in capsys.readouterr().err


def test_barcodes_that_are_cut_short_are_one_line(folder, capsys):
    (folder / "barcodes.tsv.gz").write_bytes(gzip.compress(b"AAA-1\n" * 99)[:-9])
    assert run("activity", "f.tsv", "genes.bed", "--cells", "barcodes.tsv.gz", "-o", "out.h5ad") == 1
    assert capsys.readouterr().err.startswith("deepscore: barcodes.tsv.gz is damaged")


def test_a_file_survives_a_failed_write(folder, monkeypatch, capsys):
    (folder / "genes.bed").write_text("chr1\t50\t300\tCD3E\t0\t+\n")
    peaks = dataset(1)[:, :2].copy()
    peaks.var_names = ["chr1:60-90", "chr1:100-200"]
    peaks.write_h5ad("peaks.h5ad")
    (folder / "out.h5ad").write_text("before")

    def fails(store, name, element):
        store["half"] = 1
        raise OSError("no space left")

    monkeypatch.setattr("deepscore.interfaces.writers.write_elem", fails)
    assert run("activity", "peaks.h5ad", "genes.bed", "-o", "out.h5ad") == 1
    assert capsys.readouterr().err.endswith("no space left. Whatever was there is unchanged. [write_failed]\n")
    assert (folder / "out.h5ad").read_text() == "before"
    assert not list(folder.glob("*.part"))


def test_a_modality_of_a_mudata_is_trained_on_and_annotated(folder):
    for name in ("ref", "query"):
        data = ad.read_h5ad(f"{name}.h5ad")
        other = data[:, :3].copy()
        other.var_names = ["tag1", "tag2", "tag3"]
        mudata.MuData({"rna": data, "other": other}).write_h5mu(f"{name}.h5mu")
    assert run("train", "ref.h5mu", "--labels", "cell_type", "-o", "m") == 1  # which one?
    assert run("train", "ref.h5mu", "--labels", "cell_type", "--modality", "rna", "-o", "m") == 0
    assert deepscore.inspect_model("m")["features"] == deepscore.load("m").manifest["features"]
    assert run("annotate", "m", "query.h5mu", "--modality", "rna", "-o", "out.h5ad") == 0
    found = ad.read_h5ad("out.h5ad")
    assert found.n_vars == 80
    assert (found.obs["deepscore"].astype(str) == found.obs["cell_type"].astype(str)).mean() > 0.9
    assert run("annotate", "m", "query.h5ad", "-o", "out.txt") == 1
    assert not (folder / "out.zarr").exists()


@pytest.mark.filterwarnings("ignore:Writing zarr v2")
@pytest.mark.parametrize("suffix", ["h5ad", "zarr", "h5mu"])
def test_a_query_is_embedded_as_in_python(multiome, capsys, suffix):
    assert run("train", "atac.h5ad", "--labels", "cell_type", "-o", "m") == 0
    atac = ad.read_h5ad("atac.h5ad")
    if suffix == "zarr":
        atac.write_zarr("atac.zarr")
    query, options = ("multiome.h5mu", ("--modality", "atac")) if suffix == "h5mu" else (f"atac.{suffix}", ())
    assert run("embed", "m", query, *options, "-o", "out.h5ad") == 0
    expected = deepscore.load("m").embed(atac).obsm["X_lsi"]
    assert f"200 cells x {expected.shape[1]} components -> out.h5ad" in capsys.readouterr().out
    found = ad.read_h5ad("out.h5ad")
    np.testing.assert_allclose(found.obsm["X_lsi"], expected)
    assert (found.X != atac.X).nnz == 0


@pytest.mark.filterwarnings("ignore:obsm")  # the second time: told
def test_components_of_an_earlier_model_are_replaced(multiome):
    for n_features in (30, 60):
        assert run("train", "atac.h5ad", "--labels", "cell_type", "--n-features", n_features, "-o", "m") == 0
        assert run("embed", "m", "atac.h5ad", "-o", "atac.h5ad") == 0
        found = ad.read_h5ad("atac.h5ad").obsm["X_lsi"]
        np.testing.assert_allclose(found, deepscore.load("m").embed("atac.h5ad").obsm["X_lsi"])


def test_names_in_a_model_cannot_command_a_terminal(folder, capsys):
    labels = ("T\x1b[2J", "\u03b2 \x9b1m\u202e", "\U000e0041\U0001f600")
    modelfile.save(modelfile.to_bytes(random_model(labels=labels)), "odd")
    assert run("inspect", "odd", "--json") == 0
    out = capsys.readouterr().out
    assert not set(out) & set("\x1b\x9b\u202e\U000e0041")
    assert "\u03b2" in out or "u03b2" in out
    assert json.loads(out)["labels"] == list(labels)


def test_a_model_of_genes_embeds_nothing(with_model, capsys):
    assert run("embed", "model.deepscore", "query.h5ad", "-o", "out.h5ad") == 1
    assert capsys.readouterr().err.rstrip().endswith("[no_lsi]")
    assert not os.path.exists("out.h5ad")
