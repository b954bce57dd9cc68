"""Annotate a simulated atlas in full size, DeepScore and, in a smaller size, its peers beside it: ``make bench-atlas``.

DATA=folder with snare_rna.h5ad, snare_peaks.h5ad and mm10_genes.bed.gz  SIZE=1 (share of the cells)
PEERS=size of the run with the peers (share of the cells; 0: without them)  SCJOINT=folder of scJoint's repository

Every stage is a process of its own. Times are ratios, of processor time to that of reading the query's peaks once in
blocks, and of the time of peers on the clock to DeepScore's.
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from simulate import real_nuclei, simulate
from sklearn.metrics import f1_score

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("DATA") or ROOT.parent / "shared" / "data").resolve()
OUT = ROOT / "bench-output" / "atlas"
ANNOTATION = DATA / "mm10_genes.bed.gz"
# Genes that the model of RNA learns from; 1,639 are in both data sets.
N_FEATURES = 1500
PEERS = ("deepscore", "scanvi", "seurat", "seurat_rpca", "scjoint", "lr_ownz")


# ------------------------------------------------------------------------------------------------- what is timed, each
# in a process of its own: `python stages.py run STAGE FOLDER` prints one line of JSON


def read(folder: Path) -> None:
    x = ad.read_h5ad(folder / "query_peaks.h5ad", backed="r").X
    for start in range(0, x.shape[0], 1000):
        x[start : start + 1000]


def activity(folder: Path) -> None:
    import deepscore

    deepscore.gene_activity(folder / "query_peaks.h5ad", ANNOTATION).write_h5ad(folder / "query_activity.h5ad")


def train(folder: Path) -> None:
    import deepscore

    reference, query = folder / "reference_rna.h5ad", folder / "query_activity.h5ad"
    features = deepscore.find_common_features(reference, query, n_features=N_FEATURES, progress=False)
    model = deepscore.DeepScore(common_features=features).set_reference(reference, "label").train(progress=False)
    model.save(folder / "rna.deepscore")


def bridge(folder: Path) -> None:
    import deepscore

    multiome = (folder / "multiome_rna.h5ad", folder / "multiome_peaks.h5ad")
    deepscore.train_bridge(folder / "rna.deepscore", multiome, progress=False).save(folder / "peaks.deepscore")


def annotate(folder: Path, model: str, query: str, **more: Path) -> pd.DataFrame:
    import deepscore

    return deepscore.load(folder / model).annotate(folder / query, progress=False, **more).obs


def by_activity(folder: Path) -> pd.DataFrame:
    return annotate(folder, "rna.deepscore", "query_activity.h5ad")


def by_activity_and_peaks(folder: Path) -> pd.DataFrame:
    return annotate(folder, "rna.deepscore", "query_activity.h5ad", peaks=folder / "query_peaks.h5ad")


def by_bridge(folder: Path) -> pd.DataFrame:
    return annotate(folder, "peaks.deepscore", "query_peaks.h5ad")


def by_both(folder: Path) -> pd.DataFrame:
    more = {"peaks": folder / "query_peaks.h5ad", "peaks_model": folder / "peaks.deepscore"}
    return annotate(folder, "rna.deepscore", "query_activity.h5ad", **more)


STAGES: dict[str, tuple[Callable, str]] = {
    "read": (read, "read the query's peaks in blocks"),
    "activity": (activity, "peaks to gene activity, written"),
    "train": (train, "choose features, train on the RNA reference"),
    "by_activity": (by_activity, "annotate the activity"),
    "by_activity_and_peaks": (by_activity_and_peaks, "annotate the activity, raw peaks beside it"),
    "bridge": (bridge, "train the bridge with the multiome"),
    "by_bridge": (by_bridge, "annotate the peaks with the bridge"),
    "by_both": (by_both, "annotate the activity, the bridge for its raw peaks"),
}


def scores(calls: pd.DataFrame, truth: pd.Series) -> dict[str, float]:
    """Return accuracy and macro-F1, in which "Unclassified" is wrong, and the share of cells that are."""
    called, truth = calls["deepscore"].astype(str), truth.loc[calls.index]
    return {
        "accuracy": float((called == truth).mean()),
        "macro_f1": float(f1_score(truth, called, labels=sorted(set(truth)), average="macro", zero_division=0)),
        "unclassified": float((called == "Unclassified").mean()),
    }


def run(stage: str, folder: Path) -> dict:
    start, used = time.perf_counter(), time.process_time()
    calls = STAGES[stage][0](folder)
    found = {"seconds": time.process_time() - used, "gigabytes": most_resident()}
    found["on the clock"] = time.perf_counter() - start
    if calls is not None:
        found |= scores(calls, pd.read_csv(folder / "truth.csv", index_col=0)["label"])
    return found


def most_resident() -> float:
    """Return the most memory that this process has had; ru_maxrss would count its parent's as well."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024 / 1e9


