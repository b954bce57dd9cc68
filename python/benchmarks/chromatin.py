"""Measure peaks, gene activity and fragments, each beside its target: ``python chromatin.py``.

Every figure is measured in a process of its own on one core. The data are made by a seeded generator and kept in
bench-output/. ``python chromatin.py NAME...`` runs only the named parts.
"""

import gzip
import os
import sys
import time
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd

from measuring import OUT, main, measure, most_resident, report, resident

N_CELLS, N_PEAKS, PER_CELL, N_GENES = 100_000, 200_000, 2_000, 20_000
N_LINES, N_BARCODES = 5_000_000, 20_000
# A genome of 3 billion bases in 24 chromosomes.
CHROMOSOMES = [f"chr{name}" for name in (*range(1, 23), "X", "Y")]
LENGTH = 125_000_000


# ------------------------------------------------------------------------------------------------------------- data


def sites(n: int, seed: int) -> pd.DataFrame:
    """Return n places of the genome, sorted."""
    rng = np.random.default_rng(seed)
    places = np.sort(rng.integers(0, len(CHROMOSOMES) * LENGTH, n))
    return pd.DataFrame({"chromosome": places // LENGTH, "start": np.minimum(places % LENGTH, LENGTH - 1000)})


def common_sites() -> pd.DataFrame:
    return sites(int(0.7 * N_PEAKS), 0)


def peaks(seed: int) -> pd.DataFrame:
    """Return a set of peaks: seven in ten are common to all sets, with borders of their own, and the rest is not."""
    common, rng = common_sites(), np.random.default_rng(seed)
    common["start"] = np.maximum(common["start"] + rng.integers(-150, 151, len(common)), 0)
    found = pd.concat([common, sites(N_PEAKS - len(common), 1000 + seed)]).sort_values(["chromosome", "start"])
    chrom = np.array(CHROMOSOMES, dtype=object)[found["chromosome"]]
    start = found["start"].to_numpy() + np.arange(N_PEAKS) % 2  # names must differ
    return pd.DataFrame({"chrom": chrom, "start": start, "end": start + rng.integers(300, 900, N_PEAKS)})


def names(table: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(table["chrom"] + ":" + table["start"].astype(str) + "-" + table["end"].astype(str)))


def genes() -> pd.DataFrame:
    rng, table = np.random.default_rng(2), sites(N_GENES, 2)
    return pd.DataFrame(
        {
            "chrom": np.array(CHROMOSOMES, dtype=object)[table["chromosome"]],
            "start": table["start"],
            "end": table["start"] + rng.exponential(50_000, N_GENES).astype(np.int64) + 1000,
            "gene": [f"G{i}" for i in range(N_GENES)],
            "strand": rng.choice(["+", "-"], N_GENES),
        }
    )


def write_matrix(path: Path) -> None:
    """Write an h5ad of cells x peaks, block by block."""
    columns, rng = names(peaks(1)), np.random.default_rng(1)
    n_values, stride = N_CELLS * PER_CELL, len(columns) // PER_CELL
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        ad.io.write_elem(file, "obs", pd.DataFrame(index=[f"c{i}" for i in range(N_CELLS)]))
        ad.io.write_elem(file, "var", pd.DataFrame(index=columns))
        x = file.create_group("X")
        x.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": [N_CELLS, len(columns)]})
        data, indices = (
            x.create_dataset(name, (n_values,), kind) for name, kind in (("data", "f4"), ("indices", "i4"))
        )
        x["indptr"] = (np.arange(N_CELLS + 1) * PER_CELL).astype("i4")  # as anndata writes it
        for start in range(0, N_CELLS, 5000):
            rows = slice(start * PER_CELL, (start + 5000) * PER_CELL)
            indices[rows] = (np.arange(PER_CELL) * stride + rng.integers(0, stride, (5000, PER_CELL))).ravel()
            data[rows] = rng.geometric(0.7, 5000 * PER_CELL)


def write_fragments(path: Path) -> None:
    """Write a fragments file: four lines in ten lie in peaks, the others anywhere."""
    rng, anywhere = np.random.default_rng(3), sites(int(0.6 * N_LINES), 3)
    in_peaks = common_sites().sample(N_LINES - len(anywhere), replace=True, random_state=3)
    in_peaks["start"] += rng.integers(0, 300, len(in_peaks))
    places = pd.concat([anywhere, in_peaks]).sort_values(["chromosome", "start"])
    barcodes = np.array([f"BC{i:014d}-1" for i in range(N_BARCODES)], dtype=object)
    table = pd.DataFrame(
        {
            "chrom": np.array(CHROMOSOMES, dtype=object)[places["chromosome"]],
            "start": places["start"].to_numpy(),
            "end": places["start"].to_numpy() + rng.integers(50, 600, N_LINES),
            "barcode": barcodes[rng.integers(0, N_BARCODES, N_LINES)],
            "pairs": rng.geometric(0.5, N_LINES),
        }
    )
    with gzip.open(path, "wt", compresslevel=1) as file:
        table.to_csv(file, sep="\t", header=False, index=False)


# --------------------------------------------------------------------------------------------- what is timed, each in
# a process of its own: `python chromatin.py run NAME` prints one line of JSON


def call(what: str, data: object) -> ad.AnnData:
    import deepscore

    if what == "match":
        return deepscore.match_peaks(data, names(peaks(2)))
    return deepscore.gene_activity(data, genes())


def run_convert(what: str, where: str) -> dict:
    """Match peaks or compute gene activity of the matrix in memory, or of its file."""
    small = ad.read_h5ad(OUT / "peaks.h5ad", backed="r")[:10].to_memory()
    call(what, small)  # imports are not on the clock, nor in the memory
    before = resident()
    data = ad.read_h5ad(OUT / "peaks.h5ad") if where == "memory" else OUT / "peaks.h5ad"
    start = time.perf_counter()
    found = call(what, data)
    seconds = time.perf_counter() - start
    size = (found.X.data.nbytes + found.X.indices.nbytes + found.X.indptr.nbytes) / 1e6
    return {"seconds": seconds, "megabytes": most_resident() - before, "result": size}


def run_common(how: str) -> dict:
    import deepscore

    sets = [names(peaks(seed)) for seed in (1, 2, 3)]
    deepscore.find_common_peaks([one[:100] for one in sets], "union")  # the import of bioframe
    start = time.perf_counter()
    found = deepscore.find_common_peaks(sets, how)
    return {"seconds": time.perf_counter() - start, "peaks": len(found)}


def run_fragments(what: str) -> dict:
    import deepscore

    cells = [f"BC{i:014d}-1" for i in range(0, N_BARCODES, 4)]
    deepscore.find_common_peaks([["chr1:1-2"]], "union")
    before, path = resident(), OUT / "fragments.tsv.gz"
    start = time.perf_counter()
    if what == "peaks":
        found = deepscore.count_fragments(path, peaks(1), cells, progress=False)
    else:
        found = deepscore.gene_activity(path, genes(), cells=cells)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "megabytes": most_resident() - before, "values": found.X.nnz}


# ------------------------------------------------------------------------------------------------------------ report


def one_core(*words: str) -> dict:
    return measure("taskset", "-c", str(min(os.sched_getaffinity(0))), sys.executable, __file__, "run", *words)


def part_convert() -> None:
    path = OUT / "peaks.h5ad"
    write_matrix(path)
    matrix = 8 * N_CELLS * PER_CELL / 1e6
    print(f"{N_CELLS:,} cells x {N_PEAKS:,} peaks, {N_CELLS * PER_CELL / 1e6:.0f} million values, {matrix:.0f} MB")
    titles = {"match": "matched to another 200,000 peaks", "activity": "turned to the activity of 20,000 genes"}
    for what, title in titles.items():
        for where, words in (("memory", "in memory"), ("file", "from its file")):
            found = one_core("convert", what, where)
            detail = f"{found['megabytes']:.0f} MB, of which the result is {found['result']:.0f}"
            detail += f"; {found['seconds']:.1f} s"
            report(f"{title}, {words}: peak memory / matrix", found["megabytes"] / matrix, 2, "x", detail)
    path.unlink()


def part_common() -> None:
    for how in ("intersection", "union"):
        found = one_core("common", how)
        report(f"{how} of three sets of 200,000 peaks", found["seconds"], 5, " s", f"{found['peaks']:,} peaks")


def part_fragments() -> None:
    path = OUT / "fragments.tsv.gz"
    write_fragments(path)
    for what, title in (("peaks", "200,000 peaks"), ("activity", "20,000 genes")):
        found = one_core("fragments", what)
        detail = f"{found['seconds']:.1f} s; {found['values']:,} values; {found['megabytes']:.0f} MB"
        speed = N_LINES / found["seconds"] * 60 / 1e6
        report(f"fragments counted in {title}", speed, 2, " million lines a minute", detail, at_least=True)
    path.unlink()


PARTS = {"common": part_common, "fragments": part_fragments, "convert": part_convert}

if __name__ == "__main__":
    main(PARTS, globals(), "one core")
