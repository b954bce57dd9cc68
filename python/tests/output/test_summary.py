from __future__ import annotations

import pytest

from deepscore.output.summary import model_summary


@pytest.fixture
def manifest(trained):
    return trained.manifest


def test_it_says_what_the_manifest_holds(manifest):
    lines = model_summary(manifest).splitlines()
    told = dict(line.split(None, 1) for line in lines if line[:1].isalpha())
    training = manifest["training"]
    assert told["data"] == "rna (lognorm)"
    assert told["features"].startswith(f"80: {manifest['features'][0]}, ")
    assert told["features"].endswith(", ...")
    assert told["reference"] == "240 cells"
    assert f"accuracy {training['held_out']['accuracy']:.3f}" in told["held"]
    assert told["network"] == "32, 16 hidden nodes, relu"
    assert told["digest"] == manifest["content_sha256"]
    for label, cells in training["cells_per_label"].items():
        facts = training["held_out"]["labels"][label]
        row = next(line for line in lines if line.startswith(label))
        assert row.removeprefix(label).split() == [str(cells), str(facts["n_cells"]), f"{facts['recall']:.2f}"]


def test_long_and_odd_names_stay_in_their_line(manifest):
    training = manifest["training"] | {"cells_per_label": {"a\nb": 3, "x" * 300: 1200}, "n_unlabelled": 1500}
    text = model_summary(manifest | {"training": training, "features": ["\x1b"]})
    assert "a\\nb" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) < 130
    assert "and 1,500 without a label" in text


def test_a_model_without_held_out_cells_says_so(manifest):
    training = manifest["training"] | {"held_out": {"n_cells": 0}}
    assert "held out   0 cells\n" in model_summary(manifest | {"training": training})
