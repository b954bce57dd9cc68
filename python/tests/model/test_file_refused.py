from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

import deepscore
from deepscore.errors import ModelFileError
from deepscore.model import file as modelfile
from forgery import (
    CONTENT,
    VERSION_1,
    VERSION_3,
    code_of,
    header_with,
    inspected,
    manifest_in,
    put,
    repacked,
    replaced,
    value,
    with_header,
)

# --------------------------------------------------------------------------------------- what is not a model


def rewritten(old, new):
    """Return the file with a change in the text of its manifest."""
    text = json.dumps(manifest_in(CONTENT))
    assert old in text
    return save_tensors(load_tensors(CONTENT), {"deepscore": text.replace(old, new)})


NOT_MODELS = {
    "no bytes": b"",
    "zeros": bytes(1000),
    "text": b"These are no weights, and this is not a model of any kind.\n" * 20,
    "JSON": b'{"format_version": 1, "features": [], "labels": []}',
    "pickle": b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x06labels\x94]\x94\x8c\x05model\x94K\x01u." * 5,
    "zip (torch)": b"PK\x03\x04\x00\x00\x08\x08\x00\x00archive/data.pkl" + bytes(300),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(500),
    "gzip (RDS)": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + bytes(200),
    "safetensors of others": save_tensors({"weight": np.ones(3, np.float32)}, {"format": "pt"}),
    "safetensors without metadata": save_tensors({"weight": np.ones(3, np.float32)}),
    "huge length": struct.pack("<Q", 2**63) + CONTENT[8:],
    "length of all ones": b"\xff" * 8 + CONTENT[8:],
    "header is a list": with_header(b"[1, 2, 3]"),
    "header is no JSON": with_header(b"{" + b"x" * 50),
    "header is not UTF-8": with_header(b'{"\xff\xfe": 1}'),
    "deep nesting": with_header(b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    "deep nesting in the manifest": with_header(header_with(__metadata__={"deepscore": "[" * 200_000})),
    "manifest is no text": with_header(header_with(__metadata__={"deepscore": {"format_version": 1}})),
    "manifest is a list": with_header(header_with(__metadata__={"deepscore": "[1]"})),
    "manifest is no JSON": with_header(header_with(__metadata__={"deepscore": "format_version: 1"})),
    "manifest without version": with_header(header_with(__metadata__={"deepscore": "{}"})),
    "header in UTF-16": with_header(header_with().decode().encode("utf-16-le")),
    "header padded with zeros": with_header(header_with() + bytes(8)),
    "a key twice": with_header(header_with().replace(b'"__metadata__"', b'"x": {}, "x": {}, "__metadata__"', 1)),
    "a key of the manifest twice": rewritten('"n_unlabelled"', '"n_cells"'),
    "an infinite number": rewritten('"seed": 3', '"seed": 1e999'),
    "a number of more than 64 bits": rewritten('"seed": 3', '"seed": 9223372036854775808'),
    "lists too deep for some readers": rewritten('"seed": 3', '"x": ' + "[" * 100 + "]" * 100 + ', "seed": 3'),
    "objects too deep for some readers": rewritten(
        '"seed": 3', '"x": ' + '{"x": ' * 101 + "1" + "}" * 101 + ', "seed": 3'
    ),
    "metadata is a list": with_header(header_with(__metadata__=["deepscore"])),
}


@pytest.mark.parametrize("content", NOT_MODELS.values(), ids=NOT_MODELS)
@pytest.mark.parametrize("read", [modelfile.from_bytes, inspected])
def test_what_is_not_a_model_is_refused(content, read):
    with pytest.raises(ModelFileError) as caught:
        read(content)
    assert caught.value.code == "not_a_model"


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.9999])
def test_a_truncated_file_is_recognised(share):
    assert code_of(CONTENT[: int(share * len(CONTENT))]) == "truncated"


def test_bytes_after_the_end_are_refused():
    assert code_of(CONTENT + b"more") in {"invalid_tensors", "edited"}


def test_a_newer_version_says_what_to_do():
    def newer(manifest):
        manifest |= {"format_version": 5, "created_with": "deepscore 4.1", "features": {"other": "schema"}}

    for read in (modelfile.from_bytes, inspected):
        with pytest.raises(ModelFileError, match="deepscore 4.1.*Upgrade") as caught:
            read(repacked(newer))
        assert caught.value.code == "newer_version"


