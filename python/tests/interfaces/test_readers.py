from __future__ import annotations

import hashlib
import sys
import warnings
from pathlib import Path

import anndata as ad
import dask.array as da
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import deepscore
from deepscore.errors import ConfigError, EngineError, InputError
from deepscore.interfaces.readers import open_halves, open_source, values_of
from deepscore.interfaces.writers import write_store
from synthetic import dataset

COLUMNS = ["deepscore", "deepscore_score", "deepscore_raw", "deepscore_reason"]


@pytest.fixture(scope="module")
def expected(trained):
    """Return the annotation of the query in its plainest form: CSR in memory."""
    query = trained.annotate(dataset(2, n_cells=150), probabilities=True)
    assert query.obs["deepscore"].nunique() > 1
    return query


def on_disk(folder: Path) -> dict[str, str]:
    """Return a hash of every file."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


# ------------------------------------------------------------------------------------- forms of one data set
# Each function takes the query and a folder, and returns a form of it and the arguments to read it with.


def form(convert, **arguments):
    return lambda query, folder: (convert(query), arguments)


def with_x(convert):
    def change(query):
        query.X = convert(query.X)
        return query

    return form(change)


def in_layer(query):
    query.layers["raw"] = query.X.copy()
    query.X = -query.X
    return query


def view(query):
    wide = ad.concat([dataset(9, n_cells=20), query], merge="same")
    return wide[20:]


def stored(suffix, convert=lambda x: x, backed=False):
    def change(query, folder):
        path = folder / f"query{suffix}"
        query.X = convert(query.X)
        if suffix == ".h5ad":
            query.write_h5ad(path)
            return (ad.read_h5ad(path, backed="r") if backed else path), {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            query.write_zarr(path)
        return path, {}

    return change


def stored_layer(suffix):
    def change(query, folder):
        path, _ = stored(suffix)(in_layer(query), folder)
        return path, {"layer": "raw"}

    return change


def in_mudata(query):
    other = ad.AnnData(sp.csr_matrix((query.n_obs, 3)), obs=query.obs[[]].copy())
    other.var_names = [f"chr1:{i}0-{i}9" for i in range(1, 4)]
    return mudata.MuData({"rna": query, "atac": other})


def in_dask(x):
    return da.from_array(x.toarray(), chunks=(40, 30))


def sparse_in_dask(x):
    return da.from_array(x.toarray(), chunks=(40, -1)).map_blocks(sp.csr_matrix)


def unsorted(x):
    """Return CSR whose indices are in no order within a row."""
    x = x.copy()
    for start, stop in zip(x.indptr, x.indptr[1:], strict=False):
        x.indices[start:stop] = x.indices[start:stop][::-1].copy()
        x.data[start:stop] = x.data[start:stop][::-1].copy()
    x.has_sorted_indices = False
    return x


def in_halves(x):
    """Store each value as two: the matrix is the same."""
    x = x.tocoo()
    half = x.data // 2
    parts = sp.coo_matrix((np.r_[half, x.data - half], (np.r_[x.row, x.row], np.r_[x.col, x.col])), shape=x.shape)
    order = np.argsort(parts.row, kind="stable")
    indptr = np.searchsorted(parts.row[order], np.arange(x.shape[0] + 1))
    return sp.csr_matrix((parts.data[order], parts.col[order], indptr), shape=x.shape)


def explicit_zeros(x):
    x = x.tocoo()
    row, col = np.append(x.row, [0, 1]), np.append(x.col, [np.flatnonzero(x.toarray()[i] == 0)[0] for i in (0, 1)])
    return sp.coo_matrix((np.append(x.data, [0, 0]), (row, col)), x.shape).tocsr()


FORMS = {
    "csr": with_x(lambda x: x),
    "csc": with_x(lambda x: x.tocsc()),
    "dense": with_x(lambda x: x.toarray()),
    "dense, columns first": with_x(lambda x: np.asfortranarray(x.toarray())),
    "csr_array": with_x(sp.csr_array),
    "csc_array": with_x(sp.csc_array),
    "int64": with_x(lambda x: x.astype(np.int64)),
    "uint8": with_x(lambda x: x.astype(np.uint8)),
    "float64": with_x(lambda x: x.astype(np.float64)),
    "float16": with_x(lambda x: x.toarray().astype(np.float16)),
    "unsorted": with_x(unsorted),
    "explicit zeros": with_x(explicit_zeros),
    "view": form(view),
    "layer": form(in_layer, layer="raw"),
    "dask": with_x(in_dask),
    "dask of csr": with_x(sparse_in_dask),
    "mudata, by modality": form(in_mudata, modality="rna"),
    "backed csr": stored(".h5ad", backed=True),
    "backed csc": stored(".h5ad", lambda x: x.tocsc(), backed=True),
    "duplicates": with_x(in_halves),
    "h5ad, duplicates": stored(".h5ad", in_halves),
    "backed dense": stored(".h5ad", lambda x: x.toarray(), backed=True),
    "h5ad": stored(".h5ad"),
    "h5ad, dense": stored(".h5ad", lambda x: x.toarray()),
    "h5ad, layer": stored_layer(".h5ad"),
    "zarr": stored(".zarr"),
    "zarr, csc": stored(".zarr", lambda x: x.tocsc()),
    "zarr, dense": stored(".zarr", lambda x: x.toarray()),
    "zarr, layer": stored_layer(".zarr"),
}


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
def test_every_form_gets_the_same_annotation(make, query, expected, trained, tmp_path):
    data, arguments = make(query, tmp_path)
    before = on_disk(tmp_path)
    found = trained.annotate(data, probabilities=True, **arguments)
    found = found["rna"] if isinstance(found, mudata.MuData) else found
    assert found.obs["deepscore"].tolist() == expected.obs["deepscore"].tolist()
    np.testing.assert_allclose(found.obs["deepscore_score"], expected.obs["deepscore_score"], atol=1e-6)
    pd.testing.assert_frame_equal(
        found.obsm["deepscore_probabilities"], expected.obsm["deepscore_probabilities"], atol=1e-6
    )
    assert on_disk(tmp_path) == before
    if getattr(found, "isbacked", False):
        found.file.close()


def test_a_view_of_a_backed_data_set(query, expected, trained, tmp_path):
    backed, _ = stored(".h5ad", backed=True)(query, tmp_path)
    found = trained.annotate(backed[50:])
    assert found.obs["deepscore"].tolist() == expected.obs["deepscore"].tolist()[50:]
    assert list(backed.obs) == ["cell_type", "batch"]
    backed.file.close()


def test_a_view_of_a_mudata(query, expected, trained):
    whole = in_mudata(query)
    found = trained.annotate(whole[50:], modality="rna")
    assert found["rna"].obs["deepscore"].tolist() == expected.obs["deepscore"].tolist()[50:]
    assert "deepscore" not in whole["rna"].obs


def test_a_mudata_read_from_disk(query, expected, trained, tmp_path):
    path = tmp_path / "query.h5mu"
    in_mudata(query).write(path)
    found = trained.annotate(mudata.read_h5mu(path), modality="rna")
    assert found["rna"].obs["deepscore"].tolist() == expected.obs["deepscore"].tolist()


# ----------------------------------------------------------------------------------- what happens to the query


# -------------------------------------------------------------------------------------- what cannot be opened


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda folder: np.ones((3, 3)), "unknown_data"),
        (lambda folder: None, "unknown_data"),
        (lambda folder: folder / "none.h5ad", "file_not_found"),
        (lambda folder: str(folder / "none.zarr"), "file_not_found"),
        (lambda folder: folder, "unknown_data"),
    ],
    ids=["matrix", "nothing", "h5ad", "zarr", "folder"],
)
def test_what_cannot_be_opened_is_told(make, code, tmp_path):
    with pytest.raises(InputError) as caught:
        open_source(make(tmp_path))
    assert caught.value.code == code


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_a_file_that_is_not_what_its_name_says_is_told(suffix, tmp_path):
    path = tmp_path / f"text{suffix}"
    path.write_text("cell\tCD3D\tMS4A1\n")
    with pytest.raises(InputError) as caught:
        open_source(path)
    assert caught.value.code == "unknown_data"


def test_a_file_without_values_names_its_layers(query, tmp_path):
    path = tmp_path / "query.h5ad"
    query.layers["counts"] = query.X.copy()
    query.X = None
    query.write_h5ad(path)
    for data in (path, ad.read_h5ad(path, backed="r")):
        with pytest.raises(InputError, match="'counts'") as caught:
            open_source(data)
        assert caught.value.code == "layer_not_found"


@pytest.mark.filterwarnings("ignore:.*very old version", "ignore:The HDF5 file was not created")
def test_files_of_another_kind_are_told(tmp_path):
    with h5py.File(tmp_path / "scalars.h5ad", "w") as file:
        file["obs"] = file["var"] = file["X"] = 1.0
    in_mudata(dataset(1)).write(tmp_path / "multi.h5mu")
    (tmp_path / "multi.h5mu").rename(tmp_path / "multi.h5ad")
    dataset(1).write_h5ad(tmp_path / "single.h5mu")
    for name, code in (
        ("scalars.h5ad", "unknown_data"),
        ("multi.h5ad", "layer_not_found"),
        ("single.h5mu", "unknown_data"),
    ):
        with pytest.raises(InputError) as caught:
            open_source(tmp_path / name, modality="rna")
        assert caught.value.code == code, name


def test_a_data_set_without_values_names_its_layers():
    data = ad.AnnData(
        obs=pd.DataFrame(index=["a", "b"]), var=pd.DataFrame(index=["x"]), layers={"counts": np.ones((2, 1))}
    )
    with pytest.raises(InputError, match="'counts'") as caught:
        open_source(data)
    assert caught.value.code == "layer_not_found"
    assert open_source(data, "counts").blocks.source == "layer 'counts'"


def test_a_mudata_needs_a_modality(query):
    with pytest.raises(InputError, match="rna, atac") as caught:
        open_source(in_mudata(query))
    assert caught.value.code == "modality_required"


@pytest.mark.parametrize(
    ("asked", "n_features", "kind"), [("rna", 80, "rna"), ("peaks", 3, "peaks"), ("atac", 3, None)]
)
def test_a_modality_is_found_by_its_key_or_its_kind(query, asked, n_features, kind):
    source = open_source(in_mudata(query), modality=asked)
    assert (source.blocks.n_features, source.modality) == (n_features, kind)


def test_the_key_of_antibodies_tells_what_they_are_and_that_of_peaks_leaves_it_to_their_names(query):
    antibodies = query[:, :5].copy()
    antibodies.var_names = ["CD3", "CD4", "CD8a", "CD19", "CD56"]
    data = mudata.MuData({"rna": query, "prot": antibodies})
    assert open_source(data, modality="prot").modality == "protein"


def change(element, value):
    """Return a function that replaces an element of a file."""

    def changed(file):
        attributes, new = dict(file[element].attrs), value(file) if callable(value) else value
        del file[element]
        file[element] = new
        file[element].attrs.update(attributes)

    return changed


def change_items(element, where, value):
    def changed(file):
        file[element][where] = value

    return changed


def delete(file):
    del file["X/data"]


DAMAGE = {
    "fewer cells": change("X/indptr", lambda file: file["X/indptr"][:-9]),
    "another shape": lambda file: file["X"].attrs.update(shape=[150, 90]),
    "no data": delete,
    "too few data": change("X/data", lambda file: file["X/data"][:-9]),
    "index too large": change_items("X/indices", 5, 80),
    "index negative": change_items("X/indices", 5, -1),
    "pointers": change_items("X/indptr", 10, 900),
}
DAMAGED_ARRAYS = {
    "fewer cells": np.ones((140, 80)),
    "one dimension": np.ones(150),
    "three dimensions": np.ones((150, 80, 2)),
    "text": np.full((150, 80), b"one"),
    "complex": np.ones((150, 80), complex),
}


@pytest.mark.parametrize("layers", [False, True])
@pytest.mark.parametrize(
    ("dense", "damage"),
    [*((False, damage) for damage in DAMAGE.values()), *((True, change("X", x)) for x in DAMAGED_ARRAYS.values())],
    ids=[*DAMAGE, *(f"dense: {name}" for name in DAMAGED_ARRAYS)],
)
def test_a_damaged_file_is_one_error(query, tmp_path, dense, damage, layers):
    query.X = query.X.toarray() if dense else query.X
    if layers:
        query.layers["raw"] = query.X.copy()
    path, _ = stored(".h5ad")(query, tmp_path)
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(InputError, match="X cannot be read as a matrix of numbers") as caught:
        open_source(path).blocks.to_csr()
    assert caught.value.code == "unknown_data"


def test_a_damaged_chunk_is_one_error(query, tmp_path):
    query.X = query.X.toarray()
    query.write_h5ad(tmp_path / "query.h5ad", compression="gzip")
    with h5py.File(tmp_path / "query.h5ad") as file:
        place = file["X"].id.get_chunk_info(0).byte_offset
    with (tmp_path / "query.h5ad").open("r+b") as file:
        file.seek(place + 20)
        file.write(b"\xff" * 40)
    with pytest.raises(InputError) as caught:
        open_source(tmp_path / "query.h5ad").blocks.to_csr()
    assert caught.value.code == "unknown_data"


@pytest.mark.parametrize("kind", ["csr", "csc"])
@pytest.mark.parametrize("part", ["indices", "indptr"])
def test_a_matrix_that_reaches_outside_itself_is_refused(query, kind, part):
    matrix = getattr(query.X, f"to{kind}")().copy()
    getattr(matrix, part)[10] = 2**20
    query.X = matrix
    with pytest.raises(InputError) as caught:
        open_source(query).blocks.to_csr()
    assert caught.value.code == "unknown_data"


@pytest.mark.parametrize("convert", [lambda x: x.astype(complex), lambda x: x.toarray().astype(str)])
def test_values_that_are_no_real_numbers_are_refused(query, convert):
    query.X = convert(query.X)
    with pytest.raises(InputError) as caught:
        open_source(query)
    assert caught.value.code == "unknown_data"


def test_parts_of_a_small_whole_number_do_not_wrap_round():
    data = ad.AnnData(sp.csr_matrix((1, 2)))
    data.X = sp.csr_matrix((np.array([200, 100], np.uint8), np.array([0, 0]), np.array([0, 2])), shape=(1, 2))
    assert open_source(data).blocks.to_csr().toarray().tolist() == [[300, 0]]


@pytest.mark.parametrize("layers", [False, True])
def test_an_element_that_cannot_be_read_is_named(query, tmp_path, layers):
    query.obsm["odd"] = np.ones((150, 2))
    path, _ = stored_layer(".h5ad")(query, tmp_path) if layers else stored(".h5ad")(query, tmp_path)
    with h5py.File(path, "r+") as file:
        file["obsm/odd"].attrs["encoding-type"] = "of the future"
    with pytest.raises(InputError, match="'odd'") as caught:
        open_source(path)
    assert caught.value.code == "unknown_data"


@pytest.mark.filterwarnings("ignore")
def test_an_old_file_with_layers_is_read(query, tmp_path):
    def table(names):
        return np.array([(name.encode(),) for name in names], dtype=[("index", "S20")])

    with h5py.File(tmp_path / "old.h5ad", "w") as file:
        file["obs"], file["var"] = table(query.obs_names), table(query.var_names)
        file["X"] = file["layers/raw"] = query.X.toarray()
    source = open_source(tmp_path / "old.h5ad", "raw")
    np.testing.assert_array_equal(source.blocks.to_csr().toarray(), query.X.toarray())


@pytest.mark.parametrize(("name", "value"), [("layer", ["raw"]), ("modality", np.array(["rna", "peaks"]))])
def test_a_layer_and_a_modality_are_names(query, name, value):
    with pytest.raises(ConfigError, match=name) as caught:
        open_source(query, **{name: value})
    assert caught.value.code == "bad_argument"


def test_a_path_that_no_system_has_is_told(tmp_path):
    with pytest.raises(InputError, match="name too long") as caught:
        open_source(tmp_path / f"{'a' * 300}.h5ad")
    assert caught.value.code == "file_not_found"


# ---------------------------------------------------------------------------------- multiomes, files of MuData


@pytest.fixture
def h5mu(query, tmp_path):
    in_mudata(query).write(tmp_path / "multiome.h5mu")
    return tmp_path / "multiome.h5mu"


@pytest.mark.parametrize("convert", [Path, str])
def test_a_path_of_a_mudata_is_opened_and_left_alone(h5mu, expected, trained, convert):
    before = on_disk(h5mu.parent)
    found = trained.annotate(convert(h5mu), modality="rna")
    assert found["rna"].obs["deepscore"].tolist() == expected.obs["deepscore"].tolist()
    np.testing.assert_allclose(found["rna"].obs["deepscore_score"], expected.obs["deepscore_score"], atol=1e-6)
    assert on_disk(h5mu.parent) == before


def test_a_path_of_a_mudata_needs_a_modality(h5mu):
    with pytest.raises(InputError, match="rna, atac") as caught:
        open_source(h5mu)
    assert caught.value.code == "modality_required"


def test_a_file_that_is_no_mudata_is_told(tmp_path):
    for name, text, code in (("text", "cell\tCD3D\n", "unknown_data"), ("none", None, "file_not_found")):
        path = tmp_path / f"{name}.h5mu"
        if text is not None:
            path.write_text(text)
        with pytest.raises(InputError) as caught:
            open_source(path, modality="rna")
        assert caught.value.code == code


def test_without_mudata_it_is_said_what_to_install(h5mu, monkeypatch):
    monkeypatch.setitem(sys.modules, "mudata", None)
    with pytest.raises(EngineError, match=r"pip install mudata\.") as caught:
        open_source(h5mu, modality="rna")
    assert caught.value.code == "missing_package"


def test_halves_of_every_form_of_a_multiome(query, h5mu):
    whole = in_mudata(query)
    pair = (whole["rna"], whole["atac"])
    renamed = mudata.MuData({"gex": whole["rna"], "ATAC": whole["atac"]})
    for multiome in (whole, h5mu, str(h5mu), pair, list(pair), renamed):
        rna, atac = open_halves(multiome)
        assert rna.blocks.feature_names.tolist() == query.var_names.to_list()
        assert atac.blocks.feature_names.tolist() == ["chr1:10-19", "chr1:20-29", "chr1:30-39"]
        np.testing.assert_array_equal(rna.blocks.to_csr().toarray(), query.X.toarray())


def test_a_layer_is_that_of_the_rna(query):
    whole = in_mudata(in_layer(query))
    for multiome in (whole, (whole["rna"], whole["atac"])):
        rna, atac = open_halves(multiome, {"layer": "raw"})
        assert (rna.blocks.source, atac.blocks.source) == ("layer 'raw'", "X")


def test_three_data_sets_are_no_multiome(query):
    for multiome in ((query,), [query] * 3):
        with pytest.raises(InputError, match="two data sets, RNA and ATAC") as caught:
            open_halves(multiome)
        assert caught.value.code == "unknown_data"


# ------------------------------------------------------------------------------------------- .raw, scaled values


def scaled(data, raw=None, **layers):
    """Return z-scores of the first genes, as at the end of a usual analysis; `raw` and `layers` as given."""
    out = data[:, :50].copy()
    dense = data.X.toarray()[:, :50]
    out.X = (dense - dense.mean(axis=0)) / np.maximum(dense.std(axis=0), 1e-3)
    out.layers.update(layers)
    out.raw = raw
    return out


def placed(data, path):
    """Write a data set where the path has an ending."""
    if not path.suffix:
        return data
    getattr(data, f"write_{path.suffix[1:]}")(path)
    return path


@pytest.mark.parametrize("ending", ["", ".h5ad", ".zarr"])
@pytest.mark.filterwarnings("ignore:Writing zarr v2:UserWarning")
def test_raw_is_a_layer_with_its_own_features(query, tmp_path, ending):
    source = open_source(placed(scaled(query, raw=query), tmp_path / f"x{ending}"), "raw", values="counts")
    assert source.blocks.feature_names.tolist() == query.var_names.tolist()
    assert (source.blocks.source, source.blocks.values) == (".raw", "counts")
    np.testing.assert_array_equal(source.blocks.to_csr().toarray(), query.X.toarray())


def test_the_features_of_raw_have_types_of_their_own(query):
    whole = query.copy()
    whole.var["feature_types"] = "Gene Expression"
    data = scaled(query, raw=whole)
    assert set(open_source(data, "raw").blocks.feature_types) == {"Gene Expression"}
    part = open_source(data[20:30], "raw").blocks
    np.testing.assert_array_equal(part.to_csr().toarray(), query.X.toarray()[20:30])


def test_several_data_sets_are_given_one_by_one(query):
    with pytest.raises(InputError, match="in a loop") as caught:
        open_source([query, query])
    assert caught.value.code == "unknown_data"


def test_raw_is_at_hand_where_it_is_not_what_is_read(query):
    data = query[:, :5].copy()
    assert open_source(data).blocks.raw is None
    data.raw = query
    assert open_source(data).blocks.raw().feature_names.tolist() == query.var_names.tolist()
    assert open_source(data, "raw").blocks.raw is None
    data.raw = query.copy()
    data.raw._X = np.array(["x"])  # cannot be read
    assert open_source(data).blocks.raw() is None


def test_a_layer_called_raw_comes_before_raw(query):
    data = scaled(query, raw=query)
    data.layers["raw"] = 2 * query.X[:, :50]
    blocks = open_source(data, "raw").blocks
    assert blocks.source == "layer 'raw'"
    np.testing.assert_array_equal(blocks.to_csr().toarray(), 2 * query.X.toarray()[:, :50])


def test_a_data_set_without_raw_says_what_there_is(query):
    query.layers["counts"] = query.X.copy()
    for layer, there in (("raw", "there are: 'counts'."), ("nothing", "there are: 'counts', 'raw'.")):
        with pytest.raises(InputError, match=there) as caught:
            open_source(query, layer)
        assert caught.value.code == "layer_not_found"
        query.raw = query


@pytest.mark.parametrize("ending", ["", ".h5ad"])
def test_counts_or_raw_are_read_in_place_of_scaled_values(query, tmp_path, ending):
    counts = query.X[:, :50].copy()
    for data, name in ((scaled(query, raw=query), "raw"), (scaled(query, raw=query, counts=counts), "counts")):
        with pytest.warns(UserWarning, match=rf"X is scaled .*layer='{name}'") as told:
            found = open_source(placed(data, tmp_path / f"{name}{ending}")).blocks
        assert len(told) == 1
        assert found.source == (".raw" if name == "raw" else "layer 'counts'")
        np.testing.assert_array_equal(found.to_csr().toarray(), (query.X if name == "raw" else counts).toarray())


def test_values_that_are_not_scaled_are_read_as_they_are(query):
    query.raw = query
    query.X = sp.csr_matrix(np.log1p(query.X.toarray()))
    query.layers["counts"] = 2 * query.X
    assert open_source(query).blocks.source == "X"


def test_scaled_values_that_are_asked_for_are_refused_with_what_to_name(query):
    logarithms = np.log1p(query.X[:, :50])
    data = scaled(query, raw=query, counts=query.X[:, :50].copy())
    data.layers["scaled"] = data.X.copy()
    for layer, wanted, expected in (
        ("scaled", data, "layer='counts' or layer='raw'"),
        (None, scaled(query, logarithms=logarithms), "layer='logarithms'"),
        ("scaled", scaled(query, scaled=data.X, logarithms=logarithms), "layer='logarithms'"),
    ):
        with pytest.raises(InputError, match=expected) as caught:
            open_source(wanted, layer)
        assert caught.value.code == "scaled_data"


def test_scaled_values_without_others_are_refused_by_who_reads_them(trained, query):
    data = scaled(query, raw=scaled(query), counts=scaled(query).X)
    assert open_source(data).blocks.source == "X"
    with pytest.raises(InputError) as caught:
        trained.annotate(data)
    assert caught.value.code == "scaled_data"


def test_a_model_is_trained_on_raw_and_annotates_by_it(reference, query):
    whole = deepscore.DeepScore((16,), epochs=3).set_reference(reference, "cell_type").train(progress=False)
    by_raw = deepscore.DeepScore((16,), epochs=3)
    by_raw.set_reference(scaled(reference, raw=reference), "cell_type", layer="raw").train(progress=False)
    assert by_raw.manifest["content_sha256"] == whole.manifest["content_sha256"]
    calls = by_raw.annotate(scaled(query, raw=query), layer="raw").obs["deepscore"]
    assert calls.tolist() == whole.annotate(query).obs["deepscore"].tolist()


def test_the_caller_says_what_values_are(query):
    assert open_source(query, values="lognorm").blocks.values == "lognorm"
    assert open_source(query).blocks.values is None
    mdata = in_mudata(query)
    assert open_source(mdata, modality="rna", values="counts").blocks.values == "counts"
    rna, atac = open_halves(mdata, {"values": "lognorm"})
    assert (rna.blocks.values, atac.blocks.values) == ("lognorm", None)
    for wrong in ("log", 1, ["counts"], ""):
        with pytest.raises(ConfigError, match="values must be one of counts, lognorm") as caught:
            open_source(query, values=wrong)
        assert caught.value.code == "bad_argument"


# ------------------------------------------------------------------------------------------------- write_h5ad


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_nothing_of_a_store_is_lost_and_no_layer_is_read(trained, tmp_path, kind):
    data = dataset(2, n_cells=150)
    data.layers["counts"], data.raw = data.X.copy(), data.copy()
    data.obsp["graph"], data.varm["loadings"] = sp.eye_array(150, format="csr"), np.ones((data.n_vars, 2))
    data.obsm["pca"], data.uns["source"] = np.ones((150, 2)), "made up"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        getattr(data, f"write_{kind}")(tmp_path / f"q.{kind}")
    expected = trained.annotate(data.copy()).obs["deepscore"].tolist()
    for layer in (None, "counts"):
        found = trained.annotate(tmp_path / f"q.{kind}", layer=layer)
        assert found.obs["deepscore"].tolist() == expected
        assert not sp.issparse(found.layers["counts"])  # still on disk
    memory = found.to_memory()
    assert (memory.X != data.X).nnz == (memory.layers["counts"] != data.X).nnz == (memory.raw.X != data.X).nnz == 0
    assert (list(memory.obsp), list(memory.varm), memory.uns["source"]) == (["graph"], ["loadings"], "made up")
    write_store(found, f"q.{kind}" if kind == "zarr" else str(tmp_path / "q.h5ad"), str(tmp_path / "out.h5ad"))
    out = ad.read_h5ad(tmp_path / "out.h5ad")
    assert out.obs["deepscore"].tolist() == expected
    assert (list(out.obsp), list(out.varm), list(out.obsm)) == (["graph"], ["loadings"], ["pca"])
    assert out.raw.shape == data.shape


def test_a_file_that_is_no_anndata_is_refused(trained, tmp_path):
    with h5py.File(tmp_path / "other.h5ad", "w") as file:
        file["layers/x"] = np.ones(3)
    with pytest.raises(InputError) as caught:
        trained.annotate(tmp_path / "other.h5ad")
    assert caught.value.code == "unknown_data"


@pytest.mark.parametrize("labels", [5, {"a": "b"}, b"cell_type", np.array([["a"], ["b"]])], ids=str)
def test_labels_that_are_no_list_are_refused(labels):
    with pytest.raises(InputError) as caught:
        deepscore.DeepScore().set_reference(dataset(1), labels)
    assert caught.value.code == "labels_length"


@pytest.mark.parametrize("labels", [[("a", 1), "b"], [[1], [1, 2]]], ids=str)
def test_labels_that_are_lists_of_several_lengths_are_refused(labels):
    with pytest.raises(InputError) as caught:
        deepscore.DeepScore().set_reference(dataset(1), labels * 60)
    assert caught.value.code == "labels_length"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array(["a", "b", np.nan]), ["a", "b", None]),
        (np.array(["a", "b", None], dtype=str), ["a", "b", None]),
        (np.array([b"a", b"b", b"\xce\xb2"]), ["a", "b", "\u03b2"]),
        (pd.Series(["nan", "None", "b"]), [None, None, "b"]),
    ],
)
def test_what_was_written_for_a_missing_label_is_missing(values, expected):
    assert values_of(open_source(dataset(1, n_cells=3)), values, "labels").tolist() == expected


def test_a_series_that_names_a_cell_twice_is_told(query):
    values = pd.Series("a", index=[query.obs_names[0], *query.obs_names[:-1]])
    with pytest.raises(InputError, match=f"twice, such as {query.obs_names[0]}") as caught:
        values_of(open_source(query), values, "labels")
    assert caught.value.code == "labels_cells"


@pytest.mark.parametrize("what", ["label", "feature", "cell"])
def test_halves_of_characters_are_refused_before_training(query, what):
    labels = ["a", "\ud800" if what == "label" else "b"] * (query.n_obs // 2)
    if what == "feature":
        query.var_names = ["\ud800", *query.var_names[1:]]
    elif what == "cell":
        query.obs_names = ["\ud800", *query.obs_names[1:]]
    with pytest.raises(InputError) as caught:
        deepscore.DeepScore().set_reference(query, labels)
    assert caught.value.code == "invalid_text"


def test_values_beyond_float32_are_infinite(query):
    query.X = query.X.toarray().astype(np.float64)
    query.X[3, 3] = 1e300
    with pytest.raises(InputError) as caught:
        deepscore.DeepScore().set_reference(query, "cell_type")
    assert caught.value.code == "non_finite"
