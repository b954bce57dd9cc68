"""A simulated atlas of any size: one seed, written block by block, so that a smaller one is the start of a larger one.

Labels differ in 150 genes each, half of which two labels share, and are of uneven size: the rarest of eight has 0.5 %
of the cells. A cell's counts are drawn from its label's profile and, for a share of its own, from the mixture of all
cells, as RNA of burst cells is in every droplet: what makes some cells hard. A batch shifts each gene by a factor.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

from measuring import OUT

N_GENES = 13_714
COUNTS = 980  # of a cell in the median, which are about 900 values
SHARES = (0.4, 0.25, 0.15, 0.1, 0.05, 0.03, 0.015, 0.005)
PER_BLOCK = 2_000
# Places of the table that a count's gene is drawn from: a gene that has fewer counts than one in a million has none.
PLACES = 2**20


@dataclass(frozen=True)
class Atlas:
    """What is drawn from: cells of one batch, chosen by a seed."""

    seed: int = 1
    batch: int = 0
    shares: tuple[float, ...] = SHARES

    def blocks(self, n_cells: int) -> Iterator[tuple[sp.csr_matrix, np.ndarray]]:
        """Yield counts and labels of 2,000 cells at a time."""
        profiles = self.profiles()
        tables = [table(profile) for profile in (*profiles, np.array(self.shares) @ profiles)]
        for block, first in enumerate(range(0, n_cells, PER_BLOCK)):
            counts, codes = draw(tables, self.shares, np.random.default_rng((self.seed, self.batch, block)))
            some = min(PER_BLOCK, n_cells - first)
            yield counts[:some], codes[:some]

    def profiles(self) -> np.ndarray:
        """Return the share of each gene in the counts of each label, in this batch."""
        rng, n_labels = np.random.default_rng(0), len(self.shares)
        base = rng.gamma(0.4, 1, N_GENES)
        found = np.tile(base, (n_labels, 1))
        for label in range(n_labels):
            own, shared = np.split(rng.choice(N_GENES, 150, replace=False), 2)
            found[label, own] *= rng.uniform(2, 8, 75)
            found[label - label % 2 : label - label % 2 + 2, shared] *= rng.uniform(2, 8, 75)
        found /= found.sum(axis=1, keepdims=True)
        found *= np.exp(np.random.default_rng(self.batch).normal(0, 0.3 * bool(self.batch), N_GENES))
        return found / found.sum(axis=1, keepdims=True)

    def cells(self, n_cells: int) -> ad.AnnData:
        """Return cells in memory."""
        counts, codes = zip(*self.blocks(n_cells), strict=True)
        return ad.AnnData(sp.vstack(counts, format="csr"), obs=obs(np.concatenate(codes)), var=var())

    def write(self, path: Path, n_cells: int) -> Path:
        """Write an uncompressed h5ad, as anndata does, unless it is there."""
        if path.exists():
            return path
        part = path.with_suffix(".part")
        with h5py.File(part, "w") as file:
            file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
            x = file.create_group("X")
            x.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": [n_cells, N_GENES]})
            data, indices = (
                x.create_dataset(name, (0,), kind, maxshape=(None,), chunks=(2**18,))
                for name, kind in (("data", "f4"), ("indices", "i4"))
            )
            ends, labels, end = [np.zeros(1, np.int64)], [], 0
            for counts, codes in self.blocks(n_cells):
                for stored, values in ((data, counts.data), (indices, counts.indices)):
                    stored.resize(end + counts.nnz, axis=0)
                    stored[end:] = values
                ends.append(counts.indptr[1:].astype(np.int64) + end)
                end += counts.nnz
                labels.append(codes)
            x["indptr"] = np.concatenate(ends)
            ad.io.write_elem(file, "obs", obs(np.concatenate(labels)))
            ad.io.write_elem(file, "var", var())
        return part.rename(path)


def table(profile: np.ndarray) -> np.ndarray:
    """Return the gene of each place, so that a place drawn evenly is a gene drawn by its share."""
    return np.searchsorted(np.cumsum(profile), (np.arange(PLACES) + 0.5) / PLACES).astype(np.int32)


def draw(
    tables: list[np.ndarray], shares: tuple[float, ...], rng: np.random.Generator
) -> tuple[sp.csr_matrix, np.ndarray]:
    """Return the counts of 2,000 cells and their labels; the last table is that of the RNA around the cells."""
    codes = rng.choice(len(shares), PER_BLOCK, p=np.array(shares) / sum(shares))
    depth = rng.lognormal(np.log(COUNTS), 0.35, PER_BLOCK).astype(int) + 20
    around = rng.binomial(depth, rng.beta(1, 5, PER_BLOCK))
    keys = []
    for which, gene_of in enumerate(tables):
        n = around if which == len(shares) else np.where(codes == which, depth - around, 0)
        genes = gene_of[rng.integers(0, PLACES, n.sum(), dtype=np.int32)]
        keys.append(np.repeat(np.arange(PER_BLOCK, dtype=np.int32) * N_GENES, n) + genes)
    values = np.sort(np.concatenate(keys))  # a cell and a gene
    starts = np.flatnonzero(np.diff(values, prepend=-1))
    rows, genes = np.divmod(values[starts], N_GENES)
    counts = np.diff(starts, append=len(values)).astype(np.float32)
    ends = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=PER_BLOCK))])
    return sp.csr_matrix((counts, genes, ends), shape=(PER_BLOCK, N_GENES)), codes


def obs(codes: np.ndarray) -> pd.DataFrame:
    labels = pd.Categorical([f"T{code}" for code in codes])
    return pd.DataFrame({"label": labels}, index=[f"c{i}" for i in range(len(codes))])


def var() -> pd.DataFrame:
    return pd.DataFrame(index=[f"G{i}A" for i in range(N_GENES)])


def reference(n_cells: int) -> Path:
    """Return the file of a reference; a smaller one is the start of a larger one."""
    return _stored("reference", Atlas(seed=1, batch=0), n_cells)


def query(n_cells: int) -> Path:
    """Return the file of a query, which is another batch."""
    return _stored("query", Atlas(seed=2, batch=1), n_cells)


def _stored(name: str, atlas: Atlas, n_cells: int) -> Path:
    folder = OUT / "simulated"
    folder.mkdir(parents=True, exist_ok=True)
    return atlas.write(folder / f"{name}-{n_cells}.h5ad", n_cells)