# ------------------------------------------------------------------------------------------------- manifests


INVALID = {
    "version is text": put("format_version", "1"),
    "version is nought": put("format_version", 0),
    "unknown key": put("extra", 1),
    "unknown modality": put("modality", "methylation"),
    "duplicate features": put("features", ["GENE000"] * 12),
    "duplicate labels": put("labels", ["B cell", "B cell", "T cell"]),
    "one label": put("labels", ["B cell"]),
    "a zero byte in a name": put("features", 3, "GENE\x003"),
    "features are numbers": put("features", list(range(12))),
    "a name without letters": put("features", 3, ""),
    "a very long name": put("features", 3, "x" * 2000),
    "unknown activation": put("network", "activation", "exec"),
    "negative nodes": put("network", "hidden_nodes", [-5]),
    "unknown recipe": put("normalization", "method", "sctransform"),
    "a scale above the field's": put("normalization", "scale", 1_000_000),
    "a scale of nought": put("normalization", "scale", 0),
    "a recipe of version 1": put("normalization", "method", "log_cp10k"),
    "a profile of no cell": put("profiles", "cells", 0, 0),
    "a profile of half a cell": put("profiles", "cells", 0, 0.5),
    "a profile of more cells than there are": put("profiles", "cells", 0, 10**15),
    "profiles without labels": lambda manifest: manifest["profiles"].pop("labels"),
    "profiles without cells": lambda manifest: manifest["profiles"].pop("cells"),
    "one profile": put("profiles", "labels", ["B cell"]),
    "labels of profiles are numbers": put("profiles", "labels", [0, 0, 1, 2]),
    "something else in the profiles": put("profiles", "mean", [[1.0]]),
    "temperature of nought": put("calibration", "temperature", 0),
    "temperature is text": put("calibration", "temperature", "1"),
    "threshold above one": put("thresholds", "default", 1.5),
    "no training facts": put("training", {}),
    "other names are numbers": put("training", "other_names", {"ids": [1] * 12}),
    "terms are numbers": put("training", "ontology_terms", {"B cell": 1}),
    "a term is empty": put("training", "ontology_terms", {"B cell": ""}),
    "other names are one": put("training", "other_names", "ids"),
    "agreement above one": put("training", "held_out", {"n_cells": 9, "accuracy": 0.5, "agreement": 1.5}),
    "agreement alone": put("training", "held_out", {"n_cells": 9, "agreement": 0.5}),
    "recall above one": put("training", "held_out", {"n_cells": 9, "labels": {"B": {"n_cells": 9, "recall": 1.5}}}),
    "recall of no cells": put("training", "held_out", {"n_cells": 9, "labels": {"B": {"recall": 0.5}}}),
    "one row of self-check": put("self_check", "rows", []),
    "no digest": put("content_sha256", ""),
}


@pytest.mark.parametrize("change", INVALID.values(), ids=INVALID)
def test_an_invalid_manifest_is_refused(change):
    for read in (modelfile.from_bytes, inspected):
        with pytest.raises(ModelFileError) as caught:
            read(repacked(change))
        assert caught.value.code == "invalid_manifest"


INVALID_1 = {
    "another scale": put("normalization", "scale", 1200),
    "a recipe of version 2": put("normalization", "method", "lognorm"),
    "profiles": put("profiles", {"labels": ["B cell", "NK cell", "T cell"], "cells": [1, 1, 1]}),
    "called version 2": put("format_version", 2),
}


@pytest.mark.parametrize("change", INVALID_1.values(), ids=INVALID_1)
def test_version_1_has_a_schema_of_its_own(change):
    assert code_of(repacked(change, seal=True, content=VERSION_1)) == "invalid_manifest"


INVALID_3 = {
    "genes": put("modality", "rna"),
    "a recipe of genes": put("normalization", "method", "lognorm"),
    "no components": put("lsi", "components", 0),
    "half a component": put("lsi", "components", 1.5),
    "too many components": put("lsi", "components", 10**9),
    "something else beside them": put("lsi", "loadings", [[1.0]]),
    "nothing about them": lambda manifest: manifest.pop("lsi"),
    "called version 2": put("format_version", 2),
}


