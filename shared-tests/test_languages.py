"""Python and R together: R runs the shared cases, each language uses the other's models, and both train alike.

Rscript must find the R package deepscore (R_LIBS); it is given the Python that runs this file. Without R the tests are
skipped, unless DEEPSCORE_REQUIRE_ENGINE is set: then they fail.
"""

import json
import os
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

import deepscore
from deepscore.errors import ModelFileError
from forgery import CONTENT, VERSION_1, VERSION_3, repacked
from model import test_file_refused as refused
from shared_data import HERE, read_fixture, to_anndata

pytestmark = pytest.mark.r
TOLERANCE = 1e-5


def rscript(*arguments):
    environment = os.environ | {"RETICULATE_PYTHON": sys.executable, "GOMP_SPINCOUNT": "0", "DEEPSCORE_CASE": ""}
    command = ["Rscript", "--vanilla", *map(str, arguments)]
    return subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module", autouse=True)
def _needs_r():
    found = shutil.which("Rscript") and rscript("-e", "library(deepscore)").returncode == 0
    if not found and os.environ.get("DEEPSCORE_REQUIRE_ENGINE"):
        pytest.fail("Rscript, or the R package deepscore, is not installed")
    if not found:
        pytest.skip("needs Rscript and the R package deepscore")


def test_r_runs_the_shared_cases():
    # The reporter names every failure, and writes nothing beside the tests.
    run = """options(testthat.summary.max_reports = 100)
        testthat::test_file("test_shared.R", package = NULL, reporter = "summary", stop_on_failure = TRUE)"""
    done = rscript("-e", run)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "Skipped" not in done.stdout, "every test must run"


MANIFESTS = {
    "version 1": VERSION_1,
    "version 2": CONTENT,
    "version 3": VERSION_3,
    "the largest seed": refused.rewritten('"seed": 3', '"seed": 9223372036854775807'),
    "a large number": refused.rewritten('"n_cells": 30', '"n_cells": 30, "x": 1e30'),
    "digits and pairs of characters": refused.rewritten("GENE003", r"12345678901234567890 \ud83d\ude00 \\ud83d"),
    "as deep as may be": refused.rewritten('"seed": 3', '"x": ' + "[" * 99 + "]" * 99 + ', "seed": 3'),
    "half a character": refused.rewritten("GENE003", r"\\\ud83d"),
    **{f"no model: {name}": content for name, content in refused.NOT_MODELS.items()},
    **{f"1: {name}": repacked(change, content=VERSION_1) for name, change in refused.INVALID_1.items()},
    **{f"2: {name}": repacked(change) for name, change in (refused.INVALID | refused.FORGED | refused.EDITS).items()},
    **{f"3: {name}": repacked(change, content=VERSION_3) for name, change in refused.INVALID_3.items()},
}


def test_both_languages_refuse_the_same_manifests(tmp_path):
    """R does it without Python."""

    def code_of(path):
        try:
            return deepscore.inspect_model(path) and "none"
        except ModelFileError as error:
            return error.code

    paths = [tmp_path / str(number) for number in range(len(MANIFESTS))]
    for path, content in zip(paths, MANIFESTS.values(), strict=True):
        path.write_bytes(content)
    inspect = """library(deepscore)
        code_of <- function(path) tryCatch({inspect_model(path); "none"}, deepscore_error = function(e) e$code)
        for (path in commandArgs(TRUE)) cat(code_of(path), "")
        cat(reticulate::py_available())"""
    done = rscript("-e", inspect, *paths)
    *codes, python = done.stdout.split()
    assert python == "FALSE", done.stderr
    expected = {name: code_of(path) for name, path in zip(MANIFESTS, paths, strict=True)}
    assert dict(zip(MANIFESTS, codes, strict=True)) == expected
    assert set(expected.values()) == {"none", "not_a_model", "invalid_manifest"}


