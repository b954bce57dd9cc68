"""Tasks of chromatin made of the data of the accuracy tasks: `python chromatin_tasks.py [DATA] [OUT]`.

DATA is a folder with tasks.toml and what it names; without it, the folder of TASKS=path/to/tasks.toml.

fragments_to_activity: gene activity counted from a fragments file, with tiles of 5,000 bases as the raw peaks. *_moved:
a task of peaks whose query has another set of peaks: each is moved by up to 150 bases and three in ten are missing. The
counts stay as they are, so that only what the peaks are called differs; methods that go by names cannot take part.
snare_bridge_activity*: the bridge's query by its gene activity, without a bridge, with and without its raw peaks.
snare_bridge_and_activity: by its gene activity with the bridge's model for its raw peaks.
"""

import json
import sys
import tomllib
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from tasks import ROOT, tasks_file

import deepscore
from deepscore.chromatin.genes import read_annotation
from deepscore.chromatin.intervals import parse_peaks, peak_names

MOVED = ("snare_peaks_holdout", "snare_bridge", "granja_D6_to_D5")
NEEDED = (*MOVED, "snare_rna_to_activity_12")
FRAGMENTS = "fragments/fragments_hg19_chr5_chr11.tsv.gz"
FILES = (FRAGMENTS, "fragments/cells.csv", "fragments/rna.h5ad", "hg19_genes_archr.bed.gz")
FARTHEST, MISSING = 150, 0.3
# The test file holds two chromosomes of hg19; their lengths.
LENGTHS = {"chr5": 180_915_260, "chr11": 135_006_516}
TILE = 5000


def moved(data: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
    """Return the data set with other peaks."""
    peaks = parse_peaks(data.var_names.to_numpy(object))
    shift = rng.integers(1, FARTHEST + 1, len(peaks)) * rng.choice([-1, 1], len(peaks))
    start = np.maximum(peaks["start"] + shift, 0)
    peaks = peaks.assign(start=start, end=np.maximum(peaks["end"] + shift, start + 1))
    data = data.copy()
    data.var_names = peak_names(peaks)
    kept = (rng.random(len(peaks)) >= MISSING) & ~data.var_names.duplicated()
    return data[:, kept].copy()


def tiles() -> pd.DataFrame:
    parts = []
    for chrom, length in LENGTHS.items():
        start = np.arange(0, length, TILE)
        parts.append(pd.DataFrame({"chrom": chrom, "start": start, "end": np.minimum(start + TILE, length)}))
    return pd.concat(parts, ignore_index=True)


def from_fragments(data: Path, out: Path) -> dict:
    """Count genes and tiles of the fragments, write them beside the reference, and return the task."""
    folder = data / "fragments"
    fragments = data / FRAGMENTS
    cells = pd.read_csv(folder / "cells.csv", index_col="barcode")
    genes = read_annotation(data / "hg19_genes_archr.bed.gz")
    genes = genes[genes["chrom"].isin(LENGTHS)]
    activity = deepscore.gene_activity(fragments, genes, cells=list(cells.index))
    peaks = deepscore.count_fragments(fragments, tiles(), list(cells.index), progress=False)
    activity.obs = cells.loc[activity.obs_names]
    activity.write_h5ad(out / "fragments_activity.h5ad", compression="gzip")
    peaks.write_h5ad(out / "fragments_tiles.h5ad", compression="gzip")
    linked(folder / "rna.h5ad", out / "fragments_rna.h5ad")
    return {
        "name": "fragments_to_activity",
        "modality": "activity",
        "reference": "fragments_rna.h5ad",
        "query": "fragments_activity.h5ad",
        "query_peaks": "fragments_tiles.h5ad",
        "label": "cell_type",
        "kind": "closed",
    }


def with_moved_peaks(data: Path, out: Path, entry: dict) -> dict:
    """Write the query of a task with other peaks, and return the task."""
    name = entry["query"].replace(".h5ad", "_moved.h5ad")
    moved(ad.read_h5ad(data / entry["query"]), np.random.default_rng(0)).write_h5ad(out / name, compression="gzip")
    for file in {entry["reference"], *(v for v in entry.get("bridge", {}).values() if isinstance(v, str))}:
        linked(data / file, out / file)
    return entry | {"name": f"{entry['name']}_moved", "query": name}


def by_activity(data: Path, out: Path, bridge: dict, activity: dict) -> list[dict]:
    """Return the tasks of reaching the bridge's query by its gene activity."""
    same = {key: bridge[key] for key in ("reference", "label", "reference_where", "query_where", "query_batch", "kind")}
    same |= {"modality": "activity", "query": activity["query"]}
    for file in (bridge["reference"], activity["query"], activity["query_peaks"]):
        linked(data / file, out / file)
    peaks = {"query_peaks": activity["query_peaks"]}
    return [
        {"name": "snare_bridge_activity", **peaks, **same},
        {"name": "snare_bridge_activity_without_peaks", **same},
        {"name": "snare_bridge_and_activity", "bridge": bridge["bridge"], **peaks, **same},
    ]


def linked(file: Path, name: Path) -> None:
    name.unlink(missing_ok=True)
    name.symlink_to(file.resolve())


def write_tasks(entries: list[dict], folder: Path) -> Path:
    """Write tasks beside their data; return the file."""
    lines = ["\n".join(["[[task]]", *(f"{key} = {toml(value)}" for key, value in one.items())]) for one in entries]
    path = folder / "tasks.toml"
    path.write_text("\n\n".join(lines) + "\n")
    return path


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(value)


def main(data: str = "", out: str = str(ROOT / ".bench" / "chromatin")) -> None:
    tasks = tasks_file(str(Path(data, "tasks.toml")) if data else "")
    source, target = tasks.parent, Path(out)
    known = {entry["name"]: entry for entry in tomllib.loads(tasks.read_text())["task"]}
    if missing := [name for name in NEEDED if name not in known]:
        sys.exit(f"{tasks} has no task {', '.join(missing)}, which the tasks of chromatin are made of.")
    if missing := [name for name in FILES if not (source / name).is_file()]:
        sys.exit(f"Beside {tasks} there is no {', '.join(missing)}, which the tasks of chromatin are made of.")
    target.mkdir(parents=True, exist_ok=True)
    entries = [from_fragments(source, target), *(with_moved_peaks(source, target, known[name]) for name in MOVED)]
    entries += by_activity(source, target, known["snare_bridge"], known["snare_rna_to_activity_12"])
    print(write_tasks(entries, target))


if __name__ == "__main__":
    main(*sys.argv[1:])
