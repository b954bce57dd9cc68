from __future__ import annotations

import os
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr
from anndata.io import write_elem

from deepscore.errors import EngineError, InputError
from deepscore.interfaces import writers
from deepscore.interfaces.python import called
from deepscore.interfaces.stores import open_path
from deepscore.interfaces.writers import add_annotation, as_anndata, require_output, write_result, write_store
from deepscore.output.columns import table_of
from deepscore.workflows.annotate import AnnotateRequest
from interfaces.test_readers import COLUMNS, in_layer, in_mudata, on_disk, stored
from synthetic import digest


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_a_whole_store_has_no_empty_raw(tmp_path, query, suffix):
    """Other readers may not know it, and this one reads the layers of a store beside it."""
    query.layers["more"] = query.X.copy()
    path = str(tmp_path / f"out.{suffix}")
    write_store(query, None, path)
    opened = open_path(Path(path))
    assert opened.raw is None
    assert (opened.layers["more"][:] != query.X).nnz == 0


@pytest.mark.filterwarnings("ignore:Consolidated metadata", "ignore:zarr v3 autosharding")
def test_an_empty_raw_in_a_store_is_none(tmp_path, query):
    query.layers["more"] = query.X.copy()
    write_elem(zarr.open_group(tmp_path / "old.zarr", mode="w"), "/", query)
    assert open_path(tmp_path / "old.zarr").raw is None


def full(query):
    query.layers["raw"] = query.X.copy()
    query.obsm["X_pca"] = np.arange(2.0 * query.n_obs).reshape(-1, 2)
    query.obsp["distances"] = sp.identity(query.n_obs, format="csr")
    query.uns["settings"] = {"neighbors": {"k": 15}}
    query.obs["cluster"] = pd.Categorical(np.arange(query.n_obs) % 4)
    query.raw = query
    return query


@pytest.mark.parametrize("probabilities", [True, False])
def test_columns_are_added_and_nothing_else_changes(query, trained, probabilities):
    before = digest(full(query))
    found = trained.annotate(query, probabilities=probabilities)
    assert found is query
    added = {name: found.uns.pop(name) for name in ("deepscore", "deepscore_colors")}
    after = digest(found)
    new = [*(f"obs {name}" for name in COLUMNS), *["obsm deepscore_probabilities"] * probabilities]
    assert sorted(after.keys() - before.keys()) == sorted(new)
    assert {name: after[name] for name in before} == before
    assert len(added["deepscore_colors"]) == found.obs["deepscore"].cat.categories.size
    assert list(found.obs) == ["cell_type", "batch", "cluster", *COLUMNS]
    assert found.obs["deepscore_score"].dtype == np.float64


def test_a_view_is_copied_and_its_parent_left_alone(query, trained):
    part = query[:40]
    before = digest(query)
    found = trained.annotate(part)
    assert digest(query) == before
    assert not found.is_view
    assert found.n_obs == 40
    assert list(found.obs[COLUMNS]) == COLUMNS


def test_a_failed_call_changes_nothing(query, trained):
    before = digest(query)
    with pytest.raises(InputError):
        trained.annotate(query, layer="none")
    with pytest.raises(InputError):
        trained.annotate(query, batch="none")
    assert digest(query) == before


def test_annotating_again_replaces_the_columns(query, trained):
    first = trained.annotate(query).obs["deepscore"].tolist()
    assert trained.annotate(query, threshold=1.0).obs["deepscore"].tolist() != first
    assert list(query.obs) == ["cell_type", "batch", *COLUMNS]


def test_groups_add_their_columns_and_the_next_annotation_takes_them_away(query, trained):
    query.obs["cluster"] = pd.Categorical(np.where(np.arange(query.n_obs) % 4, query.obs["cell_type"], None))
    found = trained.annotate(query, groups="cluster", probabilities=True).obs
    assert list(found) == ["cell_type", "batch", "cluster", *COLUMNS, "deepscore_group", "deepscore_group_share"]
    for _, cells in found.groupby("cluster", observed=True):
        winner = cells["deepscore"].astype(str).mode().min()
        assert set(cells["deepscore_group"]) == {winner}
        assert cells["deepscore_group_share"].iloc[0] == pytest.approx((cells["deepscore"] == winner).mean())
    alone = found["cluster"].isna()
    assert alone.any()
    assert found.loc[alone, "deepscore_group"].tolist() == found.loc[alone, "deepscore"].tolist()
    vector = trained.annotate(query, groups=query.obs["cluster"].iloc[::-1]).obs["deepscore_group"]  # by cell name
    assert vector.tolist() == found["deepscore_group"].tolist()
    assert "deepscore_probabilities" not in query.obsm
    assert list(trained.annotate(query).obs) == ["cell_type", "batch", "cluster", *COLUMNS]


