"""The table: rows of runs in, markdown and csv out."""

import os
import platform
from datetime import date
from pathlib import Path

import pandas as pd

PRODUCT = "deepscore"
REGRESSIONS = ["lr_refz", "lr_ownz"]
CEILINGS = {"ceiling_rna": "paired RNA: the ceiling", "ceiling_peaks": "peaks with true labels"}
TITLES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "ece": "ECE",
    "unclassified_known": "known called Unclassified",
    "auroc": "AUROC",
    "unknown_below": "unknown below the 95 % threshold",
    "unclassified_unknown": "unknown called Unclassified",
    "seconds": "seconds",
    "megabytes": "peak MB",
}
BASIC = ["accuracy", "macro_f1", "ece", "seconds", "megabytes"]
OPEN = ["auroc", "unknown_below", "unclassified_unknown", "unclassified_known"]


def write(rows: list[dict], folder: Path) -> None:
    """Write accuracy.md and accuracy.csv (every run by itself), and print the first."""
    runs = pd.DataFrame(rows).reindex(columns=["group", "task", "method", "seed", *TITLES, "note", "error"])
    runs["megabytes"] *= 2**20 / 1e6  # runs count 1,048,576 bytes as one
    folder.mkdir(parents=True, exist_ok=True)
    runs.to_csv(folder / "accuracy.csv", index=False, float_format="%.4f")
    rivals = runs[~runs["method"].isin(CEILINGS)]
    parts = ["# Accuracy", machine(), means(rivals), over_seeds(rivals), margins(rivals), ceilings(runs)]
    parts.append(open_set(rivals))
    parts += [every_task(runs), failures(runs)]
    text = "\n\n".join(part for part in parts if part) + "\n"
    (folder / "accuracy.md").write_text(text)
    print(f"\n{text}\nwritten: {folder / 'accuracy.md'}, {folder / 'accuracy.csv'}")


def machine() -> str:
    info = Path("/proc/cpuinfo").read_text()
    cpu = next((line.split(": ")[1] for line in info.splitlines() if line.startswith("model name")), "unknown CPU")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    return (
        f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GB, {platform.platform()}, Python {platform.python_version()}, "
        f"OMP_NUM_THREADS {threads}; {date.today()}. Seconds and memory of peers are from when they were measured."
    )


