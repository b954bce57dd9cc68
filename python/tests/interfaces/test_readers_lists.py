"""Lists of data sets that are read as one, and arrays of dask."""

from __future__ import annotations

import resource
import shutil
import threading
from dataclasses import replace

import anndata as ad
import dask.array as da
import mudata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import deepscore
from deepscore.errors import ConfigError, InputError
from deepscore.interfaces import readers, stores, writers
from deepscore.interfaces.readers import labels_of, open_data, open_source, terms_of, values_of
from deepscore.interfaces.writers import write_store
from synthetic import dataset

CALLS = ["deepscore", "deepscore_score", "deepscore_raw", "deepscore_reason"]


@pytest.fixture(scope="module")
def whole():
    return dataset(2, n_cells=150)


def stored(data, path):
    write_store(data, None, str(path))
    return path


def halves(whole, folder, ends=(".h5ad", ".zarr")):
    return [
        stored(whole[rows].copy(), folder / f"{i}{end}")
        for i, (rows, end) in enumerate(zip((slice(0, 60), slice(60, 150)), ends, strict=True))
    ]


def in_mudata(data):
    other = ad.AnnData(sp.csr_matrix((data.n_obs, 3)), obs=data.obs[[]].copy())
    other.var_names = [f"chr1:{i}0-{i}9" for i in range(1, 4)]
    return mudata.MuData({"rna": data, "atac": other})


FORMS = {
    "in memory": lambda whole, folder: [whole[:60].copy(), whole[60:].copy()],
    "views": lambda whole, folder: [whole[:60], whole[60:]],
    "h5ad": lambda whole, folder: halves(whole, folder, (".h5ad", ".h5ad")),
    "zarr": lambda whole, folder: halves(whole, folder, (".zarr", ".zarr")),
    "h5ad and zarr": halves,
    "path and memory": lambda whole, folder: [str(halves(whole, folder)[0]), whole[60:].copy()],
    "backed": lambda whole, folder: [ad.read_h5ad(path, "r") for path in halves(whole, folder, (".h5ad", ".h5ad"))],
    "mudata": lambda whole, folder: [in_mudata(whole[:60].copy()), in_mudata(whole[60:].copy())],
    "tuple": lambda whole, folder: tuple(halves(whole, folder)),
    "one": lambda whole, folder: [stored(whole, folder / "all.h5ad")],
}


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
def test_a_list_is_annotated_as_one_query(make, whole, trained, tmp_path):
    expected = trained.annotate(whole.copy(), probabilities=True, groups="cell_type")
    data = make(whole, tmp_path)
    found = trained.annotate(data, probabilities=True, groups="cell_type", modality="rna")
    assert isinstance(found, list)
    assert len(found) == len(data)
    tables = [one["rna"] if isinstance(one, mudata.MuData) else one for one in found]
    obs = pd.concat([one.obs for one in tables])
    assert obs.index.tolist() == whole.obs_names.tolist()
    for column in [*CALLS, "deepscore_group", "deepscore_group_share"]:
        assert obs[column].tolist() == expected.obs[column].tolist()
    table = pd.concat([one.obsm["deepscore_probabilities"] for one in tables])
    np.testing.assert_array_equal(table, expected.obsm["deepscore_probabilities"])
    np.testing.assert_array_equal(tables[0].X[:5].toarray(), whole.X[:5].toarray())
    assert tables[0].uns["deepscore"]["threshold"] == 0.5


@pytest.mark.parametrize("make", [FORMS["in memory"], FORMS["h5ad and zarr"]])
def test_a_list_is_learnt_from_as_one_reference(make, whole, tmp_path):
    def learnt(reference, labels, **how):
        ds = deepscore.DeepScore((8,), epochs=2).set_reference(reference, labels, **how)
        return ds.train(progress=False).model.layers

    expected = learnt(whole, "cell_type", batch="batch")
    data = make(whole, tmp_path)
    vector = whole.obs["cell_type"].tolist()
    for labels in ("cell_type", vector):
        for (weight, bias), (w, b) in zip(expected, learnt(data, labels, batch="batch"), strict=True):
            np.testing.assert_array_equal(weight, w)
            np.testing.assert_array_equal(bias, b)
    features = deepscore.find_common_features(whole, whole, 20, "markers", labels="cell_type")
    assert deepscore.find_common_features(data, whole, 20, "markers", labels="cell_type") == features
    check = deepscore.check_reference(data, "cell_type", data, folds=2, progress=False)
    assert len(check.labels) == whole.obs["cell_type"].nunique()


