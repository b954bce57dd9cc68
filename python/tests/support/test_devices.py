from __future__ import annotations

import pytest

from deepscore.errors import ConfigError
from deepscore.support.devices import device_of, device_there


def test_devices_that_are_there():
    assert device_there("cpu") == "cpu"
    assert str(device_of("cpu:0")) == "cpu:0"


@pytest.mark.parametrize("name", ["banana", "cuda:99", "meta", 3, None])
def test_devices_that_are_not_there_are_refused(name):
    with pytest.raises(ConfigError, match="device") as caught:
        device_there(name)
    assert caught.value.code == "bad_argument"
