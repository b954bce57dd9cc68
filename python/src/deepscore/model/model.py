"""Model: everything that annotation needs, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.special import softmax

from ..chromatin.lsi import LSI
from ..data.blocks import Names
from ..data.modality import MODALITIES, Modality
from ..data.normalize import Normalization
from ..data.spellings import Spellings, spellings_of
from ..data.standardise import Scale, scaled
from ..data.values import Floats
from ..support.threads import one_torch_thread
from .profiles import Profiles

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Model"]


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
        Name of the kind of data, and the recipe that brings raw values to the input.
    mean, deviation
        Of each feature over the training cells, after normalisation; both of length features.
    layers
        ``(weight, bias)`` pairs; weight is nodes in x nodes out, batch normalisation is folded in.
    temperature
        Divides the logits (Guo et al., ICML 2017), fitted on held-out cells.
    linear
        Weight (features x labels) and bias of the path beside the hidden layers; None in a file of version 1.
    profiles
        What the model keeps of its reference to judge a query as a whole; None in a file of version 1.
    lsi
        Of a model of peaks, what brings a query to the components of its reference.
    network, training
        Plain facts about how it was made, as they stand in the model file.
    device
        Where torch computes what the model says of cells; it is no part of the file.
    """

    features: tuple[str, ...]
    labels: tuple[str, ...]
    modality: str
    normalization: Normalization
    mean: Floats
    deviation: Floats
    layers: tuple[tuple[Floats, Floats], ...]
    temperature: float
    network: Mapping[str, Any]
    training: Mapping[str, Any] = field(default_factory=dict)
    linear: tuple[Floats, Floats] | None = None
    profiles: Profiles | None = None
    lsi: LSI | None = None
    created_with: str = ""
    device: str = "cpu"

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was made for a device: another process may not have it."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @property
    def kind(self) -> Modality:
        """What is known of the kind of data."""
        return MODALITIES[self.modality]

    @property
    def feature_names(self) -> Names:
        """The features as an array."""
        return np.array(self.features, dtype=object)

    @property
    def spellings(self) -> Spellings:
        """All that the features are called."""
        return spellings_of(self.features, self.training.get("other_names", {}))

    @property
    def label_names(self) -> Names:
        """The labels as an array."""
        return np.array(self.labels, dtype=object)

    def scale(self) -> Scale:
        """Return the reference's own centre and deviation."""
        return Scale(self.mean[None], self.deviation[None])

    def logits(self, block: sp.csr_matrix, scale: Scale, present: npt.NDArray[np.bool_] | None = None) -> Floats:
        """Return the logits, cells x labels: the sum of :meth:`paths`, whose arguments it takes."""
        hidden, linear = self.paths(block, scale, present)
        return hidden if linear is None else hidden + linear

    @cached_property
    def _weights(self) -> list[tuple[Tensor, Tensor]]:
        """Weight and bias of each layer, once on the device; the linear path is part of the first one."""
        import torch

        layers = [(torch.from_numpy(w), torch.from_numpy(b)) for w, b in self.layers]
        if self.linear is not None:  # both read the same values: one product
            pairs = zip(layers[0], map(torch.from_numpy, self.linear), (1, 0), strict=True)
            weight, bias = (torch.cat([own, beside], dim=dim) for own, beside, dim in pairs)
            layers[0] = weight, bias
        return [(w.to(self.device), b.to(self.device)) for w, b in layers]

    def paths(
        self, block: sp.csr_matrix, scale: Scale, present: npt.NDArray[np.bool_] | None = None
    ) -> tuple[Floats, Floats | None]:
        """Return what the hidden layers and the linear path add to the logits of normalised cells.

        Parameters
        ----------
        block
            Cells x features of the model, normalised, CSR.
        scale
            Centre and deviation to standardise with; its batches are those of the block's cells.
        present
            Which features the data set has; a missing feature counts as its mean.

        Returns
        -------
        Twice cells x labels; None in place of the second where there is no linear path.
        """
        import torch

        from .network import SparseMatrix, activation_function, sparse_rows

        there = torch.device(self.device)
        centre, deviation = (torch.from_numpy(x).to(there) for x in (scale.centre, scale.deviation))
        if present is not None:
            centre = centre * torch.from_numpy(present).to(there)
        (weight, bias), *others = self._weights
        n_first = self.layers[0][0].shape[1]
        activation = activation_function(str(self.network["activation"]))
        with one_torch_thread(), torch.no_grad():
            offset: Tensor = bias - (centre / deviation) @ weight
            if scale.batches is None:  # one deviation for all cells: the weights are divided in place of the values
                x = sparse_rows(SparseMatrix.from_scipy(block).to(there), weight / deviation[0][:, None])
                x += offset
            else:
                x = sparse_rows(SparseMatrix.from_scipy(scaled(block, scale)).to(there), weight)
                x += offset[torch.from_numpy(scale.batches).to(there)]
            linear = None if self.linear is None else x[:, n_first:].cpu().numpy()
            x = x[:, :n_first]
            for w, b in others:
                x = torch.addmm(b, activation(x), w)
            hidden: Floats = x.cpu().numpy()
        return hidden, linear

    def predict_proba(
        self, block: sp.csr_matrix, scale: Scale | None = None, present: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.float64]:
        """Return calibrated probabilities, cells x labels; arguments as for :meth:`logits`."""
        return self.probabilities(self.logits(block, scale or self.scale(), present))

    def linear_proba(self, block: sp.csr_matrix, scale: Scale) -> npt.NDArray[np.float64]:
        """Return the probabilities by the linear path alone, which must be there; arguments as for :meth:`paths`."""
        assert self.linear is not None
        weight, bias = self.linear
        offset = bias - (scale.centre / scale.deviation) @ weight
        logits: Floats = self._product(scaled(block, scale), weight) + (
            offset if scale.batches is None else offset[scale.batches]
        )
        return self.probabilities(logits)

    def _product(self, cells: sp.csr_matrix, weight: Floats) -> Any:
        if self.device == "cpu":
            return cells @ weight
        import torch

        from .network import SparseMatrix, sparse_rows

        there = torch.device(self.device)
        return sparse_rows(SparseMatrix.from_scipy(cells).to(there), torch.from_numpy(weight).to(there)).cpu().numpy()

    def probabilities(self, logits: Floats) -> npt.NDArray[np.float64]:
        """Return the probabilities of calibrated logits, cells x labels."""
        return softmax(logits.astype(np.float64) / self.temperature, axis=1)
