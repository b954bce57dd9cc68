from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
import scipy.sparse as sp
from jsonschema import Draft202012Validator
from safetensors.numpy import load as load_tensors

import deepscore
from deepscore.chromatin.lsi import LSI
from deepscore.data.modality import TfIdf
from deepscore.data.modality.protein import CentredLogRatio
from deepscore.errors import ModelFileError
from deepscore.model import file as modelfile
from deepscore.model.config import ACTIVATIONS
from deepscore.model.profiles import Profiles
from forgery import CONTENT, PEAKS, VERSION_1, VERSION_3, digest, inspected, manifest_in, repacked
from synthetic import full_model, random_model

# ----------------------------------------------------------------------------------------------- round trip


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hidden": ()},
        {"n_features": 1},
        {"hidden": (9, 8, 7)},
        {"labels": ("Zelle \u00e4", 'quote " and \\', "\u7d30\u80de")},
        {"created_with": "deepscore 0.9.1", "modality": "protein"},
        {"modality": "peaks", "normalization": TfIdf(np.linspace(1, 99, 30, dtype=np.float32))},
        {"temperature": 0.05},
        *({"network": {"hidden_nodes": [9, 7], "activation": name}} for name in ACTIVATIONS),
    ],
    ids=str,
)
@pytest.mark.parametrize("make", [random_model, full_model])
def test_a_model_comes_back_bit_by_bit(make, changes):
    comes_back(make(**changes))


def test_a_model_of_antibodies_comes_back_as_version_4():
    model = replace(full_model(), modality="protein", normalization=CentredLogRatio())
    comes_back(model)
    manifest = modelfile.manifest_of(model)
    assert (manifest["format_version"], manifest["normalization"]) == (4, {"method": "clr"})


def comes_back(before):
    content = modelfile.to_bytes(before)
    assert modelfile.manifest_of(before) == inspected(content)
    after = modelfile.from_bytes(content)
    for field in dataclasses.fields(before):
        a, b = getattr(before, field.name), getattr(after, field.name)
        if field.name == "layers":
            assert len(a) == len(b)
            pairs = [pair for x, y in zip(a, b, strict=True) for pair in zip(x, y, strict=True)]
        elif field.name == "normalization":
            assert (a.method, a.facts()) == (b.method, b.facts())
            pairs = list(zip(a.arrays().values(), b.arrays().values(), strict=True))
        elif field.name == "linear":
            pairs = list(zip(a or (), b or (), strict=True))
        elif isinstance(a, Profiles):
            pairs = [(getattr(a, part.name), getattr(b, part.name)) for part in dataclasses.fields(Profiles)]
        else:
            pairs = [(a, b)] if isinstance(a, np.ndarray) else []
            assert pairs or a == b
        for x, y in pairs:
            np.testing.assert_array_equal(x, y)
            assert getattr(x, "dtype", None) == getattr(y, "dtype", None)
    assert modelfile.to_bytes(after) == content


def test_a_trained_model_predicts_the_same_after_a_round_trip(trained, tmp_path, prepared):
    trained.save(tmp_path / "model.deepscore")
    after = modelfile.from_bytes(modelfile.load(tmp_path / "model.deepscore"))
    rows = sp.csr_matrix(prepared.matrix[:20])
    np.testing.assert_array_equal(after.predict_proba(rows), trained.model.predict_proba(rows))


def test_the_schema_is_a_schema_and_every_manifest_follows_it(trained):
    every = (trained.manifest, manifest_in(CONTENT), manifest_in(VERSION_1), manifest_in(VERSION_3))
    assert [manifest["format_version"] for manifest in every] == [2, 2, 1, 3]
    for manifest in every:
        name = f"model/schemas/model-v{manifest['format_version']}.json"
        schema = json.loads(files("deepscore").joinpath(name).read_text(encoding="utf-8"))
        Draft202012Validator.check_schema(schema)
        Draft202012Validator(schema).validate(manifest)


def test_a_file_of_version_1_is_read_and_written_back_as_such():
    model = modelfile.from_bytes(VERSION_1)
    assert (model.linear, model.profiles) == (None, None)
    assert (model.normalization.method, model.normalization.target_total) == ("lognorm", 10_000)
    manifest = manifest_in(modelfile.to_bytes(model))
    assert (manifest["format_version"], manifest["normalization"]) == (1, {"method": "log_cp10k", "scale": 10_000})
    assert modelfile.to_bytes(model) == VERSION_1


def test_a_model_of_peaks_comes_back_with_its_components():
    after = modelfile.from_bytes(VERSION_3)
    assert manifest_in(VERSION_3)["lsi"] == {"components": 4}
    tensors = load_tensors(VERSION_3)
    for part in dataclasses.fields(LSI):
        np.testing.assert_array_equal(getattr(after.lsi, part.name), getattr(PEAKS.lsi, part.name))
        np.testing.assert_array_equal(tensors[f"lsi.{part.name}"], getattr(PEAKS.lsi, part.name))
    assert modelfile.to_bytes(after) == VERSION_3


