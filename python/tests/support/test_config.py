from __future__ import annotations

import math

import numpy as np
import pytest

from deepscore.support.config import ACTIVATIONS, SCHEDULES, NetworkConfig, TrainConfig
from deepscore.errors import ConfigError

BAD_NETWORK = [
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
BAD_TRAINING = [
    ("early_stopping", 1),
    ("early_stopping", "yes"),
    ("patience", 0),
    ("patience", 2.5),
    ("patience", math.nan),
    ("lr_schedule", "linear"),
    ("progress", None),
]
BAD = [(NetworkConfig, *case) for case in BAD_NETWORK] + [(TrainConfig, *case) for case in BAD_TRAINING]


@pytest.mark.parametrize(("kind", "name", "value"), BAD)
def test_a_bad_value_is_refused_by_the_name_of_its_argument(kind, name, value):
    with pytest.raises(ConfigError, match=name) as caught:
        kind(**{name: value})
    assert caught.value.code == "bad_argument"


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


def test_a_whole_number_from_r_is_taken_for_patience():
    assert TrainConfig(patience=3.0).patience == 3


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_known(activation):
    assert NetworkConfig(activation=activation).activation == activation


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_is_known(schedule):
    assert TrainConfig(lr_schedule=schedule).lr_schedule == schedule


def test_no_schedule_is_a_constant_rate():
    assert TrainConfig(lr_schedule=None).lr_schedule == "constant"


@pytest.mark.parametrize("name", ["tensorboard", "gif"])
def test_paths_are_kept_as_text(name, tmp_path):
    assert getattr(TrainConfig(**{name: tmp_path / "x"}), name) == str(tmp_path / "x")
