"""The dense network, made from numbers only: it knows no data set and no file."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, embedding_bag

from .config import ACTIVATIONS

__all__ = [
    "Network",
    "SparseMatrix",
    "activation_function",
    "per_batch",
    "per_cell",
    "sparse_rows",
]

# The first hidden layer is computed in so many parts, where its product has so many multiplications that each takes
# some milliseconds. Neither depends on the machine, so that the result does not.
PARTS, WORTH_PARTS = 4, 50_000_000

_MODULES = dict(
    zip(
        ACTIVATIONS,
        (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SELU, nn.SiLU, nn.Tanh, nn.Sigmoid),
        strict=True,
    )
)


def activation_function(name: str) -> nn.Module:
    """Return the activation of that name."""
    module: nn.Module = _MODULES[name]()
    return module


@dataclass(frozen=True)
class SparseMatrix:
    """Cells x features in CSR form, as tensors."""

    indptr: Tensor
    indices: Tensor
    data: Tensor

    @classmethod
    def from_scipy(cls, matrix: sp.csr_matrix) -> SparseMatrix:
        """Share the arrays of a CSR matrix where their types allow it."""
        # embedding_bag wants both index arrays of one type
        index_type = np.result_type(matrix.indptr, matrix.indices)
        return cls(
            torch.from_numpy(matrix.indptr.astype(index_type, copy=False)),
            torch.from_numpy(matrix.indices.astype(index_type, copy=False)),
            torch.from_numpy(matrix.data),
        )

    def to(self, device: torch.device) -> SparseMatrix:
        """Move the tensors."""
        return SparseMatrix(*(t.to(device) for t in (self.indptr, self.indices, self.data)))


@dataclass(frozen=True)
class _CentredCells:
    """The cells of a step, and the same transposed; what is subtracted in each batch, and the batch of each cell."""

    cells: SparseMatrix
    transposed: SparseMatrix
    centres: Tensor
    batches: Tensor

    @property
    def n_cells(self) -> int:
        return len(self.cells.indptr) - 1

    def times(self, weight: Tensor, bias: Tensor) -> Tensor:
        """Multiply the centred cells by weights, and add the bias."""
        return sparse_rows(self.cells, weight).add_(per_cell(bias - self.centres @ weight, self.batches))

    def gradients(self, of_product: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of these weights and of this bias."""
        sums = per_batch(of_product, self.batches, len(self.centres))
        of_weight = sparse_rows(self.transposed, of_product).addmm_(self.centres.T, sums, alpha=-1)
        return of_weight, sums.sum(dim=0)


def sparse_rows(cells: SparseMatrix, weight: Tensor) -> Tensor:
    """Multiply CSR rows by a dense matrix (features x nodes).

    A row of the product is the weighted sum of some rows of `weight`: an embedding bag. On a CPU this is three times as
    fast as the sparse product of torch or scipy at the densities of single-cell data.
    """
    if not cells.data.numel():
        return weight.new_zeros((len(cells.indptr) - 1, weight.shape[1]))
    return embedding_bag(
        cells.indices,
        weight,
        cells.indptr,
        mode="sum",
        per_sample_weights=cells.data,
        include_last_offset=True,
    )


