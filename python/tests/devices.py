"""The devices that tests compute on, and one that tells what was left on another."""

from __future__ import annotations

import contextlib

import pytest
import torch
from torch.utils._pytree import tree_flatten

NO_GPU = "this machine has no GPU that torch can use"
# "cpu:0" is the CPU by another name: what is done for a device is done for it, too.
DEVICES = ["cpu", "cpu:0", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_GPU))]


class There(torch.Tensor):
    """A tensor on a device: it is used with tensors on the device only, and comes back by cpu()."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is torch.Tensor.cpu:
            return args[0].as_subclass(torch.Tensor)
        tensors = [one for one in tree_flatten((args, kwargs or {}))[0] if isinstance(one, torch.Tensor)]
        assert all(isinstance(one, There) for one in tensors), f"{func} of tensors on two devices"
        assert func is not torch.Tensor.numpy, "values of a device are an array of the CPU"
        return super().__torch_function__(func, types, args, kwargs or {})


@contextlib.contextmanager
def marked():
    """Mark what is moved to "cpu:0", so that nothing can be left on another device unseen."""
    plain = torch.Tensor.to

    def to(self, device, *args, **kwargs):
        moved = plain(self, device, *args, **kwargs)
        return moved.as_subclass(There) if str(device) == "cpu:0" else moved

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "to", to)
        yield