def by_task(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over seeds, one row for each task and method that gave a result."""
    return runs.groupby(["group", "task", "method"], sort=False)[list(TITLES)].mean().dropna(subset="accuracy")


def means(runs: pd.DataFrame) -> str:
    found, parts = by_task(runs).reset_index(), ["## Means"]
    closed = found[~found["group"].str.endswith("open-set")]
    if found.empty:
        return ""
    groups = [*found.groupby("group", sort=False), *([("all closed", closed)] if closed["group"].nunique() > 1 else [])]
    for group, part in groups:
        of = part["task"].nunique()
        table = part.groupby("method", sort=False)[BASIC].mean()
        table.insert(0, "tasks", part.groupby("method").size().map(lambda n, of=of: f"{n}/{of}"))
        parts.append(f"### {group}\n\n{markdown(table.reset_index())}")
    return "\n\n".join(parts)


def over_seeds(runs: pd.DataFrame) -> str:
    """Return how far the means of DeepScore over all closed tasks differ from seed to seed."""
    closed = runs[(runs["method"] == PRODUCT) & ~runs["group"].str.endswith("open-set")]
    of_seed = closed.dropna(subset="accuracy").groupby("seed")[["accuracy", "macro_f1", "ece"]].mean()
    if len(of_seed) < 2:
        return ""
    found = "; ".join(f"{TITLES[name]} {spread(values)}" for name, values in of_seed.items())
    return f"DeepScore, mean of all closed tasks by seed (least to most): {found}"


def margins(runs: pd.DataFrame) -> str:
    """Return, for each closed task, how far DeepScore is ahead."""
    found = by_task(runs[~runs["group"].str.endswith("open-set")])
    lines = []
    for task, part in found.droplevel("group").groupby("task", sort=False):
        part = part.droplevel("task")
        peers = part.drop(index=PRODUCT, errors="ignore")
        if len(peers) < len(part) and len(peers):
            line = {"task": task}
            for metric in ("macro_f1", "accuracy"):
                line[TITLES[metric]] = part.loc[PRODUCT, metric]
                line |= margin(part, peers.filter(items=REGRESSIONS, axis=0), metric, "regression")
                line |= margin(part, peers, metric, "best peer")
            lines.append(line)
    if not lines:
        return ""
    table = pd.DataFrame(lines)
    table.loc[len(table)] = {"task": "**mean**"} | table.mean(numeric_only=True).to_dict()
    note = "DeepScore less the better of the two logistic regressions, and less the best peer, chosen with hindsight."
    return f"## Margins\n\n{note}\n\n{markdown(table)}"


def margin(part: pd.DataFrame, peers: pd.DataFrame, metric: str, title: str) -> dict:
    if peers.empty:
        return {}
    best = peers[metric].idxmax()
    lead = part.loc[PRODUCT, metric] - peers.loc[best, metric]
    return {f"{TITLES[metric]} less {title}": lead, f"{title} ({TITLES[metric]})": best}


def ceilings(runs: pd.DataFrame) -> str:
    """Return DeepScore beside what it would reach if it saw what a task hides."""
    found = by_task(runs).reset_index()
    titles = {PRODUCT: "DeepScore"} | CEILINGS
    has_one = found.loc[found["method"].isin(CEILINGS), "task"].unique()
    found = found[found["task"].isin(has_one) & found["method"].isin(titles)]
    if found.empty:
        return ""
    table = pd.DataFrame({"task": has_one})
    for method, title in titles.items():
        part = found[found["method"] == method].set_index("task")
        for metric in ("accuracy", "macro_f1"):
            table[f"{title}, {TITLES[metric]}"] = part[metric].reindex(has_one).to_numpy()
    return f"## Ceilings\n\n{markdown(table)}"


def open_set(runs: pd.DataFrame) -> str:
    found = by_task(runs).dropna(subset="auroc").reset_index()
    if found.empty:
        return ""
    by_method = found.groupby("method", sort=False)
    mean = by_method[OPEN].mean().assign(task="**mean of " + by_method.size().astype(str) + "**").reset_index()
    return f"## Unknown types\n\n{markdown(pd.concat([found, mean])[['task', 'method', *OPEN]])}"


def every_task(runs: pd.DataFrame) -> str:
    """Return one row for each task and method; of several seeds the mean and, in brackets, the least and the most."""
    done = runs.dropna(subset="accuracy")
    if done.empty:
        return ""
    runs_of = done.groupby(["group", "task", "method"], sort=False)
    table = pd.DataFrame({name: runs_of[name].agg(spread) for name in BASIC})
    table["note"] = runs_of["note"].first().fillna("")
    return f"## Every task\n\n{markdown(table.reset_index())}"


def spread(values: pd.Series) -> str:
    mean, least, most = (number(value, values.name) for value in (values.mean(), values.min(), values.max()))
    return mean if len(values) == 1 else f"{mean} ({least} to {most})"


def failures(runs: pd.DataFrame) -> str:
    failed = runs.dropna(subset="error")
    if failed.empty:
        return ""
    lists = failed.groupby(["method", "error"], sort=False)["task"].unique()
    table = lists.map(lambda tasks: f"{len(tasks)}: " + ", ".join(tasks)).rename("tasks").reset_index()
    return f"## Without a result\n\n{markdown(table)}"


def number(value: float, name: str) -> str:
    digits = {"seconds": 1, "megabytes": 0}.get(name, 3)
    sign = "+" if "less" in name else ""
    return "" if pd.isna(value) else f"{value:{sign}.{digits}f}"


def markdown(table: pd.DataFrame) -> str:
    def cell(value: object, name: str) -> str:
        return number(value, name) if isinstance(value, float) else str(value).replace("|", "/")

    lines = [[TITLES.get(name, name) for name in table], ["---"] * table.shape[1]]
    lines += [[cell(v, name) for v, name in zip(row, table, strict=True)] for row in table.itertuples(index=False)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