def test_labels_are_a_column_that_all_have_or_a_vector(whole, tmp_path):
    paths = halves(whole, tmp_path)
    source = open_data([*paths, paths[0]])
    column = whole.obs["cell_type"].astype(str)
    expected = [*column, *column[:60]]
    assert labels_of(source, "cell_type").tolist() == expected
    assert labels_of(source, expected).tolist() == expected
    assert values_of(source, "batch", "batch").tolist() == [*whole.obs["batch"], *whole.obs["batch"][:60]]
    assert terms_of(source) is None
    both = open_data(paths)
    assert labels_of(both, column[::-1]).tolist() == column.tolist()  # a Series is aligned by cell name
    other = whole[:60].copy()
    del other.obs["cell_type"]
    lacking = open_data([paths[1], stored(other, tmp_path / "other.h5ad")])
    with pytest.raises(InputError, match=r"other\.h5ad: obs has no column 'cell_type'") as caught:
        labels_of(lacking, "cell_type")
    assert caught.value.code == "column_not_found"


def test_terms_of_a_list_are_those_of_all(whole):
    data = whole.copy()
    data.obs["cell_type_ontology_term_id"] = "CL:1"
    assert set(terms_of(open_data([data, data]))) == {"CL:1"}
    assert terms_of(open_data([data, whole])) is None


def test_a_panel_that_lacks_features_is_a_batch_that_misses_them(whole, trained):
    found = trained.annotate([whole[:75].copy(), whole[75:, 4:].copy()])  # four of six markers of a label
    for one in found:
        assert (one.obs["deepscore"].astype(str) == one.obs["cell_type"].astype(str)).mean() > 0.95


def test_a_reference_in_a_list_keeps_the_features_that_all_have(whole):
    ds = deepscore.DeepScore((8,)).set_reference([whole[:75].copy(), whole[75:, 20:].copy()], "cell_type")
    assert set(ds.common_features) <= set(whole.var_names[20:])


def test_values_of_two_kinds_are_refused(whole, trained, tmp_path):
    logs = whole[60:].copy()
    logs.X = logs.X.astype(np.float32).multiply(1e4 / logs.X.sum(axis=1)).log1p().tocsr()
    paths = [stored(whole[:60].copy(), tmp_path / "a.h5ad"), stored(logs, tmp_path / "b.h5ad")]
    with pytest.raises(InputError, match=r"a\.h5ad holds counts, .*b\.h5ad holds log-normalised") as caught:
        trained.annotate(paths)
    assert caught.value.code == "mixed_values"


def test_lists_that_make_no_sense(whole, trained, tmp_path):
    with pytest.raises(ConfigError) as caught:
        trained.annotate([])
    assert caught.value.code == "bad_argument"
    with pytest.raises(InputError, match="nothing.h5ad") as missing:
        trained.annotate([whole, tmp_path / "nothing.h5ad"])
    assert missing.value.code == "file_not_found"
    with pytest.raises(InputError, match="data set 2: .*list") as nested:
        trained.annotate([whole, [whole]])
    assert nested.value.code == "unknown_data"
    data = whole.copy()
    data.layers["counts"] = data.X
    with pytest.raises(InputError, match="data set 2: There is no layer 'counts'") as layer:
        trained.annotate([data, whole], layer="counts")
    assert layer.value.code == "layer_not_found"


def test_layers_raw_and_tables_in_a_list(whole, tmp_path):
    data = whole.copy()
    data.layers["counts"], data.raw = data.X.copy(), data.copy()
    data.X = data.X * 0.5
    path = stored(data, tmp_path / "a.h5ad")
    table = tmp_path / "b.csv"
    data.to_df("counts").to_csv(table)
    for one, layer in ((path, "counts"), (path, "raw"), (table, None)):
        blocks = open_data([one, one], layer).blocks
        np.testing.assert_array_equal(blocks.to_csr().toarray(), np.tile(whole.X.toarray(), (2, 1)))


