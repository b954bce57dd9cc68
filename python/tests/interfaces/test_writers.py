from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from deepscore.errors import InputError
from deepscore.interfaces.writers import as_anndata, require_columns, write_h5ad
from interfaces.test_readers import COLUMNS, in_layer, on_disk, stored
from synthetic import digest


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
    after = digest(found)
    new = [*(f"obs {name}" for name in COLUMNS), *["obsm deepscore_probabilities"] * probabilities]
    assert sorted(after.keys() - before.keys()) == sorted(new)
    assert {name: after[name] for name in before} == before
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
        winner = cells["deepscore"].mode().min()
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
    assert (found.obs["deepscore"] == found.obs["cell_type"]).mean() > 0.9
    found.write_h5ad(tmp_path / "annotated.h5ad")
    again = ad.read_h5ad(tmp_path / "annotated.h5ad")
    assert again.obs["deepscore"].tolist() == found.obs["deepscore"].tolist()


def test_the_table_has_the_names_of_cells_and_labels(query, trained):
    table = trained.annotate(query, probabilities=True).obsm["deepscore_probabilities"]
    assert table.index.tolist() == query.obs_names.tolist()
    assert table.columns.tolist() == ["B cell", "NK cell", "T cell"]
    np.testing.assert_allclose(table.sum(axis=1), 1)
    np.testing.assert_array_equal(table.max(axis=1), query.obs["deepscore_score"])


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
    write_h5ad(found, str(path), str(output))
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
    write_h5ad(found, str(path), str(tmp_path / "out.h5ad"))
    again = ad.read_h5ad(tmp_path / "out.h5ad")
    assert again.obs_names.tolist() == query.obs_names.tolist()
    assert again.obs["note"].isna().sum() == 75
    assert not isinstance(again.obs["deepscore"].dtype, pd.CategoricalDtype)  # whatever the query came from


@pytest.mark.parametrize(
    ("labels", "wrong"),
    [
        (["B", "T", "T/CD4"], "T/CD4"),
        (["T/CD4", "T"], "T"),
        (["B", "."], "."),
        (["_index", "B"], "_index"),
        (["/obs", "B"], "/obs"),
        (["a//b", "a/b"], "a/b"),
    ],
)
def test_labels_that_cannot_be_columns_together_are_refused(labels, wrong):
    with pytest.raises(InputError, match=f"'{wrong}'") as caught:
        require_columns(labels)
    assert caught.value.code == "invalid_text"


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_a_slash_in_a_label_is_written(query, trained, tmp_path, suffix):
    require_columns(["CD4+/CD25 T Reg", "CD4+/CD45RO+ Memory", "B", ".."])
    path, _ = stored(suffix)(query, tmp_path)
    found = trained.annotate(path, probabilities=True)
    found.obsm["deepscore_probabilities"].columns = columns = ["T/CD4", "T/CD8", "B"]
    with pytest.warns(FutureWarning, match="slashes"):  # anndata, of its next version
        write_h5ad(found, str(path), str(tmp_path / "out.h5ad"))
    assert list(ad.read_h5ad(tmp_path / "out.h5ad").obsm["deepscore_probabilities"]) == columns


def test_a_failure_while_writing_leaves_the_old_output(query, trained, tmp_path, monkeypatch):
    path, _ = stored(".h5ad")(query, tmp_path)
    output = tmp_path / "out.h5ad"
    output.write_text("old")

    def fail(*args):
        raise OSError(28, "No space left on device")

    found = trained.annotate(path)
    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="No space left"):
        write_h5ad(found, str(path), str(output))
    assert output.read_text() == "old"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["out.h5ad", "query.h5ad"]
    found.file.close()
