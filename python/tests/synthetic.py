"""Small synthetic data sets; everything random comes from a seeded generator."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from deepscore.chromatin.lsi import LSI
from deepscore.data.blocks import CellBlocks
from deepscore.data.modality import TfIdf
from deepscore.data.normalize import LogNorm
from deepscore.model.config import NetworkConfig
from deepscore.model.model import Model
from deepscore.model.profiles import WITHIN, Profiles
from deepscore.query.annotation import Annotation
from deepscore.query.settings import SETTINGS, Settings
from deepscore.training.config import TrainConfig
from deepscore.workflows.annotate import AnnotateRequest, annotate

LABELS = ("B cell", "NK cell", "T cell")
MARKERS = 6  # features that only one label has much of


def names(prefix: str, n: int) -> np.ndarray:
    """Return n different names."""
    return np.array([f"{prefix}{i:03d}" for i in range(n)], dtype=object)


def peak_names(n: int) -> np.ndarray:
    return np.array([f"chr{1 + i % 5}:{1000 * i}-{1000 * i + 500}" for i in range(n)], dtype=object)


def counts(rng: np.random.Generator, codes: np.ndarray, n_features: int) -> sp.csr_matrix:
    """Draw Poisson counts; each label has a few features of its own, the first ones in turn."""
    base = np.random.default_rng(7).gamma(0.5, 1.5, n_features)
    means = np.tile(base, (codes.max() + 1, 1))
    for label, row in enumerate(means):
        row[label * MARKERS : (label + 1) * MARKERS] += 5
    depth = rng.lognormal(0, 0.3, len(codes))
    return sp.csr_matrix(rng.poisson(means[codes] * depth[:, None]), dtype=np.float32)


def dataset(seed: int, n_cells: int = 240, n_features: int = 80, labels: Sequence[str] = LABELS) -> ad.AnnData:
    """Return annotated counts: obs holds ``cell_type`` and ``batch``."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.arange(n_cells) % len(labels))
    obs = pd.DataFrame({"cell_type": np.array(labels)[codes], "batch": np.where(np.arange(n_cells) % 2, "odd", "even")})
    obs.index = pd.Index([f"s{seed}_cell{i:04d}" for i in range(n_cells)])
    var = pd.DataFrame(index=pd.Index(names("GENE", n_features)))
    return ad.AnnData(counts(rng, codes, n_features), obs=obs, var=var)


def hidden(data: ad.AnnData) -> ad.AnnData:
    """Return the same data set under numbers, its values in the layer "given" and its names in the column "name"."""
    found = ad.AnnData(data.X * 0, obs=data.obs, layers={"given": data.X})
    found.var["name"] = data.var_names.to_numpy()
    return found


READ_HIDDEN = {"layer": "given", "values": "counts", "feature_names": "name"}


def blocks_of(
    matrix: object, features: np.ndarray | None = None, cells: np.ndarray | None = None, rows: int = 64
) -> CellBlocks:
    """Return a matrix as CellBlocks."""
    csr = sp.csr_matrix(matrix)
    features = names("GENE", csr.shape[1]) if features is None else features
    cells = names("cell", csr.shape[0]) if cells is None else cells
    return CellBlocks(features, cells, lambda start, stop: csr[start:stop], rows, "X")


def log_cp10k(matrix: object, scale: float = 1e4) -> np.ndarray:
    """Normalise plainly: a dense cells x features array of ``log1p`` of counts per 10,000."""
    dense = matrix.toarray() if sp.issparse(matrix) else np.asarray(matrix)
    dense = dense.astype(np.float64)
    return np.log1p(scale * dense / dense.sum(axis=1, keepdims=True).clip(1e-12))


def normalised(model: Model, counts: object) -> sp.csr_matrix:
    """Return counts of all of a model's features as the model reads them."""
    return sp.csr_matrix(log_cp10k(counts, model.normalization.target_total), dtype=np.float32)