def test_calls_can_be_compared_with_labels_and_written(query, trained, tmp_path):
    query.obs["cell_type"] = query.obs["cell_type"].astype("category")
    found = trained.annotate(query, probabilities=True)
    assert (found.obs["deepscore"].astype(str) == found.obs["cell_type"].astype(str)).mean() > 0.9
    assert (found.obs["deepscore"] == trained.annotate(query.copy()).obs["deepscore"]).all()  # of one model
    found.write_h5ad(tmp_path / "annotated.h5ad")
    again = ad.read_h5ad(tmp_path / "annotated.h5ad")
    assert again.obs["deepscore"].tolist() == found.obs["deepscore"].tolist()


def test_the_table_has_the_names_of_cells_and_labels(query, trained):
    found = trained.annotate(query, probabilities=True, refine=False)
    table = found.obsm["deepscore_probabilities"]
    assert table.index.tolist() == query.obs_names.tolist()
    assert table.columns.tolist() == ["B cell", "NK cell", "T cell"]
    np.testing.assert_allclose(table.sum(axis=1), 1)
    np.testing.assert_array_equal(table.max(axis=1), found.obs["deepscore_score"])


def test_counts_become_a_data_set_with_the_table_of_cells(query):
    before = digest(query)
    counts = sp.csr_matrix(np.arange(300.0).reshape(150, 2), dtype=np.float32)
    features = np.array(["x", "y"], object)
    found = as_anndata(counts, features, query.obs, pd.DataFrame({"covered": [True, False]}))
    pd.testing.assert_frame_equal(found.obs, query.obs)
    assert found.var_names.to_list() == ["x", "y"]
    assert found.var["covered"].tolist() == [True, False]
    assert (counts != found.X).nnz == 0
    found.obs["cell_type"] = "changed"
    assert digest(query) == before
    assert as_anndata(counts, features, query.obs).var.shape == (2, 0)


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_an_annotated_file_is_written_beside_the_query(query, trained, tmp_path, suffix):
    query.uns["settings"] = {"k": 15}
    path, _ = stored(suffix)(in_layer(query), tmp_path)
    before, output = on_disk(tmp_path), tmp_path / "out.h5ad"
    found = trained.annotate(path, layer="raw", probabilities=True)
    write_store(found, str(path), str(output))
    assert {name: value for name, value in on_disk(tmp_path).items() if name != str(output)} == before
    again = ad.read_h5ad(output)
    assert again.obs["deepscore"].tolist() == found.obs["deepscore"].tolist()
    assert list(again.obsm["deepscore_probabilities"]) == ["B cell", "NK cell", "T cell"]
    assert (again.layers["raw"] != query.layers["raw"]).nnz == 0
    assert int(again.uns["settings"]["k"]) == 15


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
@pytest.mark.parametrize("name", ["deepscore", "B cell"])
def test_texts_that_may_be_missing_and_any_name_of_the_index_are_written(query, trained, tmp_path, suffix, name):
    query.obs["note"] = pd.array(["a", None] * 75, dtype="string")
    query.obs.index.name = name
    with ad.settings.override(allow_write_nullable_strings=True):
        path, _ = stored(suffix)(query, tmp_path)
    found = trained.annotate(path, probabilities=True)
    write_store(found, str(path), str(tmp_path / "out.h5ad"))
    again = ad.read_h5ad(tmp_path / "out.h5ad")
    assert again.obs_names.tolist() == query.obs_names.tolist()
    assert again.obs["note"].isna().sum() == 75
    assert isinstance(again.obs["deepscore"].dtype, pd.CategoricalDtype)
    assert not isinstance(again.obs["deepscore_raw"].dtype, pd.CategoricalDtype)  # whatever the query came from


