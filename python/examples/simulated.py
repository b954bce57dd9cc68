"""A made-up tissue for the examples: RNA, chromatin and fragments of four types of cells, on chromosomes of hg38.

Every type has genes of its own, with open peaks in their promoters and bodies, and peaks far from any gene. Put your
own data sets in the place of these.
"""

import gzip
from pathlib import Path

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import scipy.sparse as sp

if hasattr(mudata, "set_options"):  # before 0.4, which does this by itself
    mudata.set_options(pull_on_update=False)

TYPES = np.array(["B cell", "Monocyte", "NK cell", "T cell"])
LENGTHS = {"chr1": 248_956_422, "chr2": 242_193_529, "chr7": 159_345_973, "chr11": 135_086_622, "chrX": 156_040_895}
N_GENES, N_DISTAL, WIDTH = 600, 1500, 500
OWN = 0.05  # share of the genes, and of the peaks far from them, that belong to a type


def _places(rng: np.random.Generator, n: int) -> pd.DataFrame:
    chrom = rng.choice(list(LENGTHS), n)
    start = (rng.uniform(0.01, 0.98, n) * np.array([LENGTHS[name] for name in chrom])).astype(int)
    return pd.DataFrame({"chrom": chrom, "start": start})


def genes() -> pd.DataFrame:
    """Return where the genes are, as a GTF file would tell: chrom, start, end, gene, strand."""
    rng = np.random.default_rng(1)
    table = _places(rng, N_GENES)
    table["end"] = table["start"] + rng.integers(3_000, 60_000, N_GENES)
    table["gene"] = [f"GENE{i:04d}" for i in range(N_GENES)]
    return table.assign(strand=rng.choice(["+", "-"], N_GENES))


def _peaks() -> pd.DataFrame:
    """Return peaks and the type each belongs to (-1: none): in the promoter and body of each gene, and far from it."""
    rng, table, owner = np.random.default_rng(2), genes(), _owners(3, N_GENES)
    promoter = np.where(table["strand"] == "+", table["start"] - 600, table["end"] + 100)
    body = table["start"] + (table["end"] - table["start"]) // 2
    distal = _places(rng, N_DISTAL)
    starts = [table.assign(start=promoter), table.assign(start=body), distal]
    found = pd.concat([part[["chrom", "start"]] for part in starts], ignore_index=True)
    owners = np.concatenate([owner, owner, _owners(4, N_DISTAL)])
    return found.assign(end=found["start"] + WIDTH, owner=owners)


def _owners(seed: int, n: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(n) < OWN * len(TYPES), rng.integers(0, len(TYPES), n), -1)


def _names(peaks: pd.DataFrame) -> list[str]:
    return [f"{chrom}:{start}-{end}" for chrom, start, end in zip(peaks.chrom, peaks.start, peaks.end, strict=True)]


def _counts(
    rng: np.random.Generator, codes: np.ndarray, base: np.ndarray, owner: np.ndarray, fold: float
) -> sp.csr_matrix:
    means = base * np.where(codes[:, None] == owner, fold, 1) * rng.lognormal(0, 0.4, (len(codes), 1))
    return sp.csr_matrix(rng.poisson(means), dtype=np.float32)


def multiome(n_cells: int, seed: int) -> mudata.MuData:
    """Return the RNA and the chromatin of the same cells; ``obs["cell_type"]`` of both holds the truth."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, len(TYPES), n_cells)
    obs = pd.DataFrame({"cell_type": TYPES[codes]}, index=[f"sample{seed}_{i:04d}-1" for i in range(n_cells)])
    steady, peaks = np.random.default_rng(5), _peaks()
    expressed, opened = steady.gamma(0.5, 1.2, N_GENES), steady.gamma(2, 0.025, len(peaks))
    rna = _counts(rng, codes, expressed + 0.05, _owners(3, N_GENES), 3)
    atac = _counts(rng, codes, opened, peaks["owner"].to_numpy(), 4)
    return mudata.MuData(
        {
            "rna": ad.AnnData(rna, obs.copy(), pd.DataFrame(index=genes()["gene"].to_numpy())),
            "atac": ad.AnnData(atac, obs.copy(), pd.DataFrame(index=_names(peaks))),
        }
    )


def rna(n_cells: int, seed: int) -> ad.AnnData:
    """Return cells x genes."""
    return multiome(n_cells, seed)["rna"]


def atac(n_cells: int, seed: int) -> ad.AnnData:
    """Return cells x peaks."""
    return multiome(n_cells, seed)["atac"]


def foreign_atac(n_cells: int, seed: int) -> ad.AnnData:
    """Return cells x peaks of another study: other borders, one peak in ten missing, chromosomes without "chr"."""
    rng, found, peaks = np.random.default_rng(6), atac(n_cells, seed), _peaks()
    peaks["start"] += rng.integers(-150, 150, len(peaks))
    peaks["end"] += rng.integers(-150, 150, len(peaks))
    found.var_names = [name.removeprefix("chr") for name in _names(peaks)]
    return found[:, rng.random(len(peaks)) < 0.9].copy()


def write_fragments(cells: ad.AnnData, path: Path) -> None:
    """Write the fragments that the counts of cells x peaks come from, as Cell Ranger does."""
    rng, counts = np.random.default_rng(7), sp.coo_matrix(cells.X)
    times = counts.data.astype(int)
    peaks = _peaks().iloc[np.repeat(counts.col, times)].reset_index(drop=True)
    start = peaks["start"] + rng.integers(0, WIDTH - 50, len(peaks))
    lines = pd.DataFrame({"chrom": peaks["chrom"], "start": start, "end": start + rng.integers(30, 400, len(peaks))})
    lines["barcode"] = cells.obs_names.to_numpy()[np.repeat(counts.row, times)]
    with gzip.open(path, "wt", compresslevel=1) as file:
        lines.assign(pairs=1).sort_values(["chrom", "start"]).to_csv(file, sep="\t", header=False, index=False)


def print_share(query: ad.AnnData) -> None:
    """Print how many cells have the right label."""
    right = (query.obs["deepscore"].astype(str) == query.obs["cell_type"].astype(str)).mean()
    print(f"Right calls: {right:.1%} of {query.n_obs} cells")
