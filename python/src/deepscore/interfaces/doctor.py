"""What is installed and what the machine has: what works, what is missing, and the command that mends it."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import Any

from ..errors import DeepScoreError
from ..version import __version__

__all__ = ["examine", "words_of"]

OLDEST = (3, 11)
# Packages that are imported by another name than they are installed by.
MODULES = {"scikit-misc": "skmisc", "pillow": "PIL"}
# What each extra is for; the others are for those who work on DeepScore.
EXTRAS = {
    "chromatin": "peaks and fragments",
    "formats": "tables as .parquet",
    "mudata": "MuData files",
    "plots": "plots and animated GIFs",
    "tensorboard": "TensorBoard logs",
}


def examine() -> dict[str, Any]:
    """Look at Python, the packages, threads and devices; everything needed is imported once.

    Returns
    -------
    Plain values: ``deepscore``, ``where``, ``python``, ``executable``, ``platform``, ``packages`` (versions by name,
    None where one is missing), ``extras`` (the same, by extra), ``threads`` (``cores``, ``torch`` and the variable
    ``OMP_NUM_THREADS``), ``devices``, ``problems`` (what is wrong with what is needed) and ``advice`` (what else could
    be installed); both of the latter name the command that mends it.
    """
    problems, advice = [], []
    if sys.version_info < OLDEST:
        problems.append(
            f"Python {platform.python_version()} is too old: {'.'.join(map(str, OLDEST))} or newer is needed."
        )
    packages: dict[str, str | None] = {}
    extras: dict[str, dict[str, str | None]] = {name: {} for name in EXTRAS}
    try:
        wanted = list(_requirements())
        if metadata("deepscore")["Version"] != __version__:
            problems.append(
                f"The package was installed as version {metadata('deepscore')['Version']} and is {__version__} now: "
                f"{_pip('--force-reinstall --no-deps', _root())}"
            )
    except PackageNotFoundError:
        wanted = []
        problems.append(f"The package is run from its folder and is not installed: {_pip('', _root())}")
    for extra, requirement in wanted:
        name, found = requirement.name, _version(requirement.name)
        (packages if extra is None else extras[extra])[name] = found
        mend = _pip("--upgrade" if found else "", f"{name}{requirement.specifier}")
        if found is None or not requirement.specifier.contains(found, prereleases=True):
            what = f"{name} is missing" if found is None else f"{name} {found} is too old ({requirement.specifier})"
            if extra is None:
                problems.append(f"{what}: {mend}")
            else:
                advice.append(f"{what}, which is for {EXTRAS[extra]}: {mend}")
        elif extra is None and (why := _fault(name)) is not None:
            problems.append(f"{name} {found} cannot be loaded ({why}): {_pip('--force-reinstall', f'{name}=={found}')}")
    threads, devices = _threads_and_devices(problems)
    return {
        "deepscore": __version__,
        "where": str(Path(__file__).parents[1]),
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "packages": packages,
        "extras": extras,
        "threads": threads,
        "devices": devices,
        "problems": problems,
        "advice": advice,
    }


def words_of(found: dict[str, Any]) -> Iterator[str]:
    """Yield what was found as lines for people."""

    def listed(versions: dict[str, str | None]) -> str:
        return ", ".join(f"{name} {one or 'missing'}" for name, one in versions.items())

    threads = found["threads"]
    lines = {
        "deepscore": f"{found['deepscore']} in {found['where']}",
        "Python": f"{found['python']} ({found['executable']})",
        "platform": found["platform"],
        "packages": listed(found["packages"]),
        **{f"[{extra}]": listed(versions) for extra, versions in found["extras"].items()},
        "threads": f"{threads['cores']} cores; torch would take {threads['torch']}, DeepScore takes one",
        "devices": ", ".join(found["devices"]) or "none",
    }
    yield from (f"{name:<14}{text}" for name, text in lines.items() if text)
    yield from (f"Problem: {text}" for text in found["problems"])
    yield from (f"Not installed: {text}" for text in found["advice"])
    if not found["problems"]:
        yield "All that is needed is there."


def _requirements() -> Iterator[tuple[str | None, Any]]:
    """Yield what the package needs, with the extra that needs it."""
    from packaging.requirements import Requirement

    for text in requires("deepscore") or []:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield None, requirement
            continue
        yield from ((extra, requirement) for extra in EXTRAS if requirement.marker.evaluate({"extra": extra}))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _fault(name: str) -> str | None:
    """Return why a package cannot be imported, which may be anything, in one line."""
    try:
        import_module(MODULES.get(name, name))
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None


def _threads_and_devices(problems: list[str]) -> tuple[dict[str, Any], list[str]]:
    threads: dict[str, Any] = {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "torch": None,
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
    }
    try:
        import torch

        from ..support.devices import device_of
    except Exception:  # it is among the problems already
        return threads, []
    threads["torch"] = torch.get_num_threads()
    devices = []
    for name in ("cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))):
        try:
            device_of(name)
            devices.append(name if name == "cpu" else f"{name} ({torch.cuda.get_device_name(name)})")
        except DeepScoreError as error:
            problems.append(str(error))
    return threads, devices


def _pip(options: str, what: str) -> str:
    """Return the command that installs something into this Python."""
    words = [sys.executable, "-m", "pip", "install", *options.split(), what]
    return shlex.join(words)


def _root() -> str:
    """Return the checkout that this file is in, or what stands for one."""
    root = Path(__file__).parents[4]
    return str(root) if (root / "pyproject.toml").is_file() else "path/to/the/checkout"