@pytest.mark.parametrize("change", INVALID_3.values(), ids=INVALID_3)
def test_version_3_has_a_schema_of_its_own(change):
    assert code_of(repacked(change, seal=True, content=VERSION_3)) == "invalid_manifest"


COMPONENTS = {
    "missing": lambda tensors: tensors.pop("lsi.mean"),
    "not a number": value("lsi.loadings", np.nan, 3),
    "one component less": replaced("lsi.loadings", lambda x: x[:, 1:].copy()),
    "of other peaks": replaced("lsi.loadings", lambda x: x[1:].copy()),
    "a deviation of nought": value("lsi.deviation", 0),
    "a negative singular value": value("lsi.singular_values", -1),
    "a negative weight of a peak": value("feature_idf", -5),
    "a weight that no peak has": value("feature_idf", 3e38),
}


@pytest.mark.parametrize("change", COMPONENTS.values(), ids=COMPONENTS)
@pytest.mark.parametrize("seal", [False, True])
def test_invalid_components_are_refused(change, seal):
    assert code_of(repacked(None, change, seal, content=VERSION_3)) == "invalid_tensors"


@pytest.mark.parametrize("name", ["linear.weight", "linear.bias", "profiles.mean"])
def test_version_1_has_no_tensors_of_version_2(name):
    extra = load_tensors(CONTENT)[name]
    code = code_of(repacked(None, lambda tensors: tensors.update({name: extra}), seal=True, content=VERSION_1))
    assert code == "invalid_tensors"


@pytest.mark.parametrize("name", manifest_in(CONTENT))
def test_every_part_of_the_manifest_is_needed(name):
    code = code_of(repacked(lambda manifest: manifest.pop(name)))
    assert code == ("not_a_model" if name == "format_version" else "invalid_manifest")


def swap_labels(manifest):
    manifest["labels"].reverse()


def renamed(manifest):
    for labels in (manifest["labels"], manifest["profiles"]["labels"]):
        labels[:] = ["Hepatocyte" if label == "B cell" else label for label in labels]


EDITS = {
    "labels swapped": swap_labels,
    "label renamed": renamed,
    "features swapped": lambda manifest: manifest["features"].reverse(),
    "temperature": put("calibration", "temperature", 1.8),
    "activation": put("network", "activation", "tanh"),
    "training facts": put("training", "n_cells", 31),
    "author": put("created_with", "deepscore 0.0.9"),
    "digest": put("content_sha256", "0" * 64),
    "scale": put("normalization", "scale", 1100),
    "cells of a profile": put("profiles", "cells", 0, 5),
    "label of a profile": put("profiles", "labels", 1, "NK cell"),
}


@pytest.mark.parametrize("change", EDITS.values(), ids=EDITS)
def test_an_edited_manifest_is_recognised(change):
    assert code_of(repacked(change)) == "edited"


@pytest.mark.parametrize("name", sorted(load_tensors(CONTENT)))
def test_an_edited_tensor_is_recognised(name):
    def change(tensors):
        tensors[name].flat[0] = np.nextafter(tensors[name].flat[0], np.float32(10))

    assert code_of(repacked(None, change)) == "edited"


def named_unclassified(manifest):
    for labels in (manifest["labels"], manifest["profiles"]["labels"]):
        labels[:] = ["Unclassified" if label == "B cell" else label for label in labels]


def of_peaks(manifest):
    manifest["modality"] = "peaks"


def with_recipe_of_peaks(manifest):
    manifest["normalization"]["method"] = "tfidf"


def with_few_other_names(manifest):
    manifest["training"]["other_names"] = {"gene_ids": ["ENSG00000000003"]}


@pytest.mark.parametrize(
    ("change", "tensor"),
    [
        (named_unclassified, None),
        (of_peaks, None),
        (with_recipe_of_peaks, "feature_idf"),
        (with_few_other_names, None),
    ],
    ids=[
        "a label that is the word for none",
        "peaks by the recipe of genes",
        "genes by the recipe of peaks",
        "other names of some features",
    ],
)
def test_parts_that_no_model_has_together_are_refused(change, tensor):
    def add(tensors):
        if tensor is not None:
            tensors[tensor] = np.ones(12, np.float32)

    assert code_of(repacked(change, add, seal=True)) == "invalid_manifest"