# Labels that are paths, parts of paths, and what the formats keep for themselves.
ODD_LABELS = [
    ["CD4", "CD4/CD8", "B"],
    ["T/CD4", "T/CD8", "T|CD4"],
    ["_index", ".", ".."],
    ["a//b", "a/b", "/obs"],
    ["", " ", "/"],
    ["zarr.json", ".zattrs", "\u03b2 cell\n"],
]


@pytest.mark.parametrize("labels", ODD_LABELS, ids=str)
@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_what_is_annotated_can_be_saved_whatever_the_labels(query, trained, tmp_path, labels, suffix):
    source, found, origin = called(trained.model, query, AnnotateRequest(probabilities=True))
    names = dict(zip(found.labels, labels, strict=True))
    calls = np.array([names.get(call, call) for call in found.calls], dtype=object)
    annotated = add_annotation(source, replace(found, calls=calls, labels=tuple(labels)), origin)
    path = tmp_path / f"out{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr's of its next format
        getattr(annotated, f"write_{suffix[1:]}")(path)
    again = getattr(ad, f"read_{suffix[1:]}")(path)
    assert again.obs["deepscore"].tolist() == calls.tolist()
    np.testing.assert_array_equal(again.obsm["deepscore_probabilities"], found.probabilities)
    assert list(again.uns["deepscore"]["labels"]) == list(trained.model.labels)


@pytest.mark.parametrize("name", ["deepscore", "deepscore_score", "cell_type", "B cell"])
def test_a_column_named_like_the_index_can_be_saved(query, trained, tmp_path, name):
    query.obs.index.name = name
    found = trained.annotate(query, probabilities=True)
    found.write_h5ad(tmp_path / "out.h5ad")
    again = ad.read_h5ad(tmp_path / "out.h5ad")
    assert again.obs_names.tolist() == query.obs_names.tolist()
    assert again.obs[COLUMNS].equals(found.obs[COLUMNS])
    pd.testing.assert_frame_equal(
        again.obsm["deepscore_probabilities"], found.obsm["deepscore_probabilities"], check_names=False
    )


def test_calls_are_categories_with_colours_and_say_where_they_come_from(query, trained, tmp_path):
    found = trained.annotate(query, threshold=0.7, batch="batch")
    labels = [*trained.model.labels, "Unclassified"]
    assert found.obs["deepscore"].cat.categories.tolist() == labels
    found.write_h5ad(tmp_path / "out.h5ad")
    again = ad.read_h5ad(tmp_path / "out.h5ad")
    colours = list(again.uns["deepscore_colors"])
    assert len(set(colours)) == len(labels)
    assert colours[-1] == "#999999"
    told = again.uns["deepscore"]
    assert told["model"] == trained.manifest["content_sha256"]
    assert (told["threshold"], told["batch"], told["read_from"], bool(told["refine"])) == (0.7, "batch", "X", True)
    assert trained.annotate(again).uns["deepscore"]["threshold"] == 0.5


OUTPUTS = ["out.h5ad", "out.zarr", "out.csv", "out.tsv", "out.csv.gz", "out.tsv.gz", "out.parquet"]


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("suffix", [".h5ad", ".zarr", None])
def test_every_output_holds_the_same(query, trained, tmp_path, suffix, output):
    data, path = query, None
    if suffix is not None:
        path, _ = stored(suffix)(query, tmp_path)
        data = path
    request = AnnotateRequest(probabilities=True)
    source, found, origin = called(trained.model, data, request)
    annotated = add_annotation(source, found, origin)
    output = str(tmp_path / output)
    for _ in range(2):  # the second time in the place of the first
        require_output(output)
        write_result(annotated, None, path and str(path), output, table_of(found, source.blocks.cell_names))
    assert not list(tmp_path.glob("*.part"))
    if "zarr" in output or "h5ad" in output:
        again = (ad.read_zarr if "zarr" in output else ad.read_h5ad)(output)
        table = again.obs[COLUMNS].join(again.obsm["deepscore_probabilities"].add_prefix("deepscore_probability_"))
        assert (again.X != query.X).nnz == 0
        assert again.uns["deepscore"]["model"] == origin["model"]
    elif "parquet" in output:
        table = pd.read_parquet(output)
        assert table.index.name == "cell"
    else:
        table = pd.read_csv(output, sep="," if "csv" in output else "\t", index_col="cell", keep_default_na=False)
    assert table.index.tolist() == query.obs_names.tolist()
    assert table["deepscore"].tolist() == found.calls.tolist()
    assert table["deepscore_reason"].tolist() == found.reasons.tolist()
    np.testing.assert_allclose(table["deepscore_score"], found.scores)
    np.testing.assert_allclose(table[[f"deepscore_probability_{one}" for one in found.labels]], found.probabilities)


