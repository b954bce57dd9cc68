from __future__ import annotations

import math

import pytest

from deepscore.errors import ConfigError
from deepscore.training.config import SCHEDULES, TrainConfig

BAD = [
    ("early_stopping", 1),
    ("early_stopping", "yes"),
    ("patience", 0),
    ("patience", 2.5),
    ("patience", math.nan),
    ("lr_schedule", "linear"),
    ("progress", None),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_refused_by_the_name_of_its_argument(name, value):
    with pytest.raises(ConfigError, match=name) as caught:
        TrainConfig(**{name: value})
    assert caught.value.code == "bad_argument"


def test_a_whole_number_from_r_is_taken_for_patience():
    assert TrainConfig(patience=3.0).patience == 3


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_is_known(schedule):
    assert TrainConfig(lr_schedule=schedule).lr_schedule == schedule


def test_no_schedule_is_a_constant_rate():
    assert TrainConfig(lr_schedule=None).lr_schedule == "constant"


@pytest.mark.parametrize("name", ["tensorboard", "gif"])
def test_paths_are_kept_as_text(name, tmp_path):
    assert getattr(TrainConfig(**{name: tmp_path / "x"}), name) == str(tmp_path / "x")
