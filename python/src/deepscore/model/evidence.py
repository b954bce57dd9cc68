"""Evidence: what each feature of a cell adds to the logit of a label."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import scipy.sparse as sp

from ..data.linalg import Codes
from ..data.standardise import Scale
from ..data.values import Floats
from ..errors import InputError
from ..support.checks import choice
from ..support.threads import one_torch_thread
from .model import Model

__all__ = ["EvidenceMethod", "contributions", "require_method", "standardised"]

EvidenceMethod = Literal["gradient", "linear"]


def require_method(model: Model, method: str) -> None:
    """Refuse a method that there is not, and one that needs a linear path where the model has none.

    Raises
    ------
    ConfigError
        ``bad_argument``.
    InputError
        ``no_linear_path``.
    """
    choice("method", method, get_args(EvidenceMethod))
    if method == "linear" and model.linear is None:
        raise InputError(
            "no_linear_path",
            "The model has no linear path: its file is of version 1. Give method='gradient', or train it anew.",
        )


def standardised(block: sp.csr_matrix, scale: Scale) -> Floats:
    """Return normalised cells as the network reads them, dense: 0 is a feature's mean."""
    which = np.zeros(block.shape[0], np.intp) if scale.batches is None else scale.batches
    result: Floats = (block.toarray() - scale.centre[which]) / scale.deviation[which]
    return result


def contributions(model: Model, block: sp.csr_matrix, scale: Scale, codes: Codes, method: str) -> Floats:
    """Return what each feature adds to the logit of a label, beyond what it adds to the mean of all labels' logits.

    Parameters
    ----------
    block
        Cells x features of the model, normalised.
    scale
        Centre and deviation to standardise with; its batches are those of the cells. A missing feature has the centre
        0, and adds nothing.
    codes
        Of each cell the label that is looked at.
    method
        ``"linear"``: standardised value times weight, in the linear path alone; these add up to its logit but for the
        bias. ``"gradient"``: standardised value times the gradient of the whole network's logit (Shrikumar et al.,
        ICML 2017).

    Returns
    -------
    Cells x features, in calibrated logits (natural logarithms of odds).
    """
    z = standardised(block, scale)
    if method == "linear":
        assert model.linear is not None
        weight = model.linear[0] - model.linear[0].mean(axis=1, keepdims=True)
        slopes = weight.T[codes]
    else:
        slopes = _gradients(model, z, codes)
    return z * (slopes / np.float32(model.temperature))


def _gradients(model: Model, z: Floats, codes: Codes) -> Floats:
    """Return the gradient of each cell's logit, less the mean of its logits, by its standardised values."""
    import torch

    from .network import activation_function

    activation = activation_function(str(model.network["activation"]))
    with one_torch_thread(), torch.inference_mode(mode=False), torch.enable_grad():  # whatever the caller has set
        cells = torch.from_numpy(z).requires_grad_()
        (weight, bias), *others = [(torch.from_numpy(w), torch.from_numpy(b)) for w, b in model.layers]
        x = torch.addmm(bias, cells, weight)
        for w, b in others:
            x = torch.addmm(b, activation(x), w)
        if model.linear is not None:
            x = x + cells @ torch.from_numpy(model.linear[0])
        wanted = x[torch.arange(len(codes)), torch.from_numpy(codes)] - x.mean(dim=1)
        gradient: Floats = torch.autograd.grad(wanted.sum(), cells)[0].numpy()
    return gradient
