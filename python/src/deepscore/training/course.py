"""The course of one training: what stays the same from epoch to epoch, and what each epoch does."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..data.linalg import Codes
from ..data.standardise import SumsByCode, scaled
from ..errors import ConfigError
from ..model.config import NetworkConfig
from ..model.model import Model
from ..model.network import PARTS, Network, SparseMatrix
from ..support.devices import device_of
from ..support.progress import progress_bar, progress_shown
from ..support.threads import cores, overlapped, torch_threads
from ..version import CREATED_WITH
from .board import board
from .config import TrainConfig
from .metrics import accuracy
from .reference import Reference
from .schedule import EarlyStop, Pace, default_batch_size, default_epochs, scheduled_lr, step_slices
from .settings import SETTINGS, TrainingSettings
from .team import ALONE, Team

__all__ = ["Course"]


class Course:
    """One run of training: what stays the same from epoch to epoch."""

    def __init__(
        self,
        reference: Reference,
        network: NetworkConfig,
        train: TrainConfig,
        learn: Codes,
        watched: Codes,
        rng: np.random.Generator,
        settings: TrainingSettings = SETTINGS,
        team: Team = ALONE,
    ) -> None:
        self.reference, self.network, self.train, self.rng = reference, network, train, rng
        self.team = team
        self.watched, self.settings = watched, settings
        n_batches = int(reference.batches.max()) + 1
        sums = SumsByCode(n_batches, len(reference.features))
        self.learns = np.zeros(len(reference.codes), np.bool_)
        self.learns[learn] = True
        for cells, matrix in reference.cells:
            rows = np.flatnonzero(self.learns[cells])
            for some in step_slices(len(rows), settings.cells_per_sum):
                sums.add(matrix[rows[some]], reference.batches[cells[rows[some]]])
        self.pooled = sums.pooled()
        self.scale = self.pooled if n_batches == 1 else sums.by_batch(reference.batches, self.pooled)
        counts = np.bincount(reference.codes[learn], minlength=len(reference.labels))
        weight = np.sqrt(counts.max() / np.maximum(counts, 1))  # rare labels count more, but do not rule a step
        self.class_weight = torch.from_numpy((weight / (weight * counts).sum() * counts.sum()).astype(np.float32))
        self.batch_size = network.batch_size or default_batch_size(len(learn), settings)
        by_convergence = network.epochs is None and train.lr_schedule == "cosine" and not train.early_stopping
        self.pace = Pace(len(learn), settings) if by_convergence and len(learn) >= settings.large else None
        self.epochs = network.epochs or default_epochs(len(learn), settings)
        self.device = device_of(team.device(network.device))
        self.class_weight = self.class_weight.to(self.device)

    def run(self, on_epoch: Callable[[int, Model], None] | None) -> tuple[Network, list[dict[str, Any]], int]:
        """Train; return the network, one record per epoch, and the epoch whose weights were kept."""
        module = self._module()
        learner = self.team.learner(module)
        if self.team.size > 1:  # the nodes that are dropped are its own
            torch.manual_seed(self.network.seed + self.team.rank)
        optimizer = torch.optim.AdamW(module.parameters(), lr=self.network.lr, weight_decay=self.network.l2, fused=True)
        history: list[dict[str, Any]] = []
        stop = EarlyStop(self.train.patience if self.train.early_stopping else None)
        centres = torch.from_numpy(self.scale.centre / self.scale.deviation).to(self.device)
        with (
            progress_shown(self.train.progress),
            progress_bar(self.epochs if self.pace is None else None, "train", "epoch", delay=0) as bar,
            board(self.train.tensorboard) as write,
            torch_threads(min(cores(), PARTS)) as pool,
        ):
            module.pool = pool if self.device.type == "cpu" else None
            for epoch in itertools.count(1):
                _set_rate(optimizer, self._rate(epoch, history))
                found = self._epoch(module, learner, optimizer, centres)
                self.team.average(module)
                record = {"epoch": epoch, "lr": optimizer.param_groups[0]["lr"], **found}
                record |= self._watch(module)
                history.append(record)
                write(record)
                bar.set_postfix(loss=f"{record['loss']:.3f}", accuracy=f"{record['accuracy']:.3f}")
                bar.update()
                if on_epoch is not None:
                    on_epoch(epoch, self.model(module))
                if stop.after(record, module) or (epoch == self.epochs if self.pace is None else self.pace.done):
                    break
        return module, history, stop.restore(module) or len(history)

    def _module(self) -> Network:
        net = self.network
        module = Network(
            len(self.reference.features),
            net.hidden_nodes,
            len(self.reference.labels),
            activation=net.activation,
            dropout_rate=net.dropout_rate,
            batchnorm=net.batchnorm,
        )
        return module.to(self.device)

    def _rate(self, epoch: int, history: list[dict[str, Any]]) -> float:
        """Return the learning rate that an epoch (the first is 1) begins with."""
        return scheduled_lr(self.train.lr_schedule, self.network.lr, epoch, self.epochs, history, self.settings)

    def _epoch(
        self, module: Network, learner: nn.Module, optimizer: torch.optim.Optimizer, centres: Tensor
    ) -> dict[str, float]:
        """Go through all cells once, or until the pace comes to rest; return mean loss and accuracy."""
        module.train()
        loss_sum = right = 0.0
        seen = 0
        for step in overlapped(self._on_device, self._steps()):
            if self.pace is not None:
                _set_rate(optimizer, self.network.lr * self.pace.share)
            loss, hits = self._step(module, learner, optimizer, step, centres)
            loss_sum, right, seen = loss_sum + loss * step.n_cells, right + hits, seen + step.n_cells
            if self.pace is not None:
                self.pace.after(step.n_cells, loss)
                if self.pace.done:
                    break
        if not math.isfinite(loss_sum):
            raise ConfigError(
                "bad_argument", f"Training diverged: the loss is not finite. Lower lr (it is {self.network.lr:g})."
            )
        return {"loss": loss_sum / seen, "accuracy": right / seen}

    def _steps(self) -> Iterator[tuple[sp.csr_matrix, Tensor, Tensor, int]]:
        """Yield the cells of each step with their labels and batches, in random order, shard by shard."""
        shards, team = self.reference.cells, self.team
        order = self.rng.permutation(len(shards.parts)) if len(shards.parts) > 1 else [0]
        for positions, matrix in shards.in_order(order):
            rows = self.rng.permutation(np.flatnonzero(self.learns[positions]))
            steps = [rows[some] for some in step_slices(len(rows), self.batch_size)]
            own = [team.own(step) for step in steps]
            rows, ends = np.concatenate(own), np.cumsum([0, *map(len, own)])
            cells = positions[rows]
            shuffled = scaled(matrix[rows], self.scale.cells(cells))  # the cells of a step are then a slice
            codes = torch.from_numpy(self.reference.codes[cells].astype(np.int64))
            batches = torch.from_numpy(self.reference.batches[cells].astype(np.int64))
            for step, start, stop in zip(steps, ends, ends[1:], strict=False):
                some = slice(start, stop)
                yield _rows(shuffled, some), codes[some], batches[some], len(step)

    def _on_device(self, step: tuple[sp.csr_matrix, Tensor, Tensor, int]) -> _Step:
        """Return the cells of a step as tensors, and turned for the gradient; with their labels and batches."""
        cells, codes, batches, n_cells = step
        here, transposed = (SparseMatrix.from_scipy(matrix).to(self.device) for matrix in (cells, cells.tocsc()))
        return _Step(here, transposed, codes.to(self.device), batches.to(self.device), n_cells)

    def _step(
        self, module: Network, learner: nn.Module, optimizer: torch.optim.Optimizer, step: _Step, centres: Tensor
    ) -> tuple[float, float]:
        """Learn from some cells; return their mean loss, and how many were called right."""
        logits = learner(step.cells, step.transposed, centres, step.batches)
        loss = self._loss(logits, step.codes)
        total = loss
        if self.network.l1:
            total = loss + self.network.l1 * sum(w.abs().sum() for w in module.weights)
        optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if self.network.max_norm is not None:
            module.constrain(self.network.max_norm)
        hits = float((logits.argmax(dim=1) == step.codes).sum())
        if self.team.size == 1:
            return float(loss.detach()), hits
        mean, right, n = self.team.total(float(loss.detach()), hits, len(step.codes), device=self.device)
        return mean / self.team.size, right * step.n_cells / n  # all the same in all processes, which stop together

    def _loss(self, logits: Tensor, codes: Tensor) -> Tensor:
        """Return the mean loss of cells, or this process's share of it: the mean of the shares is that of all cells."""
        if self.team.size == 1:
            return cross_entropy(logits, codes, self.class_weight)
        weight = self.team.total(float(self.class_weight[codes].sum()), device=self.device)[0]
        return cross_entropy(logits, codes, self.class_weight, reduction="sum") * (self.team.size / weight)

    def _watch(self, module: Network) -> dict[str, float]:
        """Return loss and accuracy on the cells that early stopping looks at."""
        if not len(self.watched):
            return {}
        logits = self.model(module).logits(self.reference.cells.at(self.watched), self.scale.cells(self.watched))
        codes = self.reference.codes[self.watched]
        loss = cross_entropy(torch.from_numpy(logits), torch.from_numpy(codes.astype(np.int64)))
        found = self.team.total(float(loss), accuracy(codes, logits.argmax(axis=1)), device=self.device)
        return dict(zip(("val_loss", "val_accuracy"), (one / self.team.size for one in found), strict=True))

    def model(self, module: Network) -> Model:
        """Freeze the network as it is, not calibrated."""
        network = asdict(self.network)
        for name in ("common_features", "n_labels", "seed"):  # which stand elsewhere in the file
            del network[name]
        module.eval()
        return Model(
            features=self.reference.features,
            labels=self.reference.labels,
            modality=self.reference.modality,
            normalization=self.reference.normalization,
            mean=self.pooled.centre[0],
            deviation=self.pooled.deviation[0],
            layers=tuple(module.folded()),
            temperature=1.0,
            network=network,
            created_with=CREATED_WITH,
            device=str(self.device),
        )


def _set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for parameters in optimizer.param_groups:
        parameters["lr"] = lr


@dataclass(frozen=True, eq=False)
class _Step:
    """The cells of a step that this process learns from, and how many they are with those of all others."""

    cells: SparseMatrix
    transposed: SparseMatrix
    codes: Tensor
    batches: Tensor
    n_cells: int


def _rows(matrix: sp.csr_matrix, rows: slice) -> sp.csr_matrix:
    """Return a run of rows that shares the arrays of the matrix."""
    indptr = matrix.indptr[rows.start : rows.stop + 1]
    inside = slice(indptr[0], indptr[-1])
    shape = (len(indptr) - 1, matrix.shape[1])
    return sp.csr_matrix((matrix.data[inside], matrix.indices[inside], indptr - indptr[0]), shape=shape)
