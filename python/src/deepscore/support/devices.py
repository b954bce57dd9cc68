"""Devices: where torch computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from .checks import refusal

if TYPE_CHECKING:
    import torch

__all__ = ["device_of", "device_there"]


def device_of(name: str) -> torch.device:
    """Return the device of that name, or refuse one that is not there with ``bad_argument``."""
    import torch

    try:
        device = torch.device(name)
        torch.ones(1, device=device).cpu()  # some can be named, but hold no values
    except Exception as error:  # each kind of device has its own
        raise ConfigError("bad_argument", f"device {name!r} cannot be used: {error}") from None
    return device


def device_there(name: Any) -> str:
    """Return the name of a device that is there, or refuse it with ``bad_argument``; the CPU always is."""
    if not isinstance(name, str):
        raise refusal("device", "the name of a device", name)
    if name != "cpu":
        device_of(name)
    return name
