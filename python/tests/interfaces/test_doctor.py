from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version

import pytest

from deepscore.interfaces import doctor
from deepscore.interfaces.doctor import examine, words_of


def test_it_finds_what_is_there():
    found = examine()
    assert found["packages"]["numpy"] == version("numpy")
    assert found["extras"]["plots"].keys() == {"matplotlib", "pillow"}
    assert "pytest" not in found["packages"]
    assert found["devices"][0] == "cpu"
    assert found["threads"]["cores"] >= 1
    assert found["problems"] == []


def absent(monkeypatch, *names):
    def version_of(name):
        if name in names:
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor, "version", version_of)


def test_what_is_missing_is_named_with_the_command_that_mends_it(monkeypatch):
    absent(monkeypatch, "h5py", "bioframe")
    found = examine()
    (problem,), (advice,) = found["problems"], found["advice"]
    assert problem.startswith(f"h5py is missing: {sys.executable} -m pip install 'h5py>=")
    assert advice.startswith("bioframe is missing, which is for peaks and fragments: ")
    assert found["extras"]["chromatin"] == {"bioframe": None}
    lines = list(words_of(found))
    assert "[chromatin]   bioframe missing" in lines
    assert lines[-1].startswith("Not installed: ")


def test_what_is_too_old_or_broken_is_a_problem(monkeypatch):
    monkeypatch.setattr(doctor, "version", lambda name: "0.1" if name == "scipy" else version(name))

    def breaks(name):
        if name == "h5py":
            raise OSError("libhdf5.so: not found\nmore")
        return name

    monkeypatch.setattr(doctor, "import_module", breaks)
    old, broken = sorted(examine()["problems"], key=lambda text: not text.startswith("scipy"))
    assert old.startswith("scipy 0.1 is too old (>=1.12): ")
    assert "--upgrade 'scipy>=1.12'" in old
    assert "cannot be loaded (OSError: libhdf5.so: not found)" in broken


def test_a_folder_that_is_not_installed_is_told(monkeypatch):
    def requires(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "requires", requires)
    (problem,) = examine()["problems"]
    assert "is not installed" in problem
    assert "pip install" in problem


@pytest.mark.parametrize("installed", ["0.0.9"])
def test_an_installation_of_another_version_is_told(monkeypatch, installed):
    monkeypatch.setattr(doctor, "metadata", lambda name: {"Version": installed})
    (problem,) = examine()["problems"]
    assert problem.startswith(f"The package was installed as version {installed} and is ")