DATA = {
    "genes": {"reference": "reference", "query": "query", "n_features": 150, "batch": "batch"},
    "peaks": {"reference": "peaks_reference", "query": "peaks_query", "n_features": 100},
}
# The halves of a multiome, and the model of RNA that calls it.
BRIDGE = {"reference": "reference", "query": "reference_atac", "batch": "batch"}
RNA_MODEL = "models/v2/toy_rna.deepscore"


@pytest.fixture(scope="module", params=[*DATA, "bridge"])
def exchange(request, tmp_path_factory):
    """Train in both languages, each using the model of the other; return the folder with models and calls."""
    folder = tmp_path_factory.mktemp(request.param)
    return across_a_bridge(folder) if request.param == "bridge" else of_a_reference(folder, DATA[request.param])


def of_a_reference(folder, names):
    reference, query = ({"fixture": names[what]} for what in ("reference", "query"))
    data, batch = to_anndata(read_fixture(reference)), names.get("batch")
    features = deepscore.find_common_features(data, to_anndata(read_fixture(query)), names["n_features"])
    # Seurat knows no underscore: in R the reference has the same features under names with a dash.
    config = {"hidden_nodes": [64, 16], "common_features": features, "n_labels": 4, "epochs": 8, "seed": 5}
    settings = {"config": config, "reference": reference, "query": query, "batch": batch}
    (folder / "settings.json").write_text(json.dumps(settings))
    few, unlabelled = "fewer than 10 cells .* 'pDC'", "2 of .* cells have no label"
    with pytest.warns(UserWarning, match=few), pytest.warns(UserWarning, match=unlabelled):
        ds = deepscore.DeepScore(**config).set_reference(data, "label_missing", batch=batch).train(progress=False)
    return in_r_too(ds, folder, query)


def across_a_bridge(folder):
    rna, query = ({"fixture": BRIDGE[what]} for what in ("reference", "query"))
    settings = {"config": {"seed": 5}, "reference": rna, "query": query, "batch": BRIDGE["batch"], "bridge": RNA_MODEL}
    (folder / "settings.json").write_text(json.dumps(settings))
    multiome = tuple(to_anndata(read_fixture(spec)) for spec in (rna, query))
    with pytest.warns(UserWarning, match="fewer than 50 confident cells"):
        ds = deepscore.train_bridge(
            deepscore.load(HERE / RNA_MODEL), multiome, seed=5, batch=BRIDGE["batch"], progress=False
        )
    return in_r_too(ds, folder, query)


def in_r_too(ds, folder, query):
    ds.save(folder / "python.deepscore")
    done = rscript("both_ways.R", folder)
    assert done.returncode == 0, done.stderr
    return folder, query


@pytest.mark.parametrize("refine", [True, False])
@pytest.mark.parametrize("origin", ["python", "r"])
def test_both_languages_call_every_cell_alike(exchange, origin, refine):
    folder, query = exchange
    batch = json.loads((folder / "settings.json").read_text())["batch"]
    found = deepscore.load(folder / f"{origin}.deepscore").annotate(
        to_anndata(read_fixture(query)), 0.9, batch, probabilities=True, refine=refine, groups="cluster_missing"
    )
    table = found.obsm["deepscore_probabilities"]
    file = folder / f"{origin}_in_r{'' if refine else '_alone'}.csv"
    in_r = pd.read_csv(file, index_col=0, keep_default_na=False)
    assert in_r.index.tolist() == found.obs_names.tolist()
    columns = [f"deepscore_probability_{label}" for label in table.columns]
    texts = ["deepscore", "deepscore_raw", "deepscore_reason", "deepscore_group"]
    numbers = ["deepscore_score", "deepscore_group_share"]
    assert set(in_r.columns) == {*texts, *numbers, *columns}
    for name in texts:
        assert in_r[name].tolist() == found.obs[name].tolist(), name
    for name in numbers:
        assert np.abs(in_r[name] - found.obs[name]).max() <= TOLERANCE, name
    assert np.abs(in_r[columns].to_numpy() - table.to_numpy()).max() <= TOLERANCE