def test_an_h5mu_is_a_copy_of_one(query, trained, tmp_path):
    path = str(tmp_path / "query.h5mu")
    in_mudata(query).write(path)
    source, found, origin = called(trained.model, path, AnnotateRequest(modality="rna"))
    annotated, output = add_annotation(source, found, origin), str(tmp_path / "out.h5mu")
    require_output(output, path)
    write_result(annotated, source.key, path, output)
    again = mudata.read_h5mu(output)
    assert again["rna"].obs["deepscore"].tolist() == found.calls.tolist()
    assert again["rna"].uns["deepscore"]["model"] == origin["model"]
    assert again["atac"].var_names.tolist() == annotated["atac"].var_names.tolist()
    for wrong in (None, str(tmp_path / "query.h5ad")):
        with pytest.raises(InputError, match="Only of an .h5mu") as caught:
            require_output(output, wrong)
        assert caught.value.code == "path_not_writable"


def test_what_cannot_be_written_is_told_before_the_work(query, tmp_path, monkeypatch):
    folder = tmp_path / "folder.zarr"
    folder.mkdir()
    (folder / "mine.txt").write_text("not a store")
    for output in (tmp_path / "out.txt", tmp_path / "out", folder, tmp_path / "none" / "out.csv"):
        with pytest.raises(InputError) as caught:
            require_output(str(output))
        assert caught.value.code == "path_not_writable"
    monkeypatch.setattr(writers, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match=r"deepscore\[formats\]") as caught:
        require_output(str(tmp_path / "out.parquet"))
    assert caught.value.code == "missing_package"


def test_a_full_disk_is_one_error_and_no_end_of_the_process(query, trained, tmp_path, monkeypatch):
    path, _ = stored(".h5ad")(query, tmp_path)
    output = tmp_path / "out.h5ad"
    output.write_text("old")
    found = trained.annotate(path)

    def full(number, start, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    for query_path in (str(path), None):
        with pytest.raises(EngineError, match="No space left on device. Whatever was there is unchanged") as caught:
            write_result(found, None, query_path, str(output))
        assert caught.value.code == "write_failed"
    assert output.read_text() == "old"
    assert not list(tmp_path.glob("*.part"))


FULL = """
import os, resource, signal, sys
import anndata as ad
from deepscore.errors import EngineError
from deepscore.interfaces.writers import write_result

path, output, copied, more = sys.argv[1:]
data = ad.read_h5ad(path)
data.obs["deepscore"] = [f"label {i}" for i in range(data.n_obs)]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(path) + int(more), -1))
try:
    write_result(data, None, path if copied else None, output)
except EngineError as error:
    print(error.code)
"""


@pytest.mark.parametrize("copied", ["", "copied"])
@pytest.mark.parametrize("more", [-20_000, 1000, 10_000])
def test_a_file_that_cannot_grow_does_not_end_the_process(query, tmp_path, copied, more):
    path, output = tmp_path / "query.h5ad", tmp_path / "out.h5ad"
    query.write_h5ad(path)
    command = [sys.executable, "-W", "ignore", "-c", FULL, str(path), str(output), copied, str(more)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "write_failed\n", "")
    assert os.listdir(tmp_path) == ["query.h5ad"]


def test_a_failure_while_writing_leaves_the_old_output(query, trained, tmp_path, monkeypatch):
    path, _ = stored(".h5ad")(query, tmp_path)
    output = tmp_path / "out.h5ad"
    output.write_text("old")

    def fail(*args):
        raise OSError(28, "No space left on device")

    found = trained.annotate(path)
    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="No space left"):
        write_store(found, str(path), str(output))
    assert output.read_text() == "old"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["out.h5ad", "query.h5ad"]
    found.file.close()
