"""What the benchmarks of speed share: processes of their own, and figures that are printed beside their targets."""

import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anndata as ad

OUT = Path("bench-output")
KIB = 1024 / 1e6  # Linux counts memory in units of 1,024 bytes; MB are a million


# ------------------------------------------------------------------------------------------- in the measured process


def resident() -> float:
    """Return the resident memory of this process, in MB."""
    return _memory("VmRSS:")


def most_resident() -> float:
    """Return the greatest resident memory that this process has had, in MB."""
    return _memory("VmHWM:")


def _memory(name: str) -> float:
    return int(Path("/proc/self/status").read_text().split(name)[1].split()[0]) * KIB


class Peak:
    """The greatest resident memory over what it was at the start, sampled every 5 ms."""

    def __enter__(self) -> "Peak":
        self.start = self.most = resident()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self) -> None:
        while not self.stop.wait(0.005):
            self.most = max(self.most, resident())

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()


def against_reading(annotate: Callable[[Path], object], path: Path) -> dict[str, float]:
    """Read X in blocks and annotate, by turns, three times each; return the least seconds and the peak memory."""
    seconds: dict[str, list[float]] = {"read": [], "annotate": []}
    with Peak() as peak:
        for _ in range(3):
            start = time.perf_counter()
            data = ad.read_h5ad(path, backed="r")
            for first in range(0, data.n_obs, 4000):
                data.X[first : first + 4000]
            seconds["read"].append(time.perf_counter() - start)
            start = time.perf_counter()
            annotate(path)
            seconds["annotate"].append(time.perf_counter() - start)
    return {name: min(times) for name, times in seconds.items()} | {"megabytes": peak.most}


# --------------------------------------------------------------------------------------------- in the one that reports


def measure(*words: str, env: Mapping[str, str] | None = None) -> Any:
    """Run one measurement in a process of its own; the last line it prints is JSON."""
    variables = {**os.environ, "GOMP_SPINCOUNT": "0"} if env is None else env
    found = subprocess.run(words, capture_output=True, text=True, check=False, env=variables)
    if found.returncode:
        sys.exit(found.stderr[-3000:])
    return json.loads(found.stdout.strip().splitlines()[-1])


def report(what: str, value: float, target: float, unit: str = "", detail: str = "", at_least: bool = False) -> None:
    met = value >= target if at_least else value <= target
    sign = ">=" if at_least else "<="
    print(
        f"{'ok  ' if met else 'MISS'} {what}: {value:.2f}{unit} (target {sign} {target:g}{unit}) {detail}", flush=True
    )


def main(
    parts: Mapping[str, Callable[[], None]], runs: Mapping[str, Callable[..., Any]], cores: str | None = None
) -> None:
    """Do what the command line says: ``run NAME ARGUMENT...`` prints JSON, ``NAME...`` and nothing report parts."""
    if sys.argv[1:2] == ["run"]:
        print(json.dumps(runs[f"run_{sys.argv[2]}"](*sys.argv[3:])))
        return
    OUT.mkdir(exist_ok=True)
    cpu = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    cores = cores or f"{os.cpu_count()} cores"
    print(f"{cpu.split(': ')[1]}, {cores}, {platform.platform()}, Python {platform.python_version()}", flush=True)
    for part in sys.argv[1:] or parts:
        parts[part]()
