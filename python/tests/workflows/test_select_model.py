from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deepscore.errors import ConfigError, InputError
from deepscore.model.file import from_bytes, to_bytes
from deepscore.training.fit import fit
from deepscore.workflows.select_model import SelectRequest, select_model
from synthetic import quick, silent


def test_the_model_with_the_lowest_loss_is_returned(prepared):
    config = quick(seed=4)
    found = select_model(prepared, config, silent(), SelectRequest(n_models=3))
    tried = found.training["selection"]
    assert [one["seed"] for one in tried] == [4, 5, 6]
    best = min(tried, key=lambda one: one["loss"])
    assert found.training["seed"] == best["seed"]
    assert found.training["held_out"]["loss"] == best["loss"]
    again = fit(prepared, replace(config, seed=best["seed"]), silent(), held_out_seed=4)
    for ours, theirs in zip(found.layers, again.layers, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
    assert from_bytes(to_bytes(found)).training["selection"] == tried


def test_one_model_is_that_of_train(prepared):
    found = select_model(prepared, quick(), silent(), SelectRequest(n_models=1))
    np.testing.assert_array_equal(found.layers[0][0], fit(prepared, quick(), silent()).layers[0][0])


def test_models_are_compared_by_the_same_cells(prepared):
    figures = [
        fit(prepared, quick(seed=seed), silent(), held_out_seed=9).training["held_out"]["labels"] for seed in (1, 2)
    ]
    assert len({str({label: told["n_cells"] for label, told in each.items()}) for each in figures}) == 1


def test_without_held_out_cells_there_is_nothing_to_compare_by(prepared):
    with pytest.raises(InputError) as caught:
        select_model(replace(prepared, test_prop=0.0), quick(epochs=1), silent(), SelectRequest(n_models=2))
    assert caught.value.code == "no_held_out_cells"


@pytest.mark.parametrize("n_models", [0, 1.5, "2"])
def test_a_number_of_models_that_makes_no_sense_is_refused(n_models):
    with pytest.raises(ConfigError):
        SelectRequest(n_models=n_models)