class _FirstLayer(torch.autograd.Function):
    """Centred CSR rows times weights, plus bias; the weights' gradient is made in one piece, as large as they are."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, cells: _CentredCells) -> Tensor:
        ctx.cells = cells
        return cells.times(weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return *ctx.cells.gradients(gradients[0].contiguous()), None


class _FirstHidden(torch.autograd.Function):
    """The first hidden layer and the product behind it, some of the nodes at a time, each part in a thread of its own.

    No node depends on another one of its layer: each part is multiplied with the cells, normalised, activated, dropped
    and multiplied by itself, and what comes of the parts is added up. The gradient of a part is that of its own graph.
    """

    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        bias: Tensor,
        behind: Tensor,
        gain: Tensor | None,
        shift: Tensor | None,
        network: Network,
        cells: _CentredCells,
    ) -> Tensor:
        n = weight.shape[1]
        edges = [n * i // PARTS for i in range(PARTS + 1)]
        parts = [slice(a, b) for a, b in itertools.pairwise(edges) if a < b]
        # drawn by one thread: torch has one generator for all
        drawn = [network.dropout.draw((cells.n_cells, part.stop - part.start), weight.device) for part in parts]

        def forth(part: slice, of_dropout: Tensor | None) -> tuple[list[Tensor], Tensor]:
            x = cells.times(weight.detach()[:, part].contiguous(), bias.detach()[part])
            of_norm = [] if gain is None or shift is None else [gain[part], shift[part]]
            own = [values.detach().requires_grad_() for values in (x, behind[part], *of_norm)]
            with torch.enable_grad():
                x = own[0] if not of_norm else _normalised(network.norms[0], part, own[0], *own[2:])
                return own, network.dropout.drop(network.activation(x), of_dropout) @ own[1]

        ctx.graphs, ctx.parts, ctx.cells, ctx.each, ctx.shape = [], parts, cells, network.each, weight.shape
        total = weight.new_zeros(cells.n_cells, behind.shape[1])
        for own, result in network.each(forth, parts, drawn):
            ctx.graphs.append((own, result))
            total += result.detach()
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient = gradients[0].contiguous()
        of_weight = gradient.new_empty(ctx.shape)

        def back(part: slice, graph: tuple[list[Tensor], Tensor]) -> tuple[Tensor, ...]:
            own, result = graph
            of_x, *others = torch.autograd.grad(result, own, gradient)
            of_weight[:, part], of_bias = ctx.cells.gradients(of_x)
            return of_bias, *others

        of_bias, of_behind, *of_norm = map(torch.cat, zip(*ctx.each(back, ctx.parts, ctx.graphs), strict=True))
        return of_weight, of_bias, of_behind, *(of_norm or (None, None)), None, None


def _normalised(norm: nn.Module, nodes: slice, x: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    """Normalise some of the nodes that a layer normalises, given what it scales and shifts them by."""
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    running, momentum = (norm.running_mean[nodes], norm.running_var[nodes]), norm.momentum or 0.0
    return batch_norm(x, *running, gain, shift, norm.training, momentum, norm.eps)


def per_cell(rows: Tensor, batches: Tensor) -> Tensor:
    """Return each cell's row, given one for each batch; where there is one batch, that row for all."""
    return rows if len(rows) == 1 else rows[batches]


def per_batch(rows: Tensor, batches: Tensor, n_batches: int) -> Tensor:
    """Add up the rows of each batch."""
    if n_batches == 1:
        return rows.sum(dim=0, keepdim=True)
    return rows.new_zeros(n_batches, rows.shape[1]).index_add_(0, batches, rows)