def test_few_files_are_open_at_once_and_each_table_is_read_once(whole, trained, tmp_path, monkeypatch):
    small = whole[:4].copy()
    small.layers["counts"] = small.X.copy()
    first = stored(small, tmp_path / "0.h5ad")
    paths = [first, *(tmp_path / f"{i}.h5ad" for i in range(1, 120))]
    for path in paths[1:]:
        shutil.copy(first, path)
    opened = []
    really = stores.open_path
    monkeypatch.setattr(readers, "open_path", lambda path: opened.append(path) or really(path))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (90, hard))
    try:
        source = open_data([*paths, *paths], "counts")
        assert len(opened) == len(set(opened)) == 120
        np.testing.assert_array_equal(source.blocks.to_csr().toarray(), np.tile(small.X.toarray(), (240, 1)))
        found = trained.annotate(paths, layer="counts", progress=False)
        np.testing.assert_array_equal(found[-1].X[:].toarray(), small.X.toarray())
        assert not len(found[-1].layers)  # they would keep all files open
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    monkeypatch.setattr(writers, "MOST_OPEN", 120)
    assert list(trained.annotate(paths, layer="counts", progress=False)[-1].layers) == ["counts"]


def test_the_same_data_set_many_times_is_opened_once(whole, trained, tmp_path, monkeypatch):
    path = stored(whole, tmp_path / "a.h5ad")
    opened = []
    really = stores.open_path
    monkeypatch.setattr(readers, "open_path", lambda path: opened.append(path) or really(path))
    source = open_data([path] * 5 + [str(path)])
    assert len(opened) == 1
    assert source.blocks.n_cells == 6 * whole.n_obs
    expected = trained.annotate(whole.copy()).obs["deepscore_raw"].tolist()
    found = trained.annotate([whole.copy()] * 3)
    assert [one.obs["deepscore_raw"].tolist() for one in found] == [expected] * 3


def test_a_dask_array_is_computed_band_by_band(whole, trained):
    lock, times = threading.Lock(), {}

    def counted(x, block_info=None):
        place = tuple(block_info[0]["chunk-location"])
        with lock:
            times[place] = times.get(place, 0) + 1
        return x

    x = np.tile(whole.X.toarray(), (80, 1))  # 12,000 cells in 24 bands of two chunks
    array = da.from_array(x, chunks=(500, x.shape[1] // 2)).map_blocks(counted, dtype=x.dtype, meta=np.empty((0, 0)))
    data = ad.AnnData(array, obs=pd.DataFrame(index=[f"c{i}" for i in range(len(x))]), var=whole.var)
    blocks = replace(open_source(data).blocks, rows=100)
    times.clear()
    for start, block in blocks:
        assert (block != sp.csr_matrix(x[start : start + block.shape[0]])).nnz == 0
        assert {band for band, _ in times} == set(range(start // 500 + 1))  # what comes later is not there yet
    assert times == dict.fromkeys(np.ndindex(24, 2), 1)
    times.clear()
    expected = trained.annotate(whole.copy(), refine=False).obs["deepscore_raw"].tolist()
    found = trained.annotate(data, refine=False)
    assert found.obs["deepscore_raw"].tolist() == expected * 80
    assert max(times.values()) <= 4  # what the values are, their totals, and the calls
    labels = np.tile(whole.obs["cell_type"].astype(str), 80)
    times.clear()
    deepscore.DeepScore((8,), epochs=1).set_reference(data, labels)
    assert max(times.values()) <= 8
    assert isinstance(found.X, da.Array)


def test_chunks_of_dask_that_are_large_are_computed_in_parts(whole, monkeypatch):
    monkeypatch.setattr(readers, "VALUES_PER_BAND", 10 * whole.n_vars)
    blocks = open_source(ad.AnnData(da.from_array(whole.X.toarray(), chunks=(100, 30)), whole.obs, whole.var)).blocks
    np.testing.assert_array_equal(blocks.to_csr().toarray(), whole.X.toarray())
    np.testing.assert_array_equal(blocks.read(7, 133).toarray(), whole.X[7:133].toarray())
