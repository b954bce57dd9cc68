"""Make an atlas of real cells: an RNA reference, a multiome and a query of peaks, of which the truth is known.

Every simulated nucleus is the sum of POOL real ones of its label, drawn with replacement, and each count is kept with a
chance drawn for the nucleus. The libraries of the real nuclei are dealt to the three data sets, so that no real nucleus
is in two of them. Labels are as frequent as they are among the real nuclei.

Peaks: each real peak is cut into neighbouring ones of unequal weight until there are enough; its fragments are dealt
to them. About half of a nucleus's fragments are background: they fall into peaks by how open these are in all nuclei,
and say nothing of the label. Genes: the real ones, and beside them those genes of the annotation in which no peak lies,
whose counts say nothing of the label either.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

import deepscore
from deepscore.chromatin.genes import read_annotation
from deepscore.chromatin.intervals import parse_peaks, peak_names

N_REFERENCE, N_MULTIOME, N_QUERY, N_PEAKS = 112_563, 50_000, 106_309, 200_000
POOL = 16  # real nuclei in a simulated one
KEPT_RNA, KEPT_PEAKS = (0.05, 0.2), (0.5, 1.0)  # least and greatest share of a pool's counts
BACKGROUND = 1000  # fragments of a nucleus that say nothing of its label, median
OTHER_COUNTS = 800  # the same of genes
SPREAD = 0.3  # standard deviation of the logarithm of both
BLOCK = 2000  # nuclei that are made at once
PARTS = ("reference", "multiome", "query")
DEALT = (0, 1, 2, 1, 2, 1, 0, 1, 2, 1, 2, 0)  # the part that each library is for


class Real(NamedTuple):
    """Real nuclei with their RNA and their chromatin, cells x features, and the part that each is for."""

    rna: ad.AnnData
    peaks: ad.AnnData
    labels: np.ndarray
    part: np.ndarray
    annotation: Path


def real_nuclei(folder: Path) -> Real:
    """Return the labelled nuclei of the SNARE-seq cortex; every third library is for the same data set."""
    rna, peaks = (ad.read_h5ad(folder / f"snare_{half}.h5ad") for half in ("rna", "peaks"))
    known = rna.obs["label"].notna().to_numpy()
    rna, peaks = rna[known].copy(), peaks[known].copy()
    part = np.resize(DEALT, rna.obs["batch"].nunique())[pd.factorize(rna.obs["batch"], sort=True)[0]]
    return Real(rna, peaks, rna.obs["label"].to_numpy(str), part, folder / "mm10_genes.bed.gz")


@dataclass(frozen=True)
class Cut:
    """Real peaks cut into neighbouring ones.

    Parameters
    ----------
    names
        Of the new peaks.
    edges
        New peak j of real peak i holds the fragments of i whose place, between i and i + 1, is below edges[j].
    """

    names: np.ndarray
    edges: np.ndarray

    @classmethod
    def of(cls, peaks: np.ndarray, n_peaks: int, rng: np.random.Generator) -> "Cut":
        table = parse_peaks(peaks)
        pieces = np.full(len(table), n_peaks // len(table))
        pieces[: n_peaks - pieces.sum()] += 1
        width = (table["end"] - table["start"]).to_numpy()
        pieces = np.minimum(pieces, width)  # a piece has one base at least
        owner = np.repeat(np.arange(len(table)), pieces)
        number = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        start = table["start"].to_numpy()[owner]
        borders = [start + width[owner] * (number + last) // pieces[owner] for last in (0, 1)]
        found = pd.DataFrame({"chrom": table["chrom"].to_numpy()[owner], "start": borders[0], "end": borders[1]})
        weight = rng.gamma(2, 1, len(owner))
        before = np.concatenate([[0], np.cumsum(weight)])
        first = before[np.cumsum(pieces) - pieces]
        whole = before[np.cumsum(pieces)] - first
        edges = owner + np.minimum((before[1:] - first[owner]) / whole[owner], 1)
        return cls(peak_names(found), edges)

    def deal(self, counts: sp.csr_matrix, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return row and new peak of each fragment."""
        n = counts.data.astype(int)
        rows = np.repeat(np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr)), n)
        place = np.repeat(counts.indices, n) + rng.random(n.sum())
        return rows, np.searchsorted(self.edges, place, side="right")


