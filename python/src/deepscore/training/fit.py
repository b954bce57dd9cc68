"""Training: split, fit, calibrate, and return a Model."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import torch

from ..chromatin.lsi import LSI, fit_lsi, signac_tfidf
from ..data.labels import evenly
from ..data.linalg import SEED, Codes
from ..data.modality import TfIdf
from ..data.values import Floats
from ..model.calibrate import fit_temperature
from ..model.config import NetworkConfig
from ..model.file import from_bytes, to_bytes
from ..model.linear import MOST_CELLS, fit_linear
from ..model.model import Model
from ..model.profiles import profiles_of
from ..support.threads import cores, one_blas_thread, one_torch_thread, torch_threads
from .config import TrainConfig
from .course import Course
from .held_out import held_out_facts, stratified_split
from .reference import Reference
from .settings import SETTINGS, TrainingSettings
from .team import ALONE, Team

__all__ = ["fit"]

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
    held_out_seed: int | None = None,
    settings: TrainingSettings = SETTINGS,
    team: Team = ALONE,
) -> Model:
    """Train on a prepared reference.

    Parameters
    ----------
    on_epoch
        Called after every epoch with its number (from 1) and the model as it is.
    cell_by_cell
        Leave out what only a query as a whole needs: profiles and LSI. A fold of the reference check, which may lack a
        label, has neither.
    held_out_seed
        Seed of the choice of the cells that are held out, so that models of several seeds can be compared by them;
        without it that of the network.
    team
        The processes that train together: the first of them does what follows the epochs, and all get its model.

    Returns
    -------
    The model: of the best epoch with early stopping, else of the last.
    """
    rng = np.random.default_rng(network.seed)
    of_split = rng if held_out_seed in (None, network.seed) else np.random.default_rng(held_out_seed)
    learn, held_out = stratified_split(reference.codes, reference.test_prop, of_split, settings)
    watched = np.empty(0, np.intp)
    if train.early_stopping:  # the held-out cells stay unseen: stopping gets cells of its own
        kept, chosen = stratified_split(reference.codes[learn], settings.watched_prop, rng, settings)
        learn, watched = learn[kept], learn[chosen]
    course = Course(reference, network, train, learn, watched, rng, settings, team)
    with _one_at_a_time, one_torch_thread():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(network.seed)
            module, history, best = course.run(on_epoch)
        if team.rank:
            return from_bytes(team.of_first(b"", course.device))
        few = _Few.of(reference, learn, network.seed, settings)
        model, logits = _with_linear_path(course.model(module), course, few, held_out, settings)
    codes = reference.codes[held_out]
    counts = np.bincount(reference.codes, minlength=len(reference.labels)).tolist()
    facts = {
        "seed": network.seed,
        "n_cells": len(reference.codes),
        "n_unlabelled": reference.n_unlabelled,
        "n_batches": len(course.scale.centre),
        "cells_per_label": dict(zip(reference.labels, counts, strict=True)),
        "held_out": held_out_facts(logits, codes, reference.labels),
        "epochs": course.epochs if course.pace is None else len(history),
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
    if reference.other_names:
        facts["other_names"] = reference.other_names
    if reference.ontology_terms:
        facts["ontology_terms"] = reference.ontology_terms
    model = replace(model, temperature=fit_temperature(logits, codes), training=facts, device="cpu")
    if not cell_by_cell:
        profiles = profiles_of(few.at(few.profiled), reference.codes[few.profiled], np.array(counts))
        model = replace(model, profiles=profiles, lsi=_lsi(reference, few, network.seed))
    if team.size > 1:
        team.of_first(to_bytes(model), course.device)
    return model


@dataclass(frozen=True, eq=False)
class _Few:
    """The cells that the linear path, the profiles and the LSI are made of: read at once, as they may lie on disk.

    Parameters
    ----------
    cells, matrix
        Their positions in the reference, ascending, and their values.
    learn, every
        Those of the linear path: first without those held out, then of all.
    profiled, decomposed
        Those of the profiles and of the LSI; none of the latter but for a reference of peaks.
    """

    cells: Codes
    matrix: sp.csr_matrix
    learn: Codes
    every: Codes
    profiled: Codes
    decomposed: Codes

    @classmethod
    def of(cls, reference: Reference, learn: Codes, seed: int, settings: TrainingSettings) -> _Few:
        """Choose the cells, dealt out evenly over the labels, and read them."""
        codes, of_peaks = reference.codes, reference.kind.neighbours == "lsi"
        kinds = (
            learn[evenly(codes[learn], MOST_CELLS, np.random.default_rng(seed))],
            evenly(codes, MOST_CELLS, np.random.default_rng(seed)),
            evenly(codes, settings.profile_cells, np.random.default_rng(SEED)),
            evenly(codes, settings.lsi_cells if of_peaks else 0, np.random.default_rng(seed)),
        )
        cells = np.unique(np.concatenate(kinds))
        return cls(cells, reference.cells.at(cells), *kinds)

    def at(self, cells: Codes) -> sp.csr_matrix:
        """Return the values of some of them."""
        return self.matrix[np.searchsorted(self.cells, cells)]


def _lsi(reference: Reference, few: _Few, seed: int) -> LSI | None:
    """Return the components of a reference of peaks, where it has any."""
    if not len(few.decomposed):
        return None
    assert isinstance(reference.normalization, TfIdf)
    peaks = signac_tfidf(few.at(few.decomposed), reference.normalization)
    return fit_lsi(peaks, seed=seed) if min(peaks.shape) > 1 and peaks.nnz else None


def _with_linear_path(
    model: Model, course: Course, few: _Few, held_out: Codes, settings: TrainingSettings
) -> tuple[Model, Floats]:
    """Add the linear path; return the model and the logits of the held-out cells.

    Each of the two paths is brought to its own best temperature, so that their weights mean something. The linear path,
    which cannot learn cells by heart, is then fitted once more on all cells: rare labels need every one.
    """
    reference, n_labels = course.reference, len(model.labels)

    def fitted(cells: Codes) -> tuple[Floats, Floats]:
        return fit_linear(few.at(cells), reference.codes[cells], n_labels, course.scale.cells(cells), model.device)

    codes = reference.codes[held_out]
    wanted = (few.learn, few.every) if len(held_out) or len(course.watched) else (few.learn,)
    with torch_threads(min(cores(), len(wanted))) as pool:
        paths = list((map if pool is None else pool.map)(fitted, wanted))
    both = replace(model, linear=paths[0])
    hidden, linear = np.empty((2, len(held_out), n_labels), np.float32)
    for cells, block in reference.cells.take(held_out):
        hidden[cells], linear[cells] = both.paths(block, course.scale.cells(held_out[cells]))
    of_hidden = settings.hidden_weight / fit_temperature(hidden, codes)
    of_linear = (1 - settings.hidden_weight) / fit_temperature(linear, codes, settings.linear_temperature)
    *first, (weight, bias) = model.layers
    result = replace(
        model,
        layers=(*first, (weight * np.float32(of_hidden), bias * np.float32(of_hidden))),
        linear=(paths[-1][0] * np.float32(of_linear), paths[-1][1] * np.float32(of_linear)),
    )
    return result, of_hidden * hidden + of_linear * linear
