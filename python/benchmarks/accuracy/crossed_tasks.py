"""More tasks of the same data, every study on every other: `TASKS=tasks.toml python crossed_tasks.py [OUT]`.

Within a file of genes, each sample (value of `obs["batch"]`) is the reference of every other. Between files with labels
in common, the whole of one is the reference of the whole other, and of each of its samples.
"""

import sys
from itertools import permutations
from pathlib import Path

import anndata as ad
from chromatin_tasks import linked, write_tasks
from tasks import ROOT, read_tasks, tasks_file

LEAST_LABELS, LEAST_GENES = 3, 150  # in common
MOST_SAMPLES = 6  # one file of many libraries would outweigh all others


def entry(reference: Path, query: Path, source: str = "", target: str = "", **more: object) -> dict:
    """Return a task; `source` and `target` are samples, "" is the whole file."""
    parts = ((reference, source), (query, target))
    found = {"name": "_to_".join(f"{file.stem}_{sample}".rstrip("_") for file, sample in parts), "modality": "rna"}
    found |= {"reference": reference.name, "query": query.name, "label": "label", "kind": "closed"}
    if source:
        found["reference_where"] = {"batch": [source]}
    if target:
        found["query_where"] = {"batch": [target]}
    return found | more


def crossed(files: list[Path]) -> list[dict]:
    """Return the tasks that these files make."""
    data = {file: ad.read_h5ad(file, backed="r") for file in files}
    samples, labels = {}, {}
    for file in files:
        cells = data[file].obs.dropna(subset=["label"])
        labels[file] = set(cells["label"])
        names = sorted(map(str, set(cells["batch"]))) if "batch" in cells else []
        samples[file] = names if 1 < len(names) <= MOST_SAMPLES else []
    entries = [entry(file, file, *pair) for file in files for pair in permutations(samples[file], 2)]
    for reference, query in permutations(files, 2):
        genes = data[reference].var_names.intersection(data[query].var_names)
        if len(labels[reference] & labels[query]) >= LEAST_LABELS and len(genes) >= LEAST_GENES:
            whole = {"query_batch": "batch"} if "batch" in data[query].obs else {}
            entries.append(entry(reference, query, **whole))
            entries += [entry(reference, query, target=name) for name in samples[query]]
    return entries


def main(out: str = str(ROOT / ".bench" / "crossed")) -> None:
    files = {file for task in read_tasks(tasks_file()) if task.modality in ("rna", "spatial") for file in task.files}
    target = Path(out)
    target.mkdir(parents=True, exist_ok=True)
    for file in files:
        linked(file, target / file.name)
    print(write_tasks(crossed(sorted(files)), target))


if __name__ == "__main__":
    main(*sys.argv[1:])