# A digest proves nothing against someone who computes it anew: whatever is in such a file must be refused cleanly.
FORGED = {
    "a term of another label": put("training", "ontology_terms", {"none": "CL:0000000"}),
    "temperature is not a number": put("calibration", "temperature", float("nan")),
    "temperature is infinite": put("calibration", "temperature", float("inf")),
    "probabilities are not numbers": put("self_check", "probabilities", [[float("nan")] * 3] * 3),
    "rows of different length": put("self_check", "probabilities", [[0.5], [0.5, 0.5], [1, 0, 0]]),
    "probabilities of other labels": put("self_check", "probabilities", [[0.5, 0.5]] * 3),
    "position out of range": put("self_check", "rows", 0, "indices", 0, 10**6),
    "position out of any range": put("self_check", "rows", 0, "indices", 0, 10**30),
    "fewer values than positions": put("self_check", "rows", 0, "values", [1.0]),
    "values are not numbers": put("self_check", "rows", 0, "values", [float("nan")] * 12),
    "values out of any range": put("self_check", "rows", 0, "values", 0, 10**400),
    "nodes of another network": put("network", "hidden_nodes", [6]),
    "a layer more": put("network", "hidden_nodes", [5, 3]),
    "no end of layers": put("network", "hidden_nodes", [10**9] * 100),
    "a recipe without its tensor": put("normalization", "method", "tfidf"),
    "a profile of a label that is not there": put("profiles", "labels", 0, "Hepatocyte"),
    "a label renamed in one place": put("labels", 0, "Hepatocyte"),
    "a label without a profile": put("profiles", "labels", 3, "B cell"),
    "a profile more": put(
        "profiles", {"labels": ["B cell", "B cell", "NK cell", "T cell", "T cell"], "cells": [1] * 5}
    ),
    "fewer cells than profiles": put("profiles", "cells", [1, 1, 1]),
    "more cells than profiles": put("profiles", "cells", [1] * 600),
    "version 1": put("format_version", 1),
}


@pytest.mark.parametrize("change", FORGED.values(), ids=FORGED)
def test_a_forged_manifest_is_refused(change):
    assert code_of(repacked(change, seal=True)) in {"edited", "invalid_manifest", "invalid_tensors", "not_a_model"}


def test_half_a_character_in_a_name_is_refused():
    text = json.dumps(manifest_in(CONTENT)).replace("GENE003", "\\ud800")
    content = save_tensors(load_tensors(CONTENT), {"deepscore": text})
    assert code_of(content) in {"edited", "invalid_manifest", "not_a_model"}


@pytest.mark.parametrize("depth", range(100, 1100, 50))
def test_nesting_of_any_depth_is_refused_or_read(depth):
    content = rewritten('"n_cells": 30', '"extra": ' + "[" * depth + "]" * depth + ', "n_cells": 30')
    assert code_of(content) in {"edited", "not_a_model"}


# --------------------------------------------------------------------------------------------------- tensors


INVALID_TENSORS = {
    "not a number": value("layers.0.weight", np.nan, 7),
    "infinite": value("layers.1.bias", np.inf),
    "negative scale": value("feature_scale", -1),
    "scale of nought": value("feature_scale", 0),
    "transposed": replaced("layers.0.weight", lambda x: np.ascontiguousarray(x.T)),
    "too short": replaced("feature_mean", lambda x: x[:-1].copy()),
    "another shape": replaced("feature_mean", lambda x: x[None].copy()),
    "float64": replaced("layers.1.weight", lambda x: x.astype(np.float64)),
    "int32": replaced("layers.1.weight", lambda x: x.astype(np.int32)),
    "missing": lambda tensors: tensors.pop("layers.1.bias"),
    "one more": lambda tensors: tensors.update({"layers.2.bias": np.zeros(3, np.float32)}),
    "linear path: not a number": value("linear.weight", np.nan, 3),
    "linear path: infinite": value("linear.bias", -np.inf),
    "linear path: transposed": replaced("linear.weight", lambda x: np.ascontiguousarray(x.T)),
    "linear path: half of it": lambda tensors: tensors.pop("linear.bias"),
    "profiles: not a number": value("profiles.mean", np.nan),
    "profiles: one less": replaced("profiles.mean", lambda x: x[:-1].copy()),
    "profiles: missing": lambda tensors: tensors.pop("profiles.mean"),
    "variance: negative": value("profiles.variance", -1e-3, 5),
    "variance: of profiles": replaced("profiles.variance", lambda x: np.resize(x, (4, 12))),
    "directions: infinite": value("profiles.within", np.inf),
    "directions: two": replaced("profiles.within", lambda x: x[:, :2].copy()),
    "a table that the recipe does not use": lambda tensors: tensors.update(feature_idf=np.ones(12, np.float32)),
}


