from __future__ import annotations

import numpy as np

from deepscore.training.fit import fit
from deepscore.workflows.train import train
from synthetic import blocks_of, dataset, quick, silent


def test_training_is_fitting_and_a_film_where_one_is_wanted(prepared, tmp_path):
    data = dataset(2, 30)
    query = blocks_of(data.X, data.var_names.to_numpy(object))
    plain = fit(prepared, quick(epochs=2), silent())
    for options in ({}, {"gif": tmp_path / "film.gif"}):
        found = train(prepared, quick(epochs=2), silent(**options), query)
        np.testing.assert_array_equal(found.layers[0][0], plain.layers[0][0])
    assert (tmp_path / "film.gif").exists()
