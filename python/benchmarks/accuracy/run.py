"""Run DeepScore and its peers on the accuracy tasks and write one table: ``make bench-accuracy``.

TASKS=path/to/tasks.toml  ONLY=regex  METHODS=comma,list  SEEDS=0,1,2  PEERS=fresh  TIMEOUT=seconds  JOBS=1  OUT=folder
"""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from catalog import Method, NotInstalled, discover, python_for
from report import PEERS_FILE, write
from score import score
from tasks import HERE, ROOT, Task, read_tasks, tasks_file

BENCH = ROOT / ".bench"  # the environments and the results of the peers
OUT = Path(os.environ.get("OUT") or ROOT / "bench-output" / "accuracy")


def digest(task: Task, method: Method) -> str:
    """Return a hash of everything that a cached result depends on."""
    parts = [json.dumps(task.entry, sort_keys=True), json.dumps([method.options, method.requirements])]
    parts += [hashlib.sha256(file.read_bytes()).hexdigest() for file in [*task.files, *method.sources]]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def environment(method: Method) -> Path | str:
    """Return the interpreter of a method, or why it has none."""
    try:
        return python_for(method, BENCH / "environments")
    except NotInstalled as why:
        return f"not installed: {why}"


def result(tasks: Path, task: Task, method: Method, python: Path | str, seed: str) -> dict:
    """Return what a run has found, or why there is none; what a peer has found, or failed at, is kept."""
    name = f"{method.name}-{digest(task, method) if method.is_peer else f'seed{seed}'}.json"
    kept = BENCH / "results" / task.name / name
    if not (method.is_peer and kept.exists() and os.environ.get("PEERS") != "fresh"):
        if isinstance(python, str):
            return {"error": python}
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.unlink(missing_ok=True)
        error = run([python, HERE / "one.py", tasks, task.name, method.name, kept, *([seed] if seed else [])])
        if error:
            kept.write_text(json.dumps({"error": error}))
    return json.loads(kept.read_text())


def run(command: list) -> str:
    """Run one measurement in a process of its own; return why it failed, or nothing."""
    limit = float(os.environ.get("TIMEOUT") or 1800)
    variables = os.environ | {"GOMP_SPINCOUNT": "0", "PYTHONWARNINGS": "ignore"}
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, "errors": "replace"}
    with subprocess.Popen(command, env=variables, start_new_session=True, **pipes) as process:
        try:
            _, messages = process.communicate(timeout=limit)
        except BaseException as stop:
            os.killpg(process.pid, signal.SIGKILL)  # R, where the method has started it, goes as well
            if isinstance(stop, subprocess.TimeoutExpired):
                return f"no result within {limit:.0f} s"
            raise
    if process.returncode < 0:
        return f"failed: the process died of {signal.Signals(-process.returncode).name}"
    return f"failed: {reason(messages)}" if process.returncode else ""


def reason(messages: str) -> str:
    """Return what R complained of, or else the last line of Python's traceback."""
    lines = [line.strip() for line in messages.strip().splitlines() if line.strip()] or ["no message"]
    from_r = [i for i, line in enumerate(lines) if line.startswith("Error")]
    text = " ".join(lines[from_r[0] : from_r[0] + 2]) if from_r and "CalledProcessError" in lines[-1] else lines[-1]
    return text[:200]


def row(path: Path, task: Task, method: Method, python: Path | str, seed: str) -> dict:
    """Return one run with its score."""
    found = result(path, task, method, python, seed)
    line = {"group": task.group, "family": task.family, "task": task.name, "method": method.name, "seed": seed}
    line |= {name: found[name] for name in ("error", "seconds", "megabytes", "note") if name in found}
    line |= {} if "error" in found else score(found, task.open_set)
    measured = found.get("error") or f"macro-F1 {line['macro_f1']:.3f}, {line['seconds']:.1f} s"
    print(f"{task.name} {method.name} {seed}: {measured}", flush=True)
    return line


def measure(path: Path, tasks: list[Task], methods: list[Method]) -> list[dict]:
    """Return every run of these methods on these tasks of a file, JOBS at a time."""
    seeds = (os.environ.get("SEEDS") or "0,1,2").split(",")
    pythons = {method.name: environment(method) for method in methods}
    runs = [
        (path, task, method, pythons[method.name], seed)
        for task in tasks
        for method in methods
        if task.modality in (method.modalities or [task.modality])
        for seed in ([""] if method.is_peer else seeds)
    ]
    jobs = int(os.environ.get("JOBS") or 1)
    if jobs == 1:
        return [row(*run) for run in runs]
    with ThreadPoolExecutor(jobs) as pool:
        try:
            return list(pool.map(lambda run: row(*run), runs))
        finally:
            pool.shutdown(cancel_futures=True)


def chosen_tasks(path: Path) -> list[Task]:
    """Return the tasks whose name ONLY finds; end the program where there is none."""
    tasks = [task for task in read_tasks(path) if re.search(os.environ.get("ONLY") or "", task.name)]
    return tasks or sys.exit(f"No task of {path} has a name that matches {os.environ.get('ONLY')}.")


def chosen_methods(usual: Sequence[str] = ()) -> list[Method]:
    """Return those that METHODS names, else the usual ones, else all; end the program where there is no such method."""
    methods = discover()
    names = os.environ["METHODS"].split(",") if os.environ.get("METHODS") else usual or methods
    if unknown := set(names) - set(methods):
        sys.exit(f"There is no method {', '.join(sorted(unknown))}; there are {', '.join(methods)}.")
    return [methods[name] for name in names]


def kept_peers(path: Path, tasks: list[Task], methods: list[Method]) -> list[dict]:
    """Return what peers.csv beside the tasks says of the peers, where none of them is to be run."""
    file = path.parent / PEERS_FILE
    if any(method.is_peer for method in methods) or not file.is_file():
        return []
    table = pd.read_csv(file).rename(columns={"auroc_unknown": "auroc"})
    table = table[table["task"].isin([task.name for task in tasks])]
    return table[["task", "method", "accuracy", "macro_f1", "auroc"]].to_dict("records")


def main() -> None:
    path = tasks_file()
    tasks, methods = chosen_tasks(path), chosen_methods()
    write(measure(path, tasks, methods), OUT, kept_peers(path, tasks, methods))


if __name__ == "__main__":
    main()