class Dropout(nn.Module):
    """Dropout (Srivastava et al., JMLR 2014) whose rate is a multiple of 1/256.

    One random byte per node is four times as fast on a CPU as torch's own dropout, which draws one number per node.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.dropped = round(rate * 256)

    def forward(self, x: Tensor) -> Tensor:
        """Drop nodes and scale up the others, in training only."""
        return self.drop(x, self.draw(x.shape, x.device))

    def draw(self, shape: Sequence[int], device: torch.device) -> Tensor | None:
        """Draw a byte for each node; None where none is dropped."""
        if not self.training or not self.dropped:
            return None
        n = math.prod(shape)
        words = torch.empty(-(-n // 8), dtype=torch.int64, device=device).random_(-(2**63), None)
        return words.view(torch.uint8)[:n].view(*shape)

    def drop(self, x: Tensor, drawn: Tensor | None) -> Tensor:
        """Drop the nodes for which a low byte was drawn, and scale up the others."""
        if drawn is None:
            return x
        return x * (drawn >= self.dropped).to(x.dtype).mul_(256 / (256 - self.dropped))


def _initial(nodes_in: int, nodes_out: int) -> Tensor:
    """Draw weights as He et al. (ICCV 2015) for rectified units."""
    return torch.randn(nodes_in, nodes_out, dtype=torch.float32) * (2 / nodes_in) ** 0.5


class Network(nn.Module):
    """Dense layers: linear, batch normalisation, activation, dropout; then one linear layer to the labels.

    The input is divided by each feature's deviation already and stays sparse; its centre is subtracted after the first
    product, so that centring costs one small product per batch of the reference.

    Parameters
    ----------
    n_features, hidden_nodes, n_labels
        Sizes of the layers.
    activation, dropout_rate, batchnorm
        Add-ons of every hidden layer.
    """

    def __init__(
        self,
        n_features: int,
        hidden_nodes: Sequence[int],
        n_labels: int,
        *,
        activation: str,
        dropout_rate: float,
        batchnorm: bool,
    ) -> None:
        super().__init__()
        sizes = [n_features, *hidden_nodes, n_labels]
        # Every weight is nodes in x nodes out: the sparse product reads the first one row by row.
        self.weights = nn.ParameterList(_initial(a, b) for a, b in itertools.pairwise(sizes))
        self.biases = nn.ParameterList(torch.zeros(n, dtype=torch.float32) for n in sizes[1:])
        self.norms = nn.ModuleList(
            nn.BatchNorm1d(n, dtype=torch.float32) if batchnorm else nn.Identity() for n in hidden_nodes
        )
        self.activation = activation_function(activation)
        self.dropout = Dropout(dropout_rate)
        self.pool: Executor | None = None  # threads for the parts of the first hidden layer

    def forward(self, cells: SparseMatrix, transposed: SparseMatrix, centres: Tensor, batches: Tensor) -> Tensor:
        """Return the logits, cells x labels.

        Parameters
        ----------
        cells, transposed
            The cells (features divided by their deviation) and the same matrix transposed, for the gradient.
        centres
            Batches x features: what is subtracted, in units of the deviation.
        batches
            Row of `centres` for each cell.
        """
        given = _CentredCells(cells, transposed, centres, batches)
        (weight, *weights), (bias, *biases) = self.weights, self.biases
        layers = list(zip(self.norms, weights, biases, strict=True))
        if layers and cells.data.device.type == "cpu" and cells.data.numel() * weight.shape[1] >= WORTH_PARTS:
            norm, behind, bias_behind = layers.pop(0)
            of_norm = (norm.weight, norm.bias) if isinstance(norm, nn.BatchNorm1d) else (None, None)
            x: Tensor = _FirstHidden.apply(weight, bias, behind, *of_norm, self, given) + bias_behind  # type: ignore[no-untyped-call]
        else:
            x = _FirstLayer.apply(weight, bias, given)  # type: ignore[no-untyped-call]
        for norm, weight, bias in layers:
            x = torch.addmm(bias, self.dropout(self.activation(norm(x))), weight)
        return x

    @property
    def each(self) -> Callable[..., Iterator[Any]]:
        """What maps a function to several arguments: by threads, where there are any."""
        return map if self.pool is None else self.pool.map

    @torch.no_grad()
    def constrain(self, max_norm: float) -> None:
        """Shrink the incoming weights of every node to at most that length (Srivastava et al., JMLR 2014)."""
        for weight in self.weights:
            length = weight.norm(dim=0)
            if (length > max_norm).any():
                weight.mul_((max_norm / length.clamp_min(1e-12)).clamp_max(1))

    @torch.no_grad()
    def folded(self) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
        """Return plain ``(weight, bias)`` layers, nodes in x nodes out, with batch normalisation folded in."""
        layers = []
        for weight, bias, norm in zip(self.weights, self.biases, [*self.norms, None], strict=True):
            w, b = _double(weight), _double(bias)
            if isinstance(norm, nn.BatchNorm1d):
                assert norm.running_mean is not None
                assert norm.running_var is not None
                gain = _double(norm.weight) / torch.sqrt(_double(norm.running_var) + norm.eps)
                w, b = w * gain, (b - _double(norm.running_mean)) * gain + _double(norm.bias)
            layers.append((w.float().contiguous().numpy(), b.float().numpy()))
        return layers


def _double(values: Tensor) -> Tensor:
    """Return a copy on the CPU: not every device has double precision."""
    return values.cpu().double()
