from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest
from PIL import Image

from deepscore.errors import EngineError, InputError
from deepscore.output import film as film_of
from deepscore.output.film import filming
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
    with filming(str(path), prepared, query, 0) as on_epoch:
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
    with filming(str(tmp_path / "film.gif"), prepared, None, 0) as on_epoch:
        still = fit(prepared, quick(epochs=1), silent())
        for epoch in range(1, 5):
            on_epoch(epoch, still)
    assert len(frames(tmp_path / "film.gif")) == 4


def test_watching_changes_nothing_in_the_model(prepared, tmp_path):
    watched, plain = film(prepared, tmp_path / "film.gif"), fit(prepared, quick(), silent())
    for (a, _), (b, _) in zip(watched.layers, plain.layers, strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_a_path_nothing_is_watched(prepared):
    with filming(None, prepared, None, 0) as on_epoch:
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
        filming(str(tmp_path / "none" / "film.gif"), prepared, None, 0),
    ):
        pytest.fail("training would start here")
    assert caught.value.code == "path_not_writable"


def test_a_film_that_would_replace_a_folder_is_refused(prepared, tmp_path):
    (tmp_path / "film.gif").mkdir()
    with pytest.raises(InputError) as caught, filming(str(tmp_path / "film.gif"), prepared, None, 0):
        pytest.fail("training would start here")
    assert caught.value.code == "path_not_writable"


def test_the_old_film_survives_a_failed_training(prepared, tmp_path):
    path = tmp_path / "film.gif"
    path.write_bytes(b"old")

    def train():
        with filming(str(path), prepared, None, 0) as on_epoch:
            fit(prepared, quick(epochs=1), silent(), on_epoch)
            raise RuntimeError("no more memory")

    with pytest.raises(RuntimeError, match="no more memory"):
        train()
    assert path.read_bytes() == b"old"


def test_no_more_than_so_many_cells_are_shown(prepared, monkeypatch):
    monkeypatch.setattr(film_of, "MOST_CELLS", 50)
    matrix, present = film_of._shown(prepared, None, np.random.default_rng(0))
    assert matrix.shape == (50, 80)
    assert present is None
    data = dataset(2, n_cells=90)
    query = blocks_of(data.X[:, 10:], data.var_names.to_numpy(object)[10:], rows=7)
    found, present = film_of._shown(prepared, query, np.random.default_rng(0))
    monkeypatch.setattr(film_of, "MOST_CELLS", 90)
    every, _ = film_of._shown(prepared, query, np.random.default_rng(0))
    shown = np.sort(np.random.default_rng(0).permutation(90)[:50])
    np.testing.assert_array_equal(found.toarray(), every[shown].toarray())
    assert np.flatnonzero(~present).tolist() == list(range(10))