def pools(real: Real, part: int, n_cells: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels of the nuclei of a data set, in random order, and the real nuclei that each is the sum of."""
    share = pd.Series(real.labels).value_counts(normalize=True).sort_index()
    sizes = np.maximum(np.round(share * n_cells).astype(int), 2)
    sizes[sizes.idxmax()] += n_cells - sizes.sum()
    labels = rng.permutation(np.repeat(sizes.index.to_numpy(str), sizes))
    chosen = np.empty((n_cells, POOL), int)
    for label in sizes.index:
        at = labels == label
        chosen[at] = rng.choice(np.flatnonzero((real.part == part) & (real.labels == label)), (at.sum(), POOL))
    return labels, chosen


def summed(counts: sp.csr_matrix, chosen: np.ndarray, kept: tuple, rng: np.random.Generator) -> sp.csr_matrix:
    """Return the sums of real nuclei, each count kept with the chance of its nucleus."""
    start = np.arange(len(chosen) + 1) * chosen.shape[1]
    which = sp.csr_matrix((np.ones(chosen.size, np.float32), chosen.ravel(), start), (len(chosen), counts.shape[0]))
    found = sp.csr_matrix(which @ counts)
    chance = np.repeat(rng.uniform(*kept, len(chosen)), np.diff(found.indptr))
    found.data = rng.binomial(found.data.astype(int), chance).astype(np.float32)
    found.eliminate_zeros()
    return found


def background(weights: np.ndarray, n_cells: int, median: float, rng: np.random.Generator) -> tuple:
    """Return row and feature of counts that fall everywhere by the weights of the features."""
    n = rng.poisson(median * rng.lognormal(0, SPREAD, n_cells))
    border = np.cumsum(weights)
    rows = np.repeat(np.arange(n_cells), n)
    return rows, np.minimum(np.searchsorted(border, rng.random(n.sum()) * border[-1], side="right"), len(weights) - 1)


def counted(rows: np.ndarray, columns: np.ndarray, shape: tuple) -> sp.csr_matrix:
    return sp.coo_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape).tocsr()


class Maker:
    """What all nuclei have in common."""

    def __init__(self, real: Real, n_peaks: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.real = real
        self.cut = Cut.of(real.peaks.var_names.to_numpy(object), n_peaks, rng)
        open_in = np.asarray(real.peaks.X.sum(axis=0)).ravel()
        owner = np.ceil(self.cut.edges).astype(int) - 1
        self.openness = np.diff(self.cut.edges, prepend=0) * open_in[owner]
        one = ad.AnnData(sp.csr_matrix(np.ones((1, len(self.cut.names)), np.float32)))
        one.var_names = self.cut.names
        near = {*deepscore.gene_activity(one, real.annotation).var_names, *real.rna.var_names}
        others = [name for name in dict.fromkeys(read_annotation(real.annotation)["gene"]) if name not in near]
        self.genes = [*real.rna.var_names, *others]
        self.level = rng.gamma(0.5, 1, len(others))

    def rna(self, chosen: np.ndarray, rng: np.random.Generator) -> sp.csr_matrix:
        found = summed(self.real.rna.X, chosen, KEPT_RNA, rng)
        if not len(self.level):
            return found
        others = counted(*background(self.level, len(chosen), OTHER_COUNTS, rng), (len(chosen), len(self.level)))
        return sp.hstack([found, others], format="csr")

    def peaks(self, chosen: np.ndarray, rng: np.random.Generator) -> sp.csr_matrix:
        own = self.cut.deal(summed(self.real.peaks.X, chosen, KEPT_PEAKS, rng), rng)
        other = background(self.openness, len(chosen), BACKGROUND, rng)
        rows, columns = (np.concatenate(both) for both in zip(own, other, strict=True))
        return counted(rows, columns, (len(chosen), len(self.cut.names)))


def write_store(path: Path, obs: pd.DataFrame, features: list[str], blocks: Iterator[sp.csr_matrix]) -> int:
    """Write an h5ad of cells x features block by block, uncompressed; return the number of its values."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        ad.io.write_elem(file, "obs", obs)
        ad.io.write_elem(file, "var", pd.DataFrame(index=pd.Index(features, dtype=str)))
        x = file.create_group("X")
        x.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": [len(obs), len(features)]})
        data, indices = (
            x.create_dataset(name, (0,), kind, maxshape=(None,), chunks=(262_144,))
            for name, kind in (("data", "f4"), ("indices", "i4"))
        )
        indptr = [np.zeros(1, np.int64)]
        for block in blocks:
            block.sort_indices()
            used = indptr[-1][-1]
            for array, values in ((data, block.data), (indices, block.indices)):
                array.resize((used + len(values),))
                array[used:] = values
            indptr.append(used + block.indptr[1:].astype(np.int64))
        x["indptr"] = np.concatenate(indptr).astype("i4" if indptr[-1][-1] < 2**31 else "i8")
    return int(indptr[-1][-1])


def simulate(real: Real, folder: Path, size: float = 1, n_peaks: int = N_PEAKS, seed: int = 0) -> dict:
    """Write the stores of an atlas and the truth of its query into a folder; return what it holds."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    maker = Maker(real, n_peaks, seed)
    sizes = [int(n * size) for n in (N_REFERENCE, N_MULTIOME, N_QUERY)]
    facts = {"genes": len(maker.genes), "peaks": len(maker.cut.names), "labels": len(set(real.labels))}
    for part, (name, n_cells) in enumerate(zip(PARTS, sizes, strict=True)):
        rng = np.random.default_rng([seed, part])
        labels, chosen = pools(real, part, n_cells, rng)
        obs = pd.DataFrame(index=pd.Index([f"{name}{i}" for i in range(n_cells)]))
        pieces = [chosen[start : start + BLOCK] for start in range(0, n_cells, BLOCK)]
        facts[name] = {"cells": n_cells}
        if name == "query":
            obs.assign(label=labels).to_csv(folder / "truth.csv")
        else:
            told = obs.assign(label=pd.Categorical(labels)) if name == "reference" else obs
            path = folder / f"{name}_rna.h5ad"
            n = write_store(path, told, maker.genes, (maker.rna(piece, rng) for piece in pieces))
            facts[name]["genes in a cell"] = round(n / n_cells)
        if name != "reference":
            path = folder / f"{name}_peaks.h5ad"
            n = write_store(path, obs, list(maker.cut.names), (maker.peaks(piece, rng) for piece in pieces))
            facts[name]["peaks in a cell"] = round(n / n_cells)
    return facts
