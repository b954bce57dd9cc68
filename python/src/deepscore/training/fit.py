"""Training: split, fit, calibrate, and return a Model."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from ..model.calibrate import cross_calibrated, expected_calibration_error, fit_temperature
from ..chromatin.lsi import LSI, fit_lsi, signac_tfidf
from ..support.config import NetworkConfig, TrainConfig
from ..errors import ConfigError, EngineError, InputError
from ..data.labels import evenly
from ..model.linear import fit_linear
from ..model.model import Model
from ..model.network import Network, SparseBatch
from ..data.normalize import Floats
from ..query.novelty import profiles_of
from .reference import Reference
from ..data.standardise import Codes, GroupSums, scaled
from .schedule import EarlyStop, batch_slices, default_batch_size, default_epochs, scheduled_lr
from .metrics import accuracy, macro_f1
from ..support.threads import one_blas_thread
from ..version import CREATED_WITH

__all__ = ["fit", "stratified_split"]

# How much of the logits comes from the hidden layers; see python/docs/accuracy.md.
HIDDEN_SHARE = 0.25
# What the linear path's temperature is where no held-out cell tells: its strong penalty makes it cautious.
LINEAR_TEMPERATURE = 0.37
# Components of peaks are those of at most so many cells, dealt out evenly over the labels.
LSI_CELLS = 10_000
# Steps of so few cells, and the linear path, are for one thread: several wait for each other longer than they work.
ONE_THREAD_BATCH = 256
# Torch has one generator for all threads: two that train at once would disturb each other's seed.
_one_at_a_time = threading.RLock()


@one_blas_thread()
@torch.inference_mode(mode=False)
@torch.enable_grad()  # whatever the caller has set
def fit(
    reference: Reference,
    network: NetworkConfig,
    train: TrainConfig,
    on_epoch: Callable[[int, Model], None] | None = None,
    *,
    cell_by_cell: bool = False,
) -> Model:
    """Train on a prepared reference.

    Parameters
    ----------
    on_epoch
        Called after every epoch with its number (from 1) and the model as it is.
    cell_by_cell
        Leave out what only a query as a whole needs: profiles and LSI. A fold of the reference check, which may lack a
        label, has neither.

    Returns
    -------
    The model: of the best epoch with early stopping, else of the last.
    """
    rng = np.random.default_rng(network.seed)
    learn, held_out = stratified_split(reference.codes, reference.test_prop, rng)
    watched = np.empty(0, np.intp)
    if train.early_stopping:  # the held-out cells stay unseen: stopping gets cells of its own
        kept, chosen = stratified_split(reference.codes[learn], 0.1, rng)
        learn, watched = learn[kept], learn[chosen]
    course = _Course(reference, network, train, learn, watched, rng)
    with _one_at_a_time:
        with torch.random.fork_rng(devices=[]), _threads(1 if course.batch_size <= ONE_THREAD_BATCH else None):
            torch.manual_seed(network.seed)
            module, history, best = course.run(on_epoch)
        with _threads(1):
            model, hidden, linear = _with_linear_path(course.model(module), course, learn, held_out)
    codes = reference.codes[held_out]
    counts = np.bincount(reference.codes, minlength=len(reference.labels)).tolist()
    facts = {
        "seed": network.seed,
        "n_cells": len(reference.codes),
        "n_unlabelled": reference.n_unlabelled,
        "n_batches": len(course.scale.centre),
        "cells_per_label": dict(zip(reference.labels, counts, strict=True)),
        "held_out": _held_out_facts(hidden, linear, codes),
        "epochs": course.epochs,
        "batch_size": course.batch_size,
        "best_epoch": best,
        "early_stopping": train.early_stopping,
        "patience": train.patience,
        "lr_schedule": train.lr_schedule,
        "test_prop": reference.test_prop,
        "history": history,
    }
    if reference.feature_share is not None:
        facts["feature_share"] = reference.feature_share
    model = replace(model, temperature=fit_temperature(hidden + linear, codes), training=facts)
    if cell_by_cell:
        return model
    lsi = _lsi(reference, network.seed) if reference.modality == "peaks" else None
    return replace(model, profiles=profiles_of(reference.matrix, reference.codes), lsi=lsi)


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _lsi(reference: Reference, seed: int) -> LSI | None:
    """Return the components of a reference of peaks, where it has any."""
    cells = evenly(reference.codes, LSI_CELLS, np.random.default_rng(seed))
    peaks = signac_tfidf(reference.matrix[cells], reference.normalization)
    return fit_lsi(peaks, seed=seed) if min(peaks.shape) > 1 and peaks.nnz else None


def _with_linear_path(model: Model, course: _Course, learn: Codes, held_out: Codes) -> tuple[Model, Floats, Floats]:
    """Add the linear path; return the model and what each path adds to the logits of the held-out cells.

    Each of the two is brought to its own best temperature, so that their shares of the sum mean something. The linear
    path, which cannot learn cells by heart, is then fitted once more on all cells: rare labels need every one.
    """
    reference, n_labels = course.reference, len(model.labels)

    def fitted(cells: Codes) -> tuple[Floats, Floats]:
        scale, rng = course.scale.cells(cells), np.random.default_rng(course.network.seed)
        return fit_linear(reference.matrix[cells], reference.codes[cells], n_labels, scale, rng)

    codes = reference.codes[held_out]
    path = fitted(learn)
    both = replace(model, linear=path)
    hidden, linear = both.paths(reference.matrix[held_out], course.scale.cells(held_out))
    assert linear is not None
    share_hidden = HIDDEN_SHARE / fit_temperature(hidden, codes)
    share_linear = (1 - HIDDEN_SHARE) / fit_temperature(linear, codes, LINEAR_TEMPERATURE)
    *first, (weight, bias) = model.layers
    if len(learn) < len(reference.codes):
        path = fitted(np.arange(len(reference.codes)))
    result = replace(
        model,
        layers=(*first, (weight * np.float32(share_hidden), bias * np.float32(share_hidden))),
        linear=(path[0] * np.float32(share_linear), path[1] * np.float32(share_linear)),
    )
    return result, share_hidden * hidden, share_linear * linear


def _held_out_facts(hidden: Floats, linear: Floats, codes: Codes) -> dict[str, Any]:
    """Return figures of cells that neither training nor, for the calibration error, the calibration has seen."""
    if not len(codes):
        return {"n_cells": 0}
    logits = hidden + linear
    calls = logits.argmax(axis=1)
    return {
        "n_cells": len(codes),
        "accuracy": accuracy(codes, calls),
        "macro_f1": macro_f1(codes, calls),
        "calibration_error": expected_calibration_error(cross_calibrated(logits, codes), codes),
        "agreement": float((hidden.argmax(axis=1) == linear.argmax(axis=1)).mean()),
    }


def stratified_split(codes: Codes, proportion: float, rng: np.random.Generator) -> tuple[Codes, Codes]:
    """Split cells within each label; a label with fewer than four cells stays whole on the first side.

    Returns
    -------
    Sorted positions of the cells to learn from and of those held out.
    """
    out = []
    for label in np.unique(codes):
        cells = np.flatnonzero(codes == label)
        n = max(int(len(cells) * proportion), 1) if proportion and len(cells) >= 4 else 0
        out.append(rng.permutation(cells)[:n])
    held_out = np.sort(np.concatenate(out))
    return np.setdiff1d(np.arange(len(codes)), held_out), held_out


class _Course:
    """One run of training: what stays the same from epoch to epoch."""

    def __init__(
        self,
        reference: Reference,
        network: NetworkConfig,
        train: TrainConfig,
        learn: Codes,
        watched: Codes,
        rng: np.random.Generator,
    ) -> None:
        self.reference, self.network, self.train, self.rng = reference, network, train, rng
        self.learn, self.watched = learn, watched
        n_groups = int(reference.groups.max()) + 1
        sums = GroupSums(n_groups, len(reference.features))
        for rows in batch_slices(len(learn), 4096):
            sums.add(reference.matrix[learn[rows]], reference.groups[learn[rows]])
        self.pooled = sums.pooled()
        self.scale = self.pooled if n_groups == 1 else sums.by_group(reference.groups, self.pooled)
        counts = np.bincount(reference.codes[learn], minlength=len(reference.labels))
        weight = np.sqrt(counts.max() / np.maximum(counts, 1))  # rare labels count more, but do not rule a batch
        self.class_weight = torch.from_numpy((weight / (weight * counts).sum() * counts.sum()).astype(np.float32))
        self.batch_size = network.batch_size or default_batch_size(len(learn))
        self.epochs = network.epochs or default_epochs(len(learn))
        try:
            self.device = torch.device(network.device)
            torch.ones(1, device=self.device).cpu()  # some can be named, but hold no values
        except Exception as error:  # each kind of device has its own
            raise ConfigError("bad_argument", f"device {network.device!r} cannot be used: {error}") from None
        self.class_weight = self.class_weight.to(self.device)

    def run(self, on_epoch: Callable[[int, Model], None] | None) -> tuple[Network, list[dict[str, Any]], int]:
        """Train; return the network, one record per epoch, and the epoch whose weights were kept."""
        module = self._module()
        optimizer = torch.optim.AdamW(module.parameters(), lr=self.network.lr, weight_decay=self.network.l2, fused=True)
        history: list[dict[str, Any]] = []
        stop = EarlyStop(self.train.patience if self.train.early_stopping else None)
        centres = torch.from_numpy(self.scale.centre / self.scale.deviation).to(self.device)
        matrix = scaled(self.reference.matrix, self.scale)
        with (
            tqdm(total=self.epochs, desc="train", unit="epoch", disable=not self.train.progress) as bar,
            _board(self.train.tensorboard) as board,
        ):
            for epoch in range(1, self.epochs + 1):
                lr = self._set_lr(optimizer, epoch, history)
                record = {"epoch": epoch, "lr": lr, **self._epoch(module, optimizer, matrix, centres)}
                record |= self._watch(module)
                history.append(record)
                board(record)
                bar.set_postfix(loss=f"{record['loss']:.3f}", accuracy=f"{record['accuracy']:.3f}")
                bar.update()
                if on_epoch is not None:
                    on_epoch(epoch, self.model(module))
                if stop.after(record, module):
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

    def _set_lr(self, optimizer: torch.optim.Optimizer, epoch: int, history: list[dict[str, Any]]) -> float:
        """Set the learning rate of an epoch (the first is 1)."""
        lr = scheduled_lr(self.train.lr_schedule, self.network.lr, epoch, self.epochs, history)
        for group in optimizer.param_groups:
            group["lr"] = lr
        return lr

    def _epoch(
        self, module: Network, optimizer: torch.optim.Optimizer, matrix: sp.csr_matrix, centres: Tensor
    ) -> dict[str, float]:
        """Go through all cells once; return mean loss and accuracy."""
        module.train()
        cells = self.rng.permutation(self.learn)
        shuffled = matrix[cells]  # once per epoch: batches are then slices
        codes = torch.from_numpy(self.reference.codes[cells].astype(np.int64)).to(self.device)
        groups = torch.from_numpy(self.reference.groups[cells].astype(np.int64)).to(self.device)
        loss_sum = right = 0.0
        for rows in batch_slices(len(cells), self.batch_size):
            batch = _rows(shuffled, rows)
            transposed = SparseBatch.from_scipy(batch.tocsc()).to(self.device)
            logits = module(SparseBatch.from_scipy(batch).to(self.device), transposed, centres, groups[rows])
            loss = cross_entropy(logits, codes[rows], self.class_weight)
            total = loss
            if self.network.l1:
                total = loss + self.network.l1 * sum(w.abs().sum() for w in module.weights)
            optimizer.zero_grad(set_to_none=True)
            total.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if self.network.max_norm is not None:
                module.constrain(self.network.max_norm)
            loss_sum += float(loss.detach()) * len(logits)
            right += float((logits.argmax(dim=1) == codes[rows]).sum())
        if not math.isfinite(loss_sum):
            raise ConfigError(
                "bad_argument", f"Training diverged: the loss is not finite. Lower lr (it is {self.network.lr:g})."
            )
        return {"loss": loss_sum / len(cells), "accuracy": right / len(cells)}

    def _watch(self, module: Network) -> dict[str, float]:
        """Return loss and accuracy on the cells that early stopping looks at."""
        if not len(self.watched):
            return {}
        logits = self.model(module).logits(self.reference.matrix[self.watched], self.scale.cells(self.watched))
        codes = self.reference.codes[self.watched]
        loss = cross_entropy(torch.from_numpy(logits), torch.from_numpy(codes.astype(np.int64)))
        return {"val_loss": float(loss), "val_accuracy": accuracy(codes, logits.argmax(axis=1))}

    def model(self, module: Network) -> Model:
        """Freeze the network as it is, not calibrated."""
        network = asdict(self.network)
        for name in ("common_features", "n_labels", "seed"):  # told elsewhere in the file
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
        )


def _rows(matrix: sp.csr_matrix, rows: slice) -> sp.csr_matrix:
    """Return a run of rows that shares the arrays of the matrix."""
    indptr = matrix.indptr[rows.start : rows.stop + 1]
    inside = slice(indptr[0], indptr[-1])
    shape = (len(indptr) - 1, matrix.shape[1])
    return sp.csr_matrix((matrix.data[inside], matrix.indices[inside], indptr - indptr[0]), shape=shape)


@contextmanager
def _board(folder: str | None) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Open TensorBoard's event file; the value writes one epoch's record."""
    if folder is None:
        yield lambda record: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise EngineError(
            "missing_package", "tensorboard= needs the package tensorboard: pip install tensorboard."
        ) from None
    try:
        opened = SummaryWriter(folder)
    except OSError as error:
        raise InputError("path_not_writable", f"TensorBoard's folder {folder} cannot be written: {error}.") from None
    with opened as writer:

        def write(record: dict[str, Any]) -> None:
            for name, value in record.items():
                if name != "epoch":
                    writer.add_scalar(name, value, record["epoch"])

        yield write