def random_model(seed: int = 3, n_features: int = 30, hidden: Sequence[int] = (9, 7), **changes: object) -> Model:
    """Return a model with random weights, of the same kind as a trained one."""
    rng = np.random.default_rng(seed)
    sizes = [n_features, *hidden, len(LABELS)]
    layers = [
        (rng.normal(0, 0.7, (a, b)).astype(np.float32), rng.normal(0, 0.3, b).astype(np.float32))
        for a, b in itertools.pairwise(sizes)
    ]
    facts = {
        "seed": seed,
        "n_cells": 30,
        "n_unlabelled": 0,
        "cells_per_label": dict.fromkeys(LABELS, 10),
        "held_out": {"n_cells": 0},
        "history": [],
    }
    values = {
        "features": tuple(names("GENE", n_features)),
        "labels": LABELS,
        "modality": "rna",
        "normalization": LogNorm(),
        "mean": rng.uniform(0.1, 2, n_features).astype(np.float32),
        "deviation": rng.uniform(0.5, 1.5, n_features).astype(np.float32),
        "layers": tuple(layers),
        "temperature": 1.7,
        "network": {"hidden_nodes": list(hidden), "activation": "relu"},
        "training": facts,
        "created_with": "deepscore 0.1.0",
    }
    return Model(**(values | changes))


def random_profiles(rng: np.random.Generator, n_features: int) -> Profiles:
    """Return random profiles of LABELS: two of the first label, one of each other."""
    return Profiles(
        rng.gamma(1, 1, (4, n_features)).astype(np.float32),
        np.array([0, 0, 1, 2]),
        np.array([4, 6, 10, 10]),
        rng.gamma(1, 1, (3, n_features)).astype(np.float32),
        rng.normal(0, 1, (n_features, WITHIN)).astype(np.float32),
    )


def full_model(seed: int = 3, n_features: int = 30, scale: float = 1200.0, **changes: object) -> Model:
    """Return a random model with a linear path and profiles, as training makes it."""
    rng = np.random.default_rng(seed + 1)
    plain = random_model(seed, n_features, **changes)
    weight, bias = rng.normal(0, 0.5, (n_features, len(LABELS))), rng.normal(0, 0.3, len(LABELS))
    return replace(
        plain,
        normalization=replace(plain.normalization, target_total=scale),
        linear=(weight.astype(np.float32), bias.astype(np.float32)),
        profiles=random_profiles(rng, n_features),
    )


def peak_model(seed: int = 3, n_features: int = 30, components: int = 4) -> Model:
    """Return a random model of peaks, with what training makes of them: LSI."""
    rng = np.random.default_rng(seed)
    plain = full_model(
        seed,
        n_features,
        modality="peaks",
        features=tuple(peak_names(n_features)),
        normalization=TfIdf(rng.uniform(0.5, 4, n_features).astype(np.float32)),
    )
    parts = (rng.uniform(2, 9, components), rng.normal(0, 0.1, components), rng.uniform(0.1, 1, components))
    loadings = rng.normal(0, 0.3, (n_features, components)).astype(np.float32)
    return replace(plain, lsi=LSI(loadings, *(part.astype(np.float32) for part in parts)))


def quick(**changes: object) -> NetworkConfig:
    """Return a small network that is trained for a short time."""
    return NetworkConfig(**({"hidden_nodes": (12, 8), "epochs": 4, "batch_size": 32} | changes))


def silent(**changes: object) -> TrainConfig:
    """Return training options without a progress bar."""
    return TrainConfig(**({"progress": False} | changes))


def digest(data: ad.AnnData) -> dict[str, str]:
    """Return a hash of every part of an AnnData, to tell whether a call has changed any of it."""

    def of(value: object) -> str:
        if sp.issparse(value):
            return "|".join(of(part) for part in (value.data, value.indices, value.indptr))
        if isinstance(value, pd.DataFrame):
            return hashlib.sha256(value.to_csv().encode()).hexdigest()
        if isinstance(value, np.ndarray):
            return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return json.dumps(value, default=str, sort_keys=True)

    parts = {"X": of(data.X), "var": of(data.var), "uns": of(dict(data.uns))}
    parts |= {f"obs {name}": of(data.obs[name].to_numpy().astype(str).astype("S")) for name in data.obs}
    return parts | {
        f"{slot} {key}": of(value) for slot in ("layers", "obsm", "obsp") for key, value in getattr(data, slot).items()
    }


def study(
    seed: int, sizes: Sequence[int], shift: float = 0.0, n_features: int = 150, tissue: int = 11
) -> tuple[sp.csr_matrix, np.ndarray]:
    """Return counts and types of cells from one of several studies of the same types.

    Parameters
    ----------
    sizes
        Number of cells of each type.
    shift
        How far the study's technology changes what it sees of each feature (deviation of a log-normal factor).
    tissue
        Another one has other types.
    """
    types = np.random.default_rng(tissue)
    means = types.gamma(0.6, 1.5, n_features) * types.lognormal(0, 0.45, (8, n_features))
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    depth = rng.lognormal(0, 0.3, (len(codes), 1))
    technology = rng.lognormal(0, shift, n_features)
    return sp.csr_matrix(rng.poisson(means[codes] * depth * technology), dtype=np.float32), codes