def test_both_languages_train_the_same_weights(exchange):
    folder, _ = exchange
    ours, theirs = (load_file(folder / f"{origin}.deepscore") for origin in ("python", "r"))
    assert ours.keys() == theirs.keys()
    for name, weights in ours.items():
        np.testing.assert_array_equal(weights, theirs[name], err_msg=name)
    ours, theirs = (deepscore.inspect_model(folder / f"{origin}.deepscore") for origin in ("python", "r"))
    assert ours == theirs


@pytest.mark.parametrize("exchange", ["bridge"], indirect=True)
@pytest.mark.parametrize(("file", "model"), [("activity", None), ("activity_by_model", "python.deepscore")])
def test_both_languages_call_activity_in_view_of_peaks_alike(exchange, file, model):
    folder, query = exchange
    peaks, peaks_model = to_anndata(read_fixture(query)), None if model is None else deepscore.load(folder / model)
    with warnings.catch_warnings():  # a sixth of the model's genes is among the few that have a place
        warnings.filterwarnings("ignore", "The query has only", UserWarning)
        activity = deepscore.gene_activity(peaks, HERE / "fixtures" / "genes.gtf")
        found = deepscore.load(HERE / RNA_MODEL).annotate(activity, peaks=peaks, peaks_model=peaks_model).obs
    in_r = pd.read_csv(folder / f"{file}.csv", index_col=0, keep_default_na=False)
    assert in_r["deepscore"].tolist() == found["deepscore"].tolist()
    assert np.abs(in_r["deepscore_score"] - found["deepscore_score"]).max() <= TOLERANCE


@pytest.mark.parametrize("exchange", DATA, indirect=True)
def test_both_languages_check_alike(exchange):
    folder, query = exchange
    settings = json.loads((folder / "settings.json").read_text())
    data, config = to_anndata(read_fixture(settings["reference"])), settings["config"]
    with pytest.warns(UserWarning, match="2 of .* cells have no label"):
        found = deepscore.check_reference(
            data, "label_missing", to_anndata(read_fixture(query)), common_features=config["common_features"],
            batch=settings["batch"], folds=2, seed=config["seed"],
        )  # fmt: skip
    assert (folder / "words.txt").read_text(encoding="utf-8").splitlines() == list(found.words)
    for name in ("labels", "confusable"):
        ours = getattr(found, name)
        in_r = pd.read_csv(folder / f"{name}.csv", index_col=0, float_precision="round_trip").reset_index(drop=True)
        in_r = in_r.astype(ours.dtypes.to_dict())  # a column of 1.0 is one of whole numbers in the file
        pd.testing.assert_frame_equal(in_r, ours, check_exact=True)


SAVE = {
    "python": [
        sys.executable, "-c",
        "import sys, deepscore\ntry: deepscore.load(sys.argv[1]).save(sys.argv[2])\n"
        "except deepscore.errors.DeepScoreError as error: print(error.code)",
    ],
    "r": [
        "Rscript", "--vanilla", "-e",
        "library(deepscore); path <- commandArgs(TRUE)\n"
        "tryCatch(save_model(load_model(path[1]), path[2]), deepscore_error = function(e) cat(e$code))",
    ],
}  # fmt: skip


@pytest.mark.parametrize("language", SAVE)
def test_a_file_survives_a_full_disk(tmp_path, language):
    """The limit lets all of the model through but its last bytes, which wait in a buffer until the file is closed."""
    model, target = HERE / "models/v1/toy_rna.deepscore", tmp_path / "model.deepscore"
    assert 24 * 1024 < model.stat().st_size < 28 * 1024
    target.write_text("an older file")
    limited = ["bash", "-c", "trap '' XFSZ; ulimit -f 24; exec \"$@\"", "bash", *SAVE[language]]
    environment = os.environ | {"RETICULATE_PYTHON": sys.executable, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([*limited, model, target], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "path_not_writable", done.stdout + done.stderr
    assert target.read_text() == "an older file"
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