# -------------------------------------------------------------------------------------------------------------- report


def measured(folder: Path) -> pd.DataFrame:
    """Run all stages and return a row for each."""
    rows = []
    for stage, (_, title) in STAGES.items():
        words = [sys.executable, __file__, "run", stage, str(folder)]
        variables = os.environ | {"GOMP_SPINCOUNT": "0"}
        found = subprocess.run(words, capture_output=True, text=True, check=False, env=variables)
        if found.returncode:
            sys.exit(f"{title}: status {found.returncode}. {found.stderr[-3000:]}")
        told = [line.split("Warning: ")[1] for line in found.stderr.splitlines() if "Warning: " in line]
        rows.append({"stage": title} | json.loads(found.stdout.strip().splitlines()[-1]) | {"warnings": " ".join(told)})
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def table(rows: pd.DataFrame, first: str, unit: str) -> str:
    """Return a table in markdown; times are in those of the first row."""
    titles = (first, f"time, {unit} = 1", "peak memory (GB)", "accuracy", "macro-F1", "Unclassified")
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for row in rows.to_dict("records"):
        scored = [row[name] for name in ("accuracy", "macro_f1", "unclassified")]
        figures = [f"{row['seconds'] / rows['seconds'][0]:.1f}", f"{row['gigabytes']:.2f}"]
        figures += ["" if pd.isna(value) else f"{value:.3f}" for value in scored]
        lines.append(f"| {row[first]} | " + " | ".join(figures) + " |")
    return "\n".join(lines)


def beside_peers(size: float) -> tuple[dict, pd.DataFrame]:
    """Run DeepScore and its peers on an atlas of this size, each in an environment of its own."""
    folder = OUT / "peers"
    facts = simulate(real_nuclei(DATA), folder, size)
    activity(folder)
    query = ad.read_h5ad(folder / "query_activity.h5ad")
    query.obs["label"] = pd.read_csv(folder / "truth.csv", index_col=0)["label"]
    query.write_h5ad(folder / "query_activity.h5ad")
    entry = {"name": "atlas", "modality": "activity", "kind": "closed", "label": "label"}
    entry |= {"reference": "reference_rna.h5ad", "query": "query_activity.h5ad", "query_peaks": "query_peaks.h5ad"}
    tasks = folder / "tasks.toml"
    tasks.write_text("[[task]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in entry.items()))
    given = {"METHODS": ",".join(PEERS)} | dict(os.environ)
    given |= {"TASKS": str(tasks), "OUT": str(folder), "SEEDS": "0", "ONLY": ""}
    subprocess.run([sys.executable, ROOT / "python" / "benchmarks" / "accuracy" / "run.py"], check=True, env=given)
    found = pd.read_csv(folder / "accuracy.csv")
    for column in {"error", "unclassified_known"} - set(found):
        found[column] = np.nan
    found["gigabytes"] = found["megabytes"] / 1000
    return facts, found.rename(columns={"unclassified_known": "unclassified"})


def main() -> None:
    size, peers = (float(os.environ.get(name) or usual) for name, usual in (("SIZE", 1), ("PEERS", 0.02)))
    cpu = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    said = [f"{cpu.split(': ')[1]}, {os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}"]
    if size:
        facts = simulate(real_nuclei(DATA), OUT / "stores", size)
        print(facts, flush=True)
        rows = measured(OUT / "stores")
        said += [str(facts), table(rows, "stage", "reading")]
        said += [f"{row['stage']}: {row['warnings']}" for row in rows.to_dict("records") if row["warnings"]]
    if peers:
        facts, rows = beside_peers(peers)
        said += [f"With the peers: {facts}", table(rows[rows["error"].isna()].reset_index(), "method", "DeepScore")]
        said += [f"{row['method']}: {row['error']}" for row in rows.to_dict("records") if isinstance(row["error"], str)]
    (OUT / "atlas.md").write_text("\n\n".join(said) + "\n")
    print("\n\n".join(said))


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        print(json.dumps(run(sys.argv[2], Path(sys.argv[3]))))
    else:
        main()
