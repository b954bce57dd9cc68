from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

import deepscore
from deepscore.interfaces.cli import main
from deepscore.model import file as modelfile
from synthetic import random_model

COMPLETING = {"_DEEPSCORE_COMPLETE": "bash_complete"}


def test_inspect_is_a_summary_for_people_and_json_for_programs(tmp_path, capsys, trained):
    trained.save(tmp_path / "m")
    assert main(["inspect", str(tmp_path / "m")]) == 0
    text = capsys.readouterr().out
    assert "240 cells" in text
    assert "T cell" in text
    assert main(["inspect", str(tmp_path / "m"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == deepscore.inspect_model(tmp_path / "m")


def test_a_summary_cannot_command_a_terminal(tmp_path, capsys):
    features = ("T\x1b[2J", "\u03b2 \x9b1m\u202e", "two\nlines")
    modelfile.save(modelfile.to_bytes(random_model(n_features=3, features=features)), tmp_path / "odd")
    assert main(["inspect", str(tmp_path / "odd")]) == 0
    out = capsys.readouterr().out
    assert not set(out) & set("\x1b\x9b\u202e")
    assert "two\\nlines" in out


def test_the_doctor_is_well_here_and_says_so(capsys):
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "All that is needed is there."
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == []


def test_the_doctor_leaves_with_1_where_something_is_wrong(capsys, monkeypatch):
    monkeypatch.setattr(
        "deepscore.interfaces.doctor._fault", lambda name: "ImportError: no" if name == "h5py" else None
    )
    assert main(["doctor"]) == 1
    assert "Problem: h5py " in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_completion(shell, capsys):
    assert main(["completion", shell]) == 0
    assert "_DEEPSCORE_COMPLETE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("deepscore an", {"annotate"}),
        ("deepscore train --strat", {"--strategy"}),
        ("deepscore train --strategy mark", {"markers", "markers_in_variable"}),
        ("deepscore peaks ", {"common", "match", "count"}),
    ],
)
def test_a_shell_is_told_what_may_follow(line, expected):
    words = line.split(" ")
    asked = os.environ | COMPLETING | {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    found = subprocess.run([sys.executable, "-m", "deepscore"], capture_output=True, text=True, check=True, env=asked)
    assert {one.split(",")[1] for one in found.stdout.splitlines()} == expected


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_script_runs_in_bash(capsys):
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out + "\ncomplete -p deepscore"
    found = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert "deepscore" in found.stdout
