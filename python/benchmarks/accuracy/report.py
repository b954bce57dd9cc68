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
    "ece_floor": "ECE floor",
    "withheld_right": "right labels withheld",
    "unclassified_known": "known called Unclassified",
    "auroc": "AUROC",
    "unknown_below": "unknown below the 95 % threshold",
    "unclassified_unknown": "unknown called Unclassified",
    "equal_permuted": "equal calls, permuted",
    "seconds": "seconds",
    "megabytes": "peak MB",
}
BASIC = ["accuracy", "macro_f1", "ece", "ece_floor", "withheld_right", "seconds", "megabytes"]
OPEN = ["auroc", "unknown_below", "unclassified_unknown", "unclassified_known", "withheld_right"]
PEERS_FILE = "peers.csv"
# What the trust in DeepScore's calls rests on: the metric, on which tasks, and whether the worst is the highest.
TRUST = [
    ("withheld_right", "all", True),
    ("unclassified_unknown", "open-set", False),
    ("auroc", "open-set", False),
    ("equal_permuted", "all", False),
    ("ece", "closed", True),
    ("ece_floor", "closed", True),
]


def write(rows: list[dict], folder: Path, peers: list[dict]) -> None:
    """Write accuracy.md and accuracy.csv (every run by itself), and print the first.

    `peers`, where the runs are without, are what DeepScore's margins are taken over.
    """
    runs = table_of(rows)
    rivals = runs[~runs["method"].isin(CEILINGS)]
    with_peers = beside(rivals, peers)
    leads = [margins(with_peers, ["macro_f1", "accuracy"], "closed"), margins(with_peers, ["auroc"], "open-set")]
    place = f"{machine()} Seconds and memory of peers are from when they were measured."
    parts = ["# Accuracy", place, means(rivals), over_seeds(rivals), trust(rivals, leads), by_family(rivals)]
    parts += [margins_text(leads, from_file=bool(peers)), ceilings(runs), open_set(rivals)]
    parts += [every_task(runs), failures(runs)]
    save(parts, runs, folder, "accuracy")


def table_of(rows: list[dict]) -> pd.DataFrame:
    """Return the runs with every column, and megabytes of a million bytes."""
    runs = pd.DataFrame(rows).reindex(columns=["group", "family", "task", "method", "seed", *TITLES, "note", "error"])
    runs["megabytes"] *= 2**20 / 1e6  # runs count 1,048,576 bytes as one
    return runs


def save(parts: list[str], table: pd.DataFrame, folder: Path, name: str) -> None:
    """Write the parts as markdown and the table as csv, and print the first."""
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")
    text = "\n\n".join(part for part in parts if part) + "\n"
    (folder / f"{name}.md").write_text(text)
    print(f"\n{text}\nwritten: {folder / f'{name}.md'}, {folder / f'{name}.csv'}")


def machine() -> str:
    info = Path("/proc/cpuinfo").read_text()
    cpu = next((line.split(": ")[1] for line in info.splitlines() if line.startswith("model name")), "unknown CPU")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    return (
        f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GB, {platform.platform()}, Python {platform.python_version()}, "
        f"OMP_NUM_THREADS {threads}; {date.today()}."
    )


def by_task(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over seeds, one row for each task and method that gave a result."""
    runs_of = runs.groupby(["group", "family", "task", "method"], sort=False)
    return runs_of[list(TITLES)].mean().dropna(subset="accuracy")


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


def trust(runs: pd.DataFrame, leads: list[pd.DataFrame]) -> str:
    """Return what the trust in DeepScore's calls rests on: the mean over tasks and the worst of them."""
    found = by_task(runs[runs["method"] == PRODUCT]).reset_index().set_index("task")
    lines = [worst_of(found.loc[of_kind(found, kind), metric], kind, high) for metric, kind, high in TRUST]
    for lead, kind in zip(leads, ("closed", "open-set"), strict=True):
        lines += [worst_of(values, kind, high=False) for name, values in lead.items() if name.endswith("best peer")]
    table = pd.DataFrame([line for line in lines if line])
    return "" if table.empty else f"## Trust\n\nDeepScore, at the default threshold.\n\n{markdown(table)}"


def of_kind(runs: pd.DataFrame, kind: str) -> pd.Series:
    """Return which runs are of tasks of a kind: closed, open-set or all."""
    return (runs["group"].str.endswith("open-set") == (kind == "open-set")) | (kind == "all")


def worst_of(values: pd.Series, kind: str, high: bool) -> dict:
    """Return the mean of a figure over tasks, and the worst of them: the highest or the lowest."""
    values = values.dropna()
    if values.empty:
        return {}
    worst = values.idxmax() if high else values.idxmin()
    line = {"figure": TITLES.get(values.name, values.name), "tasks": f"{len(values)} {kind}"}
    return line | {"mean": values.mean(), "worst": values[worst], "worst task": worst}


def by_family(runs: pd.DataFrame) -> str:
    """Return the means over the closed tasks of each family of data, of DeepScore alone."""
    found = by_task(runs[(runs["method"] == PRODUCT) & of_kind(runs, "closed")]).reset_index()
    if found["family"].nunique() < 2:
        return ""
    families = found.groupby("family", sort=False)
    table = families[[name for name in BASIC if name not in ("seconds", "megabytes")]].mean()
    table.insert(0, "tasks", families.size())
    return f"## Closed tasks by family of data\n\n{markdown(table.reset_index())}"


def beside(runs: pd.DataFrame, peers: list[dict]) -> pd.DataFrame:
    """Return the runs and beside them what is known of peers that were not run."""
    places = runs[["group", "family", "task"]].drop_duplicates()
    return pd.concat([runs, pd.DataFrame(peers).merge(places, on="task")], ignore_index=True) if peers else runs


def margins(runs: pd.DataFrame, metrics: list[str], kind: str) -> pd.DataFrame:
    """Return, for each task of a kind, how far DeepScore is ahead."""
    found = by_task(runs[of_kind(runs, kind)]).dropna(subset=metrics).droplevel(["group", "family"])
    lines = []
    for task, part in found.groupby("task", sort=False):
        part = part.droplevel("task")
        peers = part.drop(index=PRODUCT, errors="ignore")
        if len(peers) < len(part) and len(peers):
            line = {"task": task}
            for metric in metrics:
                line[TITLES[metric]] = part.loc[PRODUCT, metric]
                line |= margin(part, peers.filter(items=REGRESSIONS, axis=0), metric, "regression")
                line |= margin(part, peers, metric, "best peer")
            lines.append(line)
    return pd.DataFrame(lines).set_index("task") if lines else pd.DataFrame()


def margins_text(leads: list[pd.DataFrame], from_file: bool) -> str:
    leads = [lead for lead in leads if not lead.empty]
    if not leads:
        return ""
    note = "DeepScore less the better of the two logistic regressions, and less the best peer, chosen with hindsight."
    if from_file:
        note += f" No peer was run: theirs are the figures of {PEERS_FILE}, which lies beside the tasks."
    parts = ["## Margins", note]
    for lead in leads:
        summary = pd.DataFrame({"**mean**": lead.mean(numeric_only=True), "**worst**": lead.min(numeric_only=True)}).T
        parts.append(markdown(pd.concat([lead, summary]).rename_axis("task").reset_index()))
    return "\n\n".join(parts)


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
