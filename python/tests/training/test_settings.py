from __future__ import annotations

from dataclasses import replace

import pytest

from deepscore.training.fit import fit
from deepscore.training.settings import SETTINGS
from synthetic import quick, silent


@pytest.mark.parametrize(("weight", "left_out"), [(0.0, 0), (1.0, 1)])
def test_a_path_of_no_weight_has_no_say_at_all(prepared, weight, left_out):
    model = fit(prepared, quick(epochs=1), silent(), settings=replace(SETTINGS, hidden_weight=weight))
    paths = model.paths(prepared.matrix, model.scale())
    assert not paths[left_out].any()
    assert paths[1 - left_out].any()
