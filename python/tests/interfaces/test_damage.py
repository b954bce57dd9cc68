from __future__ import annotations

import re
import warnings

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr

from deepscore.errors import InputError
from deepscore.interfaces.readers import labels_of, open_source, values_of
from deepscore.interfaces.stores import open_path

# ----------------------------------------------------------------------------- stores of which a part is not there


def consolidate(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr's of its next format
        zarr.consolidate_metadata(path)


def rewritten(path, element, chunks):
    """Write an array of a zarr store again in other chunks, and return their files in order."""
    store = zarr.open_group(path, mode="r+", use_consolidated=False)
    old = store[element]
    values, attributes = old[:], dict(old.attrs)
    del store[element]
    store.create_array(element, data=values, chunks=chunks).attrs.update(attributes)
    consolidate(path)
    folder = path / element
    files = [
        file for file in folder.rglob("*") if file.is_file() and file.name not in (".zarray", ".zattrs", "zarr.json")
    ]
    return sorted(files, key=lambda file: [int(part) for part in re.findall(r"\d+", str(file.relative_to(folder)))])


def zarr_of(query, folder, version=2):
    with warnings.catch_warnings(), ad.settings.override(zarr_write_format=version):
        warnings.simplefilter("ignore")
        query.write_zarr(folder / "query.zarr")
    return folder / "query.zarr"


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("kind", ["csr", "csc"])
@pytest.mark.parametrize("place", ["X", "layers/counts", "raw/X"])
@pytest.mark.parametrize("part", ["data", "indices", "indptr"])
def test_a_sparse_matrix_without_one_of_its_chunks_is_refused(query, tmp_path, version, kind, place, part):
    query.X = getattr(query.X, f"to{kind}")()
    query.layers["counts"], query.raw = query.X.copy(), query.copy()
    path = zarr_of(query, tmp_path, version)
    files = rewritten(path, f"{place}/{part}", (20 if part == "indptr" else 800,))
    layer = "counts" if place.startswith("layers") else None
    np.testing.assert_array_equal(open_source(path, layer).blocks.to_csr().toarray(), query.X.toarray())
    files[0 if part == "indptr" else len(files) // 2].unlink()
    with pytest.raises(InputError, match=f"{part} is not in the store|ascend") as caught:
        open_source(path, layer)
    assert caught.value.code == "unknown_data"


@pytest.mark.parametrize("values", [np.eye(6)[:, [0, 0]] * 0 + [1, 0], np.diag([0, 0, 0, 1, 1, 1])])
def test_chunks_that_were_not_written_because_they_hold_zeros_are_read(tmp_path, values):
    data = ad.AnnData(sp.csr_matrix(values, dtype=np.float32))
    path = zarr_of(data, tmp_path)
    n_files = [len(rewritten(path, f"X/{part}", (2,))) for part in ("indices", "indptr")]
    assert min(n_files) < 3  # some are left out
    np.testing.assert_array_equal(open_source(path).blocks.to_csr().toarray(), values)


def test_a_dense_matrix_without_one_of_its_chunks_is_read_with_a_warning(query, tmp_path):
    query.X = query.X.toarray()
    path = zarr_of(query, tmp_path)
    rewritten(path, "X", (50, 40))[3].unlink()
    with pytest.warns(UserWarning, match="1 of the 6 chunks of X are not in the store"):
        found = open_source(path).blocks.to_csr().toarray()
    expected = query.X.copy()
    expected[50:100, 40:] = 0
    np.testing.assert_array_equal(found, expected)


def test_names_of_which_a_part_is_not_there_are_refused(query, tmp_path):
    path = zarr_of(query, tmp_path)
    rewritten(path, "obs/_index", (50,))[1].unlink()
    with pytest.raises(InputError, match="names in obs") as caught:
        open_path(path)
    assert caught.value.code == "unknown_data"


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("what", ["labels", "batch", "groups"])
def test_a_column_without_some_of_its_codes_is_told_where_it_is_used(query, tmp_path, version, what):
    query.obs["cell_type"] = query.obs["cell_type"].astype("category")
    query.obs["study"] = pd.Categorical(["one"] * query.n_obs)
    path = zarr_of(query, tmp_path, version)
    rewritten(path, "obs/cell_type/codes", (50,))[1].unlink()
    rewritten(path, "obs/study/codes", (50,))  # of which zarr writes nothing, as there is nothing else
    source = open_source(path)  # in silence
    used = labels_of if what == "labels" else lambda *given: values_of(*given, what)
    assert set(used(source, "study")) == {"one"}
    with pytest.warns(UserWarning, match=r"1 of the \d chunks of obs\['cell_type'\] .* first category, 'B cell'"):
        found = used(source, "cell_type")
    expected = query.obs["cell_type"].astype(str).to_numpy(object)
    expected[50:100] = query.obs["cell_type"].cat.categories[0]
    assert found.tolist() == expected.tolist()


def test_a_column_of_numbers_without_some_of_them_is_told(query, tmp_path):
    query.obs["cluster"] = np.arange(query.n_obs) % 7 + 1
    path = zarr_of(query, tmp_path)
    rewritten(path, "obs/cluster", (50,))[2].unlink()
    with pytest.warns(UserWarning, match=r"obs\['cluster'\] are not in the store and read as zero"):
        assert labels_of(open_source(path), "cluster")[100] == "0"


@pytest.mark.parametrize("version", [2, 3])
def test_text_of_which_a_part_is_not_there_is_refused_where_it_is_used(query, tmp_path, version):
    query.obs["note"] = [f"note {i}" for i in range(query.n_obs)]
    path = zarr_of(query, tmp_path, version)
    rewritten(path, "obs/note", (50,))[1].unlink()
    source = open_source(path)
    assert len(labels_of(source, "cell_type")) == query.n_obs
    with pytest.raises(InputError, match=r"chunks of obs\['note'\].*copy it again") as caught:
        labels_of(source, "note")
    assert caught.value.code == "unknown_data"


@pytest.mark.parametrize("version", [2, 3])
def test_categories_of_which_a_part_is_not_there_are_refused(query, tmp_path, version):
    query.obs["cell_type"] = query.obs["cell_type"].astype("category")
    path = zarr_of(query, tmp_path, version)
    rewritten(path, "obs/cell_type/categories", (2,))[0].unlink()
    with pytest.raises(InputError, match="categories of 'cell_type' in obs") as caught:
        open_path(path)
    assert caught.value.code == "unknown_data"


@pytest.mark.parametrize("place", ["X", "layers/counts", "raw/X"])
@pytest.mark.parametrize("kind", ["csr", "csc"])
@pytest.mark.parametrize("damage", ["start", "end", "order", "no data"])
def test_pointers_that_do_not_run_over_all_values_are_refused(query, tmp_path, place, kind, damage):
    query.X = getattr(query.X, f"to{kind}")()
    query.layers["counts"], query.raw = query.X.copy(), query.copy()
    query.write_h5ad(tmp_path / "query.h5ad")
    with h5py.File(tmp_path / "query.h5ad", "r+") as file:
        pointers = file[place]["indptr"]
        if damage == "no data":  # as a file that nobody finished
            dtype, shape = file[place]["data"].dtype, file[place]["data"].shape
            del file[place]["data"]
            file[place].create_dataset("data", shape, dtype, chunks=(100,))
        else:
            pointers[{"start": 0, "end": -1, "order": 10}[damage]] += {"start": 3, "end": -3, "order": 9000}[damage]
    with pytest.raises(InputError, match="indptr|data is not in the store") as caught:
        open_source(tmp_path / "query.h5ad", "counts" if place.startswith("layers") else None)
    assert caught.value.code == "unknown_data"


@pytest.mark.parametrize(("item", "change"), [(0, 2), (-1, 5)])
def test_pointers_in_memory_are_looked_at_too(query, item, change):
    query.X.indptr[item] += change
    with pytest.raises(InputError, match="indptr") as caught:
        open_source(query)
    assert caught.value.code == "unknown_data"


def test_what_is_none_is_read(query, tmp_path):
    query.uns["nothing"], query.obsm["empty"] = None, np.empty((150, 0))
    query.write_h5ad(tmp_path / "query.h5ad")
    found = open_path(tmp_path / "query.h5ad")
    assert found.uns["nothing"] is None
    assert found.obsm["empty"].shape == (150, 0)


def test_a_file_that_is_cut_short_is_refused(query, tmp_path):
    query.write_h5ad(tmp_path / "query.h5ad")
    whole = (tmp_path / "query.h5ad").read_bytes()
    for share in (0.1, 0.5, 0.99):
        (tmp_path / "query.h5ad").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(InputError) as caught:
            open_path(tmp_path / "query.h5ad")
        assert caught.value.code == "unknown_data"


# --------------------------------------------------------------------------------------- stores that are too large


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
@pytest.mark.parametrize("place", ["obsm/wide", "uns/wide", "X", "layers/wide"])
def test_what_unpacks_to_gigabytes_is_refused(query, tmp_path, suffix, place):
    path = tmp_path / f"query{suffix}"
    if suffix == ".zarr":
        zarr_of(query, tmp_path)
        store = zarr.open_group(path, mode="r+", use_consolidated=False)
    else:
        query.write_h5ad(path)
        store = h5py.File(path, "r+")
    if place == "X":
        del store["X"]
    shape = (150, 2**21)
    new = getattr(store, "create_array", getattr(store, "create_dataset", None))
    new(place, shape=shape, dtype="f8", chunks=shape if place in ("X", "layers/wide") else (10, 1000)).attrs.update(
        {"encoding-type": "array", "encoding-version": "0.2.0"}
    )
    if suffix == ".zarr":
        consolidate(path)
    else:
        store.close()
    with pytest.raises(InputError, match=r"would unpack to 2,516,582,400") as caught:
        open_path(path)
    assert caught.value.code == "unknown_data"


@pytest.mark.parametrize("levels", [60, 5000])
def test_groups_that_are_nested_deeply_are_refused(query, tmp_path, levels):
    query.write_h5ad(tmp_path / "query.h5ad")
    with h5py.File(tmp_path / "query.h5ad", "r+") as file:
        group = file["uns"]
        for _ in range(levels):
            group = group.create_group("a")
    with pytest.raises(InputError, match="nested") as caught:
        open_path(tmp_path / "query.h5ad")
    assert caught.value.code == "unknown_data"


def test_a_group_that_holds_itself_is_refused_and_a_link_to_nothing_is_not(query, tmp_path):
    query.write_h5ad(tmp_path / "query.h5ad")
    with h5py.File(tmp_path / "query.h5ad", "r+") as file:
        file["obsp/none"] = h5py.SoftLink("/nowhere")
        file["uns/again"] = file["uns"]
    with pytest.raises(InputError, match="nested") as caught:
        open_path(tmp_path / "query.h5ad")
    assert caught.value.code == "unknown_data"