def test_the_profiles_of_a_file_may_stand_in_any_order():
    def backwards(part):
        for name in ("labels", "cells"):
            part["profiles"][name].reverse()

    def turned(tensors):
        tensors["profiles.mean"] = tensors["profiles.mean"][::-1].copy()

    here, there = (modelfile.from_bytes(x).profiles for x in (CONTENT, repacked(backwards, turned, seal=True)))
    assert there.owner.tolist() == here.owner.tolist()[::-1]
    np.testing.assert_allclose(there.label_means(), here.label_means())
    assert there.cells.tolist() == here.cells.tolist()[::-1]


def test_the_file_is_safetensors_with_a_manifest():
    manifest, tensors = manifest_in(CONTENT), load_tensors(CONTENT)
    assert inspected(CONTENT) == manifest
    assert manifest["format_version"] == 2
    assert manifest["normalization"] == {"method": "lognorm", "scale": 1200}
    assert manifest["profiles"] == {"labels": ["B cell", "B cell", "NK cell", "T cell"], "cells": [4, 6, 10, 10]}
    assert manifest["content_sha256"] == digest(manifest, tensors)
    assert {name: array.shape for name, array in tensors.items()} == {
        "feature_mean": (12,),
        "feature_scale": (12,),
        "layers.0.weight": (12, 5),
        "layers.0.bias": (5,),
        "layers.1.weight": (5, 3),
        "layers.1.bias": (3,),
        "linear.weight": (12, 3),
        "linear.bias": (3,),
        "profiles.mean": (4, 12),
        "profiles.variance": (3, 12),
        "profiles.within": (12, 3),
    }
    assert {array.dtype for array in tensors.values()} == {np.dtype(np.float32)}


def test_the_self_check_holds_three_rows_and_their_probabilities():
    check, model = manifest_in(CONTENT)["self_check"], modelfile.from_bytes(CONTENT)
    rows = np.zeros((3, 12), np.float32)
    for row, entry in zip(rows, check["rows"], strict=True):
        row[entry["indices"]] = entry["values"]
    np.testing.assert_allclose(model.predict_proba(sp.csr_matrix(rows)), check["probabilities"], atol=1e-6)


def test_the_manifest_is_read_without_torch_and_anndata(tmp_path):
    (tmp_path / "m").write_bytes(CONTENT)
    code = (
        "import sys, deepscore; m = deepscore.inspect_model('m'); "
        "print(m['labels'], *sorted({'torch', 'anndata'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['B cell', 'NK cell', 'T cell']"


# ---------------------------------------------------------------------------------------------------- on disk


def test_a_missing_file_is_told(tmp_path):
    for path in (tmp_path / "none", tmp_path, tmp_path / ("a" * 300), "a\0b"):
        with pytest.raises(ModelFileError) as caught:
            modelfile.load(path)
        assert caught.value.code == "file_not_found"


def test_a_file_that_may_not_be_read_is_told_with_the_reason(tmp_path, monkeypatch):
    def refused(*args):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "m").write_bytes(CONTENT)
    monkeypatch.setattr("pathlib.Path.open", refused)
    for verb in (modelfile.load, modelfile.inspect_model):
        with pytest.raises(ModelFileError, match="Permission denied") as caught:
            verb(tmp_path / "m")
        assert caught.value.code == "file_not_found"


@pytest.mark.parametrize("path", [None, 3, b"model"])
def test_what_is_no_path_is_told(trained, path):
    for verb, code in (
        (deepscore.load, "file_not_found"),
        (deepscore.inspect_model, "file_not_found"),
        (trained.save, "path_not_writable"),
    ):
        with pytest.raises(ModelFileError) as caught:
            verb(path)
        assert caught.value.code == code


def test_a_file_larger_than_any_model_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "m").write_bytes(CONTENT)
    monkeypatch.setattr(modelfile, "MAX_FILE", len(CONTENT) - 1)
    with pytest.raises(ModelFileError) as caught:
        modelfile.inspect_model(tmp_path / "m")
    assert caught.value.code == "not_a_model"


@pytest.mark.parametrize("convert", [str, lambda path: path])
def test_saving_replaces_what_was_there(tmp_path, convert):
    path = tmp_path / "model.deepscore"
    path.write_text("old")
    modelfile.save(CONTENT, convert(path))
    assert modelfile.load(convert(path)) == CONTENT
    assert os.listdir(tmp_path) == ["model.deepscore"]


def test_the_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "other").write_text("")
    modelfile.save(CONTENT, tmp_path / "model")
    assert (tmp_path / "model").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("name", ["replace", "fsync"])
def test_a_failure_while_saving_leaves_the_old_file(tmp_path, monkeypatch, name):
    def fail(*args):
        raise OSError(28, "No space left on device")

    path = tmp_path / "model.deepscore"
    path.write_text("old")
    monkeypatch.setattr(os, name, fail)
    with pytest.raises(ModelFileError, match="No space left") as caught:
        modelfile.save(CONTENT, path)
    assert caught.value.code == "path_not_writable"
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["model.deepscore"]


def test_a_path_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "pipe")
    for name in ("none/model", "folder", "file/model", "pipe", "a\0b", "a" * 300):
        path = f"{tmp_path}/{name}"
        with pytest.raises(ModelFileError) as caught:
            modelfile.save(CONTENT, path)
        assert caught.value.code == "path_not_writable"
    assert sorted(os.listdir(tmp_path)) == ["file", "folder", "pipe"]
