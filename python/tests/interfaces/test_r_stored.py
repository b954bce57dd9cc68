"""A large reference of R: what its object holds, and that it learns what one in memory does."""

from __future__ import annotations

import json
import os
from functools import partial

import pytest

import deepscore
from deepscore.data.shards import deal_out
from deepscore.interfaces import r, r_evidence
from deepscore.model import file as modelfile
from deepscore.training import reference as references
from synthetic import dataset

CONFIG = {"hidden_nodes": [4], "epochs": 1}


@pytest.fixture
def large(monkeypatch):
    """Let any reference be larger than what is held in memory."""
    monkeypatch.setattr(references, "deal_out", partial(deal_out, per_shard=2000, held=2000))


@pytest.fixture
def path(tmp_path):
    data = dataset(1)
    data.obs["cell_type_ontology_term_id"] = "CL:0000000"
    data.write_h5ad(tmp_path / "reference.h5ad")
    return str(tmp_path / "reference.h5ad")


def answered(answer):
    assert answer.get("error") is None, answer
    return answer["value"]


def refused(answer):
    return answer["error"]["code"]


def prepared(paths, labels, **stored):
    """Set a reference as R does."""
    paths = [paths] if isinstance(paths, str) else paths
    opened = answered(r.open_data(paths, None, None, None))
    cells = opened["cells"]
    labels = [None if i % 7 == 0 else label for i, label in enumerate(labels * len(paths))]
    batch, terms = ["a" if i % 2 else "b" for i in range(len(cells))], ["CL:0000000"] * len(cells)
    return answered(
        r.set_reference(CONFIG, opened["blocks"], labels, batch, {"test_prop": 0.2}, terms, {"paths": paths, **stored})
    )


def trained(content):
    return answered(r.train(CONFIG, bytearray(content), {}, progress=False))


@pytest.mark.parametrize("n_files", [1, 2])
def test_only_what_it_was_made_of_is_held_and_the_model_is_that_of_python(path, large, n_files):
    labels, paths = dataset(1).obs["cell_type"].tolist(), [path] * n_files
    content = prepared(paths, labels)
    assert len(content) < 20_000
    assert str(json.loads(content)["stored"]["paths"]) == str(paths)
    assert answered(r.modality_of(content)) == "rna"
    given = [None if i % 7 == 0 else label for i, label in enumerate(labels * n_files)]
    batch = ["a" if i % 2 else "b" for i in range(len(given))]
    expected = deepscore.DeepScore((4,), epochs=1)
    with pytest.warns(UserWarning, match="have no label"):
        expected = expected.set_reference(paths if n_files > 1 else path, given, batch=batch, test_prop=0.2)
    expected = expected.train(progress=False)
    found = modelfile.from_bytes(trained(content))
    for name in ("cells_per_label", "n_unlabelled", "held_out", "history"):
        assert found.training[name] == expected.model.training[name]
    assert set(found.training["ontology_terms"].values()) == {"CL:0000000"}
    chosen = answered(r_evidence.select_model(CONFIG, content, {"n_models": 1}, {}, progress=False))
    assert modelfile.from_bytes(chosen).labels == found.labels


def test_a_small_one_is_held_whole(path):
    content = prepared(path, dataset(1).obs["cell_type"].tolist())
    os.remove(path)
    assert trained(content)


def test_it_is_told_once_what_was_read(path, large):
    content = prepared(path, dataset(1).obs["cell_type"].tolist())
    answer = r.train(CONFIG, content, {}, progress=False)
    assert not [note for note in answer["notes"] if "no label" in note["text"] or "counts" in note["text"]]


@pytest.mark.parametrize("change", ["gone", "other", "cut"])
def test_what_has_changed_since_is_refused(path, large, change):
    content = prepared(path, dataset(1).obs["cell_type"].tolist())
    if change == "gone":
        os.remove(path)
    elif change == "other":
        dataset(2, 100).write_h5ad(path)
    else:
        content = content[:200]
    assert refused(r.train(CONFIG, content, {}, progress=False)) == "no_reference"