@pytest.mark.parametrize("change", INVALID_TENSORS.values(), ids=INVALID_TENSORS)
@pytest.mark.parametrize("seal", [False, True])
def test_invalid_tensors_are_refused(change, seal):
    assert code_of(repacked(None, change, seal)) == "invalid_tensors"


OTHER_WEIGHTS = {
    "others": lambda x: -x,
    "nearly the same": lambda x: np.float32(1.01) * x,
    "beyond what can be computed": lambda x: np.full_like(x, 3e38),
}


@pytest.mark.parametrize("name", ["layers.0.weight", "linear.weight"])
@pytest.mark.parametrize("convert", OTHER_WEIGHTS.values(), ids=OTHER_WEIGHTS)
def test_other_weights_under_a_fitting_digest_fail_the_self_check(convert, name):
    assert code_of(repacked(None, replaced(name, convert), seal=True)) == "edited"


HEADERS = {
    "entry is a number": {"extra": 5},
    "entry is a list": {"extra": [1]},
    "entry without offsets": {"extra": {"dtype": "F32", "shape": [1]}},
    "offsets are text": {"extra": {"dtype": "F32", "shape": [1], "data_offsets": ["0", "4"]}},
    "one offset": {"extra": {"dtype": "F32", "shape": [1], "data_offsets": [0]}},
    "offsets are nothing": {"extra": {"dtype": "F32", "shape": [1], "data_offsets": None}},
    "overlapping": {"extra": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
    "beyond the end": {"extra": {"dtype": "F32", "shape": [1], "data_offsets": [10**12, 10**12 + 4]}},
    "negative": {"extra": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}},
    "unknown type": {"layers.1.bias": {"dtype": "X9", "shape": [3], "data_offsets": [0, 12]}},
}


@pytest.mark.parametrize("entries", HEADERS.values(), ids=HEADERS)
def test_a_broken_table_of_tensors_is_refused(entries):
    assert code_of(with_header(header_with(**entries))) in {"invalid_tensors", "truncated", "not_a_model"}


# ----------------------------------------------------------------------------------------------------- damage


def refused_or_same(content):
    try:
        model = modelfile.from_bytes(content)
    except ModelFileError:
        return
    assert modelfile.to_bytes(model) == CONTENT


many = settings(max_examples=300)
positions = st.integers(0, len(CONTENT) - 1)


@many
@given(st.lists(st.tuples(positions, st.integers(1, 255)), min_size=1, max_size=4))
def test_flipped_bytes_are_refused_or_harmless(flips):
    damaged = bytearray(CONTENT)
    for position, mask in flips:
        damaged[position] ^= mask
    refused_or_same(bytes(damaged))


@many
@given(positions)
def test_a_file_cut_anywhere_is_refused(position):
    assert code_of(CONTENT[:position]) in {"truncated", "not_a_model"}


@many
@given(positions, st.integers(0, 64), st.binary(max_size=64))
def test_replaced_pieces_are_refused_or_harmless(position, length, piece):
    refused_or_same(CONTENT[:position] + piece + CONTENT[position + length :])


@settings(max_examples=100)
@given(st.binary(max_size=300))
def test_random_bytes_are_refused(content):
    assert code_of(content) in {"not_a_model", "truncated"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (put("network", "lr", -1), "invalid_manifest"),
        (put("training", "seed", -1), "invalid_manifest"),
        (put("format_version", 2.0), "invalid_manifest"),
    ],
)
def test_settings_that_no_network_has_are_refused(change, code):
    assert code_of(repacked(change, seal=True)) == code


@pytest.mark.parametrize(
    "change", [put("network", "seed", 5), put("network", "n_labels", 9), put("training", "held_out", {"n_cells": 5})]
)
def test_further_facts_in_a_manifest_do_no_harm(tmp_path, change):
    (tmp_path / "m").write_bytes(repacked(change, seal=True))
    assert "labels" in repr(deepscore.load(tmp_path / "m"))
