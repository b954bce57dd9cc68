"""Tasks: what tasks.toml says, and the cells it names. Read in every environment, so it needs anndata only."""

import os
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad

UNCLASSIFIED = "Unclassified"
HERE = Path(__file__).parent
ROOT = HERE.parents[2]
FAMILIES = {  # of queries' files; what is chosen on one family is judged on the others
    "blood": ("pbmc3k", "kang", "symphony", "zheng_sorted"),
    "islets": ("panc8", "baron_cider"),
    "cortex": ("snare_rna", "snare_activity", "starmap", "tasic"),
    "hypothalamus": ("merfish", "hypo_ref"),
}


@dataclass(frozen=True)
class Task:
    """One entry of tasks.toml; its files lie in `folder`."""

    folder: Path
    entry: dict[str, Any]

    @property
    def name(self) -> str:
        return self.entry["name"]

    @property
    def modality(self) -> str:
        return self.entry["modality"]

    @property
    def open_set(self) -> bool:
        return self.entry["kind"] == "open-set"

    @property
    def group(self) -> str:
        """The tasks that are averaged together."""
        return f"{self.modality}, open-set" if self.open_set else self.modality

    @property
    def family(self) -> str:
        """The tissue of the query, or peaks or protein; a file that FAMILIES does not know is a family by itself."""
        if self.modality in ("peaks", "protein"):
            return self.modality
        file = Path(self.entry["query"]).stem
        return next((family for family, files in FAMILIES.items() if file in files), file)

    @property
    def files(self) -> list[Path]:
        bridge = self.entry.get("bridge", {})
        names = [*self.entry.values(), bridge.get("rna"), bridge.get("atac")]
        return [self.folder / name for name in names if isinstance(name, str) and (self.folder / name).is_file()]

    def reference(self) -> ad.AnnData:
        """Return the labelled cells to learn from, all columns kept, the labels in ``obs["label"]``."""
        data = self._labelled("reference", "reference_where")
        data.obs["label"] = data.obs[self.entry["label"]].astype(str)
        return data

    def query(self) -> tuple[ad.AnnData, list[str]]:
        """Return the cells to annotate, without any label, and apart from them their true labels."""
        data = self._labelled("query", "query_where")
        return self._hidden(data), data.obs[self.entry["label"]].astype(str).tolist()

    def bridge(self) -> tuple[ad.AnnData, ad.AnnData] | None:
        """Return the RNA and the ATAC of the paired cells, without any label."""
        if "bridge" not in self.entry:
            return None
        pair = self.entry["bridge"]
        rna, atac = (self._hidden(_where(self._read(pair[name]), pair.get("where", {}))) for name in ("rna", "atac"))
        return rna, atac

    def query_peaks(self, query: ad.AnnData) -> ad.AnnData:
        """Return the peaks of the cells of a query of gene activity."""
        return self._hidden(self._read(self.entry["query_peaks"])[query.obs_names].copy())

    def _read(self, name: str) -> ad.AnnData:
        return ad.read_h5ad(self.folder / name)

    def _labelled(self, name: str, where: str) -> ad.AnnData:
        data = self._read(self.entry[name])
        data = data[data.obs[self.entry["label"]].notna().to_numpy()]
        return _where(data, self.entry.get(where, {}))

    def _hidden(self, data: ad.AnnData) -> ad.AnnData:
        """Keep of ``obs`` only the sample, in ``obs["batch"]`` where the task names it."""
        column, data = self.entry.get("query_batch"), data.copy()
        data.obs = data.obs[[column]].set_axis(["batch"], axis=1) if column in data.obs else data.obs[[]]
        return data


def tasks_file(path: str = "") -> Path:
    """Return the file of tasks: `path`, or TASKS=path, or the usual place; end the program where there is none."""
    found = Path(path or os.environ.get("TASKS") or ROOT.parent / "shared" / "data" / "tasks.toml").resolve()
    if not found.is_file():
        sys.exit(f"There are no tasks at {found}: give TASKS=tasks.toml, as {HERE}/README.md describes it.")
    return found


def read_tasks(path: Path) -> list[Task]:
    return [Task(path.parent, entry) for entry in tomllib.loads(path.read_text())["task"]]


def _where(data: ad.AnnData, allowed: dict[str, list[Any]]) -> ad.AnnData:
    for column, values in allowed.items():
        data = data[data.obs[column].isin(values).to_numpy()]
    return data.copy()
