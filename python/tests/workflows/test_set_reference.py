from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deepscore.errors import ConfigError
from deepscore.training.reference import prepare
from deepscore.workflows.set_reference import ReferenceRequest, set_reference
from synthetic import blocks_of, dataset, quick


def test_the_reference_is_prepared_as_asked():
    data = dataset(1, 60)
    blocks, labels = blocks_of(data.X, data.var_names.to_numpy(object)), data.obs["cell_type"].to_numpy(object)
    batch = data.obs["batch"].to_numpy(object)
    found = set_reference(blocks, labels, quick(), ReferenceRequest(modality="protein", test_prop=0.2), batch)
    expected = prepare(blocks, labels, quick(), batch=batch, modality="protein", test_prop=0.2)
    assert found.to_bytes() == expected.to_bytes()
    assert found.modality == "protein"


def test_words_for_a_missing_label_are_left_out_and_told():
    data = dataset(1, 60)
    blocks, labels = blocks_of(data.X, data.var_names.to_numpy(object)), data.obs["cell_type"].to_numpy(object)
    labels[:5] = None
    expected = prepare(blocks, labels, quick())
    words = labels.copy()
    words[:5] = "Unassigned"
    with pytest.warns(UserWarning, match=r"5 of 60 cells have no label and are left out: 'Unassigned' \(5\)"):
        found = set_reference(blocks, words, quick(), ReferenceRequest())
    assert found.to_bytes() == expected.to_bytes()
    with pytest.warns(UserWarning, match=r"fewer than 10 cells .*'Unassigned' \(5\)"):
        assert "Unassigned" in set_reference(blocks, words, quick(), ReferenceRequest(missing=())).labels


def test_values_that_can_be_either_are_told_once(rng):
    matrix = np.minimum(rng.lognormal(-1, 1, (60, 30)), 12)
    labels = np.array(["A", "B"] * 30, dtype=object)
    with pytest.warns(UserWarning, match="taken as counts") as told:
        found = set_reference(blocks_of(matrix), labels, quick(), ReferenceRequest())
    assert len(told) == 1
    said = set_reference(replace(blocks_of(matrix), values="counts"), labels, quick(), ReferenceRequest())
    other = set_reference(replace(blocks_of(matrix), values="lognorm"), labels, quick(), ReferenceRequest())
    assert found.to_bytes() == said.to_bytes() != other.to_bytes()


@pytest.mark.parametrize("value", [-0.1, 0.95, "half", None])
def test_a_share_to_hold_out_that_makes_no_sense_is_refused(value):
    with pytest.raises(ConfigError) as caught:
        ReferenceRequest(test_prop=value)
    assert caught.value.code == "bad_argument"