def panel(seed: int, sizes: Sequence[int], shift: float = 0.0, n_features: int = 8) -> tuple[sp.csr_matrix, np.ndarray]:
    """Return counts and types of cells from a study of few features, of which each of up to four types has two."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    means = np.full((4, n_features), 2.0)
    for code in range(4):
        means[code, 2 * code : 2 * code + 2] = 8
    depth, technology = rng.lognormal(0, 0.3, (len(codes), 1)), rng.lognormal(0, shift, n_features)
    return sp.csr_matrix(rng.poisson(means[codes] * depth * technology), dtype=np.float32), codes


def type_names(codes: np.ndarray) -> np.ndarray:
    """Name the types of a study."""
    return np.array([f"type {code}" for code in codes], dtype=object)


def gene_table(n_genes: int = 60) -> pd.DataFrame:
    """Return genes of 10,000 bases, a million bases apart on five chromosomes, on either strand in turn."""
    i = np.arange(n_genes)
    start = 1_000_000 * (1 + i // 5)
    table = {"chrom": [f"chr{1 + c}" for c in i % 5], "start": start, "end": start + 10_000}
    return pd.DataFrame({**table, "gene": names("GENE", n_genes), "strand": np.where(i % 2, "-", "+")})


def sites(n_genes: int = 60, shift: int = 0) -> np.ndarray:
    """Return the peaks of a tissue: the promoter of each gene, one in its body, and two far from any gene."""
    genes = gene_table(n_genes)
    promoter = np.where(genes["strand"] == "+", genes["start"] - 600, genes["end"] + 100)
    starts = (promoter, genes["start"] + 5000, genes["start"] + 300_000, genes["start"] + 600_000)
    return np.array(
        [f"{c}:{s + shift}-{s + shift + 500}" for start in starts for c, s in zip(genes["chrom"], start, strict=True)],
        dtype=object,
    )


def multiome(
    seed: int,
    n_cells: int = 240,
    labels: Sequence[str] = LABELS,
    *,
    depth: float = 1.0,
    distal: float = 1.0,
    n_genes: int = 60,
) -> tuple[ad.AnnData, ad.AnnData]:
    """Return the RNA and the ATAC of the same cells; every fourth gene and its peaks belong to one label.

    Parameters
    ----------
    depth
        How deeply the chromatin is sequenced.
    distal
        The same of the peaks far from genes alone, which gene activity does not see.
    """
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.arange(n_cells) % len(labels))
    own = codes[:, None] == np.arange(n_genes) % (len(labels) + 1)
    base = np.random.default_rng(7).gamma(1.0, 1.0, n_genes)
    expression = rng.poisson(base * np.where(own, 6, 1) * rng.lognormal(0, 0.3, (n_cells, 1)))
    opened = np.tile(np.where(own, 1.2, 0.3), 4) * np.repeat([1, 1, distal, distal], n_genes)
    counted = rng.poisson(depth * opened * rng.lognormal(0, 0.3, (n_cells, 1)))
    obs = pd.DataFrame({"cell_type": np.array(labels)[codes]}, index=[f"s{seed}_cell{i:04d}" for i in range(n_cells)])

    def half(values: np.ndarray, features: np.ndarray) -> ad.AnnData:
        return ad.AnnData(sp.csr_matrix(values, dtype=np.float32), obs.copy(), pd.DataFrame(index=pd.Index(features)))

    return half(expression, names("GENE", n_genes)), half(counted, sites(n_genes))


def recorded(data: CellBlocks) -> tuple[CellBlocks, list[int]]:
    """Return the same data, and a list of the rows that are read of it."""
    rows: list[int] = []

    def read(start: int, stop: int) -> sp.csr_matrix:
        rows.extend(range(start, stop))
        return data.read(start, stop)

    return replace(data, read=read), rows


def annotate_blocks(
    model: Model,
    query: CellBlocks,
    threshold: float = 0.5,
    batch: np.ndarray | None = None,
    *,
    groups: np.ndarray | None = None,
    peaks: CellBlocks | None = None,
    peaks_model: Model | None = None,
    settings: Settings = SETTINGS,
    **options: object,
) -> Annotation:
    """Annotate blocks of cells with options by name."""
    request = AnnotateRequest(threshold=threshold, **options)
    beside = {"batch": batch, "groups": groups, "peaks": peaks, "peaks_model": peaks_model}
    return annotate(model, query, request, settings=settings, **beside)
