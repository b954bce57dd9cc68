from __future__ import annotations

import math

import numpy as np
import pytest

from deepscore.errors import ConfigError
from deepscore.model.config import ACTIVATIONS, NetworkConfig, recorded

BAD = [
    ("hidden_nodes", (64, 0)),
    ("hidden_nodes", (64, 2.5)),
    ("hidden_nodes", "64"),
    ("hidden_nodes", None),
    ("hidden_nodes", (True,)),
    ("common_features", "CD3D"),
    ("common_features", ()),
    ("common_features", ("CD3D", "CD3D")),
    ("common_features", 2000),
    ("common_features", {"CD3D", "CD4"}),
    ("n_labels", 1),
    ("n_labels", 2.5),
    ("n_labels", "3"),
    ("epochs", 0),
    ("epochs", 1.5),
    ("epochs", math.inf),
    ("epochs", math.nan),
    ("epochs", True),
    ("batch_size", 1),
    ("batch_size", "32"),
    ("lr", 0),
    ("lr", -1e-3),
    ("lr", 11),
    ("lr", math.nan),
    ("lr", "fast"),
    ("lr", None),
    ("activation", "swish"),
    ("activation", None),
    ("dropout_rate", -0.1),
    ("dropout_rate", 1),
    ("dropout_rate", math.nan),
    ("batchnorm", "yes"),
    ("batchnorm", 1),
    ("max_norm", 0),
    ("max_norm", math.inf),
    ("l1", -1),
    ("l1", math.inf),
    ("l2", -1e-9),
    ("l2", 1e10),
    ("l1", 1e300),
    ("hidden_nodes", [16, 1e10]),
    ("l2", None),
    ("seed", -1),
    ("seed", 0.5),
    ("seed", None),
    ("seed", 2**70),
    ("device", 5),
    ("device", None),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_refused_by_the_name_of_its_argument(name, value):
    with pytest.raises(ConfigError, match=name) as caught:
        NetworkConfig(**{name: value})
    assert caught.value.code == "bad_argument"


def test_a_feature_that_is_named_twice_is_shown():
    with pytest.raises(ConfigError, match=r"1 occur more than once \('MS4A1'\)"):
        NetworkConfig(common_features=["CD3D", "MS4A1", "CD8A", "MS4A1"])


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("hidden_nodes", [512.0, 64.0], (512, 64)),
        ("hidden_nodes", 64.0, (64,)),
        ("hidden_nodes", np.array([32, 16]), (32, 16)),
        ("hidden_nodes", (), ()),
        ("n_labels", 3.0, 3),
        ("n_labels", np.int64(3), 3),
        ("epochs", np.float64(7), 7),
        ("batch_size", 32.0, 32),
        ("seed", 5.0, 5),
        ("lr", 1, 1.0),
        ("lr", np.float32(0.5), 0.5),
        ("max_norm", 3, 3.0),
        ("dropout_rate", 0, 0.0),
        ("batchnorm", np.bool_(False), False),
        ("common_features", ["CD3D", "MS4A1"], ("CD3D", "MS4A1")),
        ("common_features", np.array(["CD3D", "MS4A1"], object), ("CD3D", "MS4A1")),
    ],
)
def test_the_numbers_of_r_and_numpy_are_taken(name, value, kept):
    found = getattr(NetworkConfig(**{name: value}), name)
    assert found == kept
    assert type(found) is type(kept)
    if isinstance(found, tuple):
        assert [type(part) for part in found] == [type(part) for part in kept]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_known(activation):
    assert NetworkConfig(activation=activation).activation == activation


def test_what_a_file_says_of_its_network_becomes_arguments_again():
    network = {"hidden_nodes": [8], "lr": 0.01, "common_features": ["a"], "of a later version": 1}
    assert recorded(network) == {"hidden_nodes": [8], "lr": 0.01}
