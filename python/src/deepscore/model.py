"""Model: everything that annotation needs, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from .blocks import Names
from .naming import Modality
from .normalize import Floats, Normalization
from .scale import Scale, scaled

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Model", "softmax"]


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network with its features, labels, recipe and history.

    Parameters
    ----------
    features
        Names, in the order of the first layer's rows.
    labels
        Names, in the order of the last layer's columns.
    modality, normalization
        Kind of data and how raw values become input.
    mean, deviation
        Of each feature over the training cells, after normalisation; both of length features.
    layers
        ``(weight, bias)`` pairs; weight is nodes in x nodes out, batch normalisation is folded in.
    temperature
        Divides the logits (Guo et al., ICML 2017), fitted on held-out cells.
    network, training
        Plain facts about how it was made, as they stand in the model file.
    """

    features: tuple[str, ...]
    labels: tuple[str, ...]
    modality: Modality
    normalization: Normalization
    mean: Floats
    deviation: Floats
    layers: tuple[tuple[Floats, Floats], ...]
    temperature: float
    network: Mapping[str, Any]
    training: Mapping[str, Any] = field(default_factory=dict)
    created_with: str = ""

    @property
    def feature_names(self) -> Names:
        """The features as an array."""
        return np.array(self.features, dtype=object)

    @property
    def label_names(self) -> Names:
        """The labels as an array."""
        return np.array(self.labels, dtype=object)

    def scale(self) -> Scale:
        """Return the reference's own centre and deviation."""
        return Scale(self.mean[None], self.deviation[None])

    def logits(self, block: sp.csr_matrix, scale: Scale, present: npt.NDArray[np.bool_] | None = None) -> Floats:
        """Return logits for normalised cells.

        Parameters
        ----------
        block
            Cells x features of the model, normalised, CSR.
        scale
            Centre and deviation to standardise with; its groups are those of the block's cells.
        present
            Which features the data set has; a missing feature counts as its mean.

        Returns
        -------
        Cells x labels.
        """
        import torch

        from .network import SparseBatch, activation_function, sparse_rows

        centre, deviation = torch.from_numpy(scale.centre), torch.from_numpy(scale.deviation)
        if present is not None:
            centre = centre * torch.from_numpy(present)
        (weight, bias), *others = [(torch.from_numpy(w), torch.from_numpy(b)) for w, b in self.layers]
        activation = activation_function(str(self.network["activation"]))
        with torch.no_grad():
            offset: Tensor = bias - (centre / deviation) @ weight
            if scale.groups is None:  # one deviation for all cells: the weights are divided in place of the values
                x = sparse_rows(SparseBatch.from_scipy(block), weight / deviation[0][:, None])
                x += offset
            else:
                x = sparse_rows(SparseBatch.from_scipy(scaled(block, scale)), weight)
                x += offset[torch.from_numpy(scale.groups)]
            for w, b in others:
                x = torch.addmm(b, activation(x), w)
            result: Floats = x.numpy()
        return result

    def predict_proba(
        self, block: sp.csr_matrix, scale: Scale | None = None, present: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.float64]:
        """Return calibrated probabilities, cells x labels; arguments as for :meth:`logits`."""
        logits = self.logits(block, scale or self.scale(), present)
        return softmax(logits.astype(np.float64) / self.temperature)


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Turn each row of logits into probabilities."""
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: npt.NDArray[np.float64] = exponents / exponents.sum(axis=1, keepdims=True)
    return result
