"""The methods in methods/, read without importing them, and the environment that each of them runs in."""

import ast
import hashlib
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

METHODS = Path(__file__).parent / "methods"


class NotInstalled(Exception):  # noqa: N818 - it is a result of the benchmark
    """Why a method cannot run here."""


@dataclass(frozen=True)
class Method:
    """A method, or one of several that share a file."""

    name: str
    file: Path
    options: dict[str, Any]
    requirements: list[str] | None
    r_packages: list[str]
    modalities: tuple[str, ...] | None = None  # of the tasks that it is for; None: all

    @property
    def is_peer(self) -> bool:
        """Whether it is not the product: an environment of its own, one run, cached."""
        return self.requirements is not None

    @property
    def sources(self) -> list[Path]:
        """The files that its results depend on."""
        common = (METHODS.parent / name for name in ("one.py", "prepare.py", "tasks.py"))
        return [*sorted(METHODS.glob(f"{self.file.stem}.*")), *common]


def discover() -> dict[str, Method]:
    """Return every method by name, the product first."""
    found = [method for file in sorted(METHODS.glob("*.py")) for method in _read(file)]
    return {method.name: method for method in sorted(found, key=lambda method: method.is_peer)}


def _read(file: Path) -> list[Method]:
    wanted = ("REQUIREMENTS", "R_PACKAGES", "VARIANTS", "MODALITIES")
    header = {
        ast.unparse(line.targets[0]): ast.literal_eval(line.value)
        for line in ast.parse(file.read_text()).body
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) in wanted
    }
    variants = header.get("VARIANTS", {file.stem: {}})
    requirements, r_packages = header["REQUIREMENTS"], header.get("R_PACKAGES", [])
    only = header.get("MODALITIES", {})
    return [Method(name, file, options, requirements, r_packages, only.get(name)) for name, options in variants.items()]


def python_for(method: Method, folder: Path) -> Path:
    """Return the interpreter for a method, making its environment in `folder` on first use."""
    for package in method.r_packages:
        _require_r(package)
    if method.requirements is None:
        return Path(sys.executable)
    name = method.requirements[0].split("==")[0]
    home = folder / f"{name}-{hashlib.sha256(repr(method.requirements).encode()).hexdigest()[:6]}"
    python, done = home / "bin" / "python", home / "installed"
    if not done.exists():
        venv.create(home, with_pip=True, clear=True)
        torch = [r for r in method.requirements if r.startswith("torch==")]  # first: a looser pin would fetch CUDA
        for wanted in filter(None, (torch, method.requirements)):
            _pip(python, wanted)
        done.touch()
    return python


def _pip(python: Path, wanted: list[str]) -> None:
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        errors = [line for line in found.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
        raise NotInstalled(errors[-1].removeprefix("ERROR: "))


def _require_r(package: str) -> None:
    try:
        subprocess.run(["Rscript", "-e", f"loadNamespace('{package}')"], capture_output=True, check=True)
    except FileNotFoundError:
        raise NotInstalled("R is not installed") from None
    except subprocess.CalledProcessError:
        raise NotInstalled(f"the R package {package} is not installed") from None
