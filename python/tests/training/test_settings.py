from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deepscore.model.config import NetworkConfig
from deepscore.training.fit import fit
from deepscore.training.settings import SETTINGS
from synthetic import quick, silent


@pytest.mark.parametrize(("weight", "left_out"), [(0.0, 0), (1.0, 1)])
def test_a_path_of_no_weight_has_no_say_at_all(prepared, weight, left_out):
    model = fit(prepared, quick(epochs=1), silent(), settings=replace(SETTINGS, hidden_weight=weight))
    paths = model.paths(prepared.matrix, model.scale())
    assert not paths[left_out].any()
    assert paths[1 - left_out].any()


def test_the_course_of_a_training_follows_the_settings(prepared):
    network = NetworkConfig(hidden_nodes=(4,))
    changed = replace(SETTINGS, largest_batch=32, most_epochs=2, last_lr=0.5, cells_per_sum=50)
    usual, model = (fit(prepared, network, silent(), settings=numbers) for numbers in (SETTINGS, changed))
    assert (model.training["batch_size"], model.training["epochs"]) == (32, 2)
    assert model.training["history"][-1]["lr"] == pytest.approx(network.lr / 2)
    np.testing.assert_allclose(model.mean, usual.mean, rtol=1e-6)
    np.testing.assert_allclose(model.deviation, usual.deviation, rtol=1e-6)
