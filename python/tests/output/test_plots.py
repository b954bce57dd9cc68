from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from matplotlib.colors import to_hex
from PIL import Image

from deepscore.output import plots
from deepscore.errors import EngineError, InputError
from deepscore.training.fit import fit
from synthetic import blocks_of, dataset, quick, silent


def frames(path):
    with Image.open(path) as image:
        found = []
        for i in range(image.n_frames):
            image.seek(i)
            found.append(np.asarray(image.convert("RGB")))
        return found


def film(prepared, path, query=None, **options):
    with plots.watching(str(path), prepared, query, 0) as on_epoch:
        return fit(prepared, quick(), silent(**options), on_epoch)


@pytest.mark.parametrize("with_query", [True, False])
def test_the_film_has_a_frame_for_each_epoch(prepared, tmp_path, with_query):
    data = dataset(2, n_cells=60)
    query = blocks_of(data.X[:, 10:], data.var_names.to_numpy(object)[10:]) if with_query else None
    model = film(prepared, tmp_path / "film.gif", query)
    found = frames(tmp_path / "film.gif")
    assert len(found) == len(model.training["history"]) == 4
    assert all((a != b).any() for a, b in itertools.pairwise(found))


def test_epochs_without_a_change_have_frames_too(prepared, tmp_path):
    with plots.watching(str(tmp_path / "film.gif"), prepared, None, 0) as on_epoch:
        still = fit(prepared, quick(epochs=1), silent())
        for epoch in range(1, 5):
            on_epoch(epoch, still)
    assert len(frames(tmp_path / "film.gif")) == 4


def test_watching_changes_nothing_in_the_model(prepared, tmp_path):
    watched, plain = film(prepared, tmp_path / "film.gif"), fit(prepared, quick(), silent())
    for (a, _), (b, _) in zip(watched.layers, plain.layers, strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_a_path_nothing_is_watched(prepared):
    with plots.watching(None, prepared, None, 0) as on_epoch:
        assert on_epoch is None


@pytest.mark.parametrize("module", ["PIL", "matplotlib.figure"])
def test_without_packages_for_pictures_it_is_said_what_to_install(prepared, tmp_path, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EngineError, match=r"pip install matplotlib pillow\.") as caught:
        film(prepared, tmp_path / "film.gif")
    assert caught.value.code == "missing_package"


def test_a_folder_that_is_not_there_is_told_before_training(prepared, tmp_path):
    with (
        pytest.raises(InputError) as caught,
        plots.watching(str(tmp_path / "none" / "film.gif"), prepared, None, 0),
    ):
        pytest.fail("training would start here")
    assert caught.value.code == "path_not_writable"


def test_a_film_that_would_replace_a_folder_is_refused(prepared, tmp_path):
    (tmp_path / "film.gif").mkdir()
    with pytest.raises(InputError) as caught, plots.watching(str(tmp_path / "film.gif"), prepared, None, 0):
        pytest.fail("training would start here")
    assert caught.value.code == "path_not_writable"


def test_the_old_film_survives_a_failed_training(prepared, tmp_path):
    path = tmp_path / "film.gif"
    path.write_bytes(b"old")

    def train():
        with plots.watching(str(path), prepared, None, 0) as on_epoch:
            fit(prepared, quick(epochs=1), silent(), on_epoch)
            raise RuntimeError("no more memory")

    with pytest.raises(RuntimeError, match="no more memory"):
        train()
    assert path.read_bytes() == b"old"


def test_no_more_than_so_many_cells_are_shown(prepared, monkeypatch):
    monkeypatch.setattr(plots, "MOST_CELLS", 50)
    matrix, present = plots._shown(prepared, None, np.random.default_rng(0))
    assert matrix.shape == (50, 80)
    assert present is None
    data = dataset(2, n_cells=90)
    query = blocks_of(data.X[:, 10:], data.var_names.to_numpy(object)[10:], rows=7)
    found, present = plots._shown(prepared, query, np.random.default_rng(0))
    monkeypatch.setattr(plots, "MOST_CELLS", 90)
    every, _ = plots._shown(prepared, query, np.random.default_rng(0))
    shown = np.sort(np.random.default_rng(0).permutation(90)[:50])
    np.testing.assert_array_equal(found.toarray(), every[shown].toarray())
    assert np.flatnonzero(~present).tolist() == list(range(10))


def test_principal_components_are_those_of_a_dense_decomposition(rng):
    dense = rng.normal(size=(40, 12)) @ rng.normal(size=(12, 12))
    left, values, _ = np.linalg.svd(dense - dense.mean(axis=0), full_matrices=False)
    expected = left[:, :2] * values[:2]
    found = plots.principal_components(sp.csr_matrix(dense))
    np.testing.assert_allclose(np.abs(found), np.abs(expected), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("n_cells", [16, 64, 60])
def test_any_number_of_cells_has_components_and_cells_that_are_the_same_have_none(rng, n_cells):
    varying = rng.poisson(2, (n_cells, 100))
    assert plots.principal_components(sp.csr_matrix(varying)).std(axis=0).min() > 0
    for same in (np.zeros((n_cells, 100)), np.tile(rng.normal(size=100), (n_cells, 1))):
        np.testing.assert_array_equal(plots.principal_components(sp.csr_matrix(same)), np.zeros((n_cells, 2)))
    along_a_line = np.outer(np.arange(n_cells), np.ones(100))
    assert np.isfinite(plots.principal_components(sp.csr_matrix(along_a_line))).all()


@pytest.mark.parametrize("shape", [(1, 5), (2, 5), (5, 1), (5, 2), (3, 3)])
def test_few_cells_or_features_have_two_coordinates(rng, shape):
    found = plots.principal_components(sp.csr_matrix(rng.poisson(2, shape)))
    assert found.shape == (shape[0], 2)
    assert np.isfinite(found).all()


def test_the_picture_has_a_colour_for_each_label_and_grey_for_unclassified(rng):
    calls = np.array(["T cell", "B cell", "Unclassified", "T cell"], object)
    figure = plots.embedding_figure(rng.normal(size=(4, 2)), calls, ["B cell", "T cell"], "title")
    (axes,) = figure.axes
    assert axes.get_title() == "title"
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert [text.split(" (")[0] for text in texts] == ["B cell", "T cell", "Unclassified"]
    points = {part.get_label().split(" (")[0]: part for part in axes.collections}
    assert [len(points[label].get_offsets()) for label in ("B cell", "T cell", "Unclassified")] == [1, 2, 1]
    colours = {label: to_hex(part.get_facecolor()[0]) for label, part in points.items()}
    assert len(set(colours.values())) == 3
    red, green, blue = (int(colours["Unclassified"][i : i + 2], 16) for i in (1, 3, 5))
    assert red == green == blue


def test_labels_beyond_the_palette_still_have_colours(rng):
    labels = [f"type {i}" for i in range(35)]
    figure = plots.embedding_figure(rng.normal(size=(35, 2)), np.array(labels, object), labels, "many")
    assert len(figure.axes[0].collections) >= 35
