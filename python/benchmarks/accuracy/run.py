"""Run DeepScore and its peers on the accuracy tasks and write one table: ``make bench-accuracy``.

TASKS=path/to/tasks.toml  ONLY=regex  METHODS=comma,list  SEEDS=0,1,2  PEERS=fresh  TIMEOUT=seconds  OUT=folder
"""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from catalog import Method, NotInstalled, discover, python_for
from report import CEILINGS, write
from score import score
from tasks import HERE, ROOT, Task, read_tasks, tasks_file

BENCH = ROOT / ".bench"  # the environments and the results of the peers
OUT = Path(os.environ.get("OUT") or ROOT / "bench-output" / "accuracy")
CHROMATIN = ("activity", "peaks")  # the tasks that have a ceiling


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


def main() -> None:
    path = tasks_file()
    seeds = (os.environ.get("SEEDS") or "0,1,2").split(",")
    methods = discover()
    names = os.environ["METHODS"].split(",") if os.environ.get("METHODS") else list(methods)
    if unknown := set(names) - set(methods):
        sys.exit(f"There is no method {', '.join(sorted(unknown))}; there are {', '.join(methods)}.")
    chosen = [methods[name] for name in names]
    tasks = [task for task in read_tasks(path) if re.search(os.environ.get("ONLY") or "", task.name)]
    if not tasks:
        sys.exit(f"No task of {path} has a name that matches {os.environ.get('ONLY')}.")
    pythons = {method.name: environment(method) for method in chosen}
    rows = []
    for task in tasks:
        for method in chosen:
            if method.name in CEILINGS and task.modality not in CHROMATIN:
                continue
            for seed in [""] if method.is_peer else seeds:
                found = result(path, task, method, pythons[method.name], seed)
                row = {"group": task.group, "task": task.name, "method": method.name, "seed": seed}
                row |= {name: found[name] for name in ("error", "seconds", "megabytes", "note") if name in found}
                row |= {} if "error" in found else score(found, task.open_set)
                rows.append(row)
                measured = found.get("error") or f"macro-F1 {row['macro_f1']:.3f}, {row['seconds']:.1f} s"
                print(f"{task.name} {method.name} {seed}: {measured}", flush=True)
    write(rows, OUT)


if __name__ == "__main__":
    main()
