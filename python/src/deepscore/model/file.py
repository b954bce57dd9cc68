"""Reading and writing the one file format; ``python/docs/model-format.md`` is its definition.

A file is parsed, audited and only then made into a model: nothing in it is ever executed.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import struct
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..chromatin.lsi import LSI
from ..data.labels import UNCLASSIFIED
from ..data.modality import MODALITIES, RECIPES
from ..data.normalize import Normalization
from ..errors import ConfigError, InputError, ModelFileError
from ..support.files import replacing, require_file
from .config import NetworkConfig, recorded
from .model import Model
from .profiles import WITHIN, Profiles

__all__ = ["from_bytes", "inspect_model", "load", "manifest_of", "save", "to_bytes"]

FORMAT_VERSION = 4
MAX_FILE = 8 * 2**30
MAX_HEADER = 100 * 2**20
# Lists and objects in each other: Python and R give up at different depths, both far below.
MAX_DEPTH = 100
SELF_CHECK_TOLERANCE = 1e-4
# Before version 3, which has the logarithm, the weight of a peak was the number of cells for each that has it.
MAX_IDF = {1: 1e9, 2: 1e9, 3: 50}
PROFILE_TENSORS = ("mean", "variance", "within")
LSI_TENSORS = ("loadings", "singular_values", "mean", "deviation")
# What version 1 called the recipe of genes.
V1_LOGNORM = "log_cp10k"

Tensors = dict[str, npt.NDArray[Any]]


# --------------------------------------------------------------------------------------------------- write


def to_bytes(model: Model) -> bytes:
    """Write a model as the content of a model file."""
    from safetensors.numpy import save as save_tensors

    manifest, tensors = _content(model)
    _check_schema(manifest)
    return save_tensors(tensors, {"deepscore": json.dumps(manifest, ensure_ascii=False, allow_nan=False)})


def manifest_of(model: Model) -> dict[str, Any]:
    """Return the manifest that the file of a model has."""
    return _content(model)[0]


def _content(model: Model) -> tuple[dict[str, Any], Tensors]:
    tensors: Tensors = {"feature_mean": model.mean, "feature_scale": model.deviation}
    tensors |= {f"feature_{name}": values for name, values in model.normalization.arrays().items()}
    for i, (weight, bias) in enumerate(model.layers):
        tensors[f"layers.{i}.weight"], tensors[f"layers.{i}.bias"] = weight, bias
    rows = _synthetic_rows(len(model.features))
    manifest = {
        "format_version": 1,
        "created_with": model.created_with,
        "modality": model.modality,
        "features": list(model.features),
        "labels": list(model.labels),
        "network": _plain(model.network),
        "normalization": {"method": model.normalization.method, **model.normalization.facts()},
        "calibration": {"method": "temperature", "temperature": model.temperature},
        "thresholds": {"default": 0.5},
        "training": _plain(model.training),
        "self_check": {"rows": rows, "probabilities": _check_probabilities(model, rows).tolist()},
    }
    if model.linear is not None and model.profiles is not None:
        tensors["linear.weight"], tensors["linear.bias"] = model.linear
        for name in PROFILE_TENSORS:
            tensors[f"profiles.{name}"] = getattr(model.profiles, name)
        labels = [model.labels[i] for i in model.profiles.owner]
        manifest |= {"format_version": 2, "profiles": {"labels": labels, "cells": model.profiles.cells.tolist()}}
        if model.lsi is not None:
            tensors |= {f"lsi.{name}": getattr(model.lsi, name) for name in LSI_TENSORS}
            manifest |= {"format_version": 3, "lsi": {"components": model.lsi.loadings.shape[1]}}
        if model.normalization.method == "clr":
            manifest |= {"format_version": 4}
    else:  # a model that came from a file of version 1
        method = model.normalization.method
        manifest["normalization"] = {"method": V1_LOGNORM if method == "lognorm" else method, "scale": 10_000}
    manifest["content_sha256"] = _digest(manifest, tensors)
    return manifest, tensors


def _plain(facts: Any) -> Any:
    return json.loads(json.dumps(dict(facts), allow_nan=False))


def save(content: bytes, path: str | os.PathLike[str]) -> None:
    """Write bytes to a temporary file beside the target, then rename: a failure leaves the old file as it was.

    Raises
    ------
    ModelFileError
        ``path_not_writable``.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise ModelFileError("path_not_writable", f"The path must be that of one file, not {path!r:.60}.")
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except (OSError, ValueError) as error:  # a ValueError where the path is none
        why = getattr(error, "strerror", error)
        raise ModelFileError(
            "path_not_writable",
            f"The model cannot be written to {os.fspath(path)!r}: {why}. Whatever was there is unchanged.",
        ) from error


def _synthetic_rows(n_features: int) -> list[dict[str, Any]]:
    """Return three sparse rows with up to 50 values each, the same for every model of that size."""
    rng = np.random.default_rng(n_features)
    rows = []
    for _ in range(3):
        indices = np.sort(rng.choice(n_features, min(50, n_features), replace=False))
        values = rng.uniform(0.5, 3, len(indices)).round(3)
        rows.append({"indices": indices.tolist(), "values": values.tolist()})
    return rows


def _check_probabilities(model: Model, rows: list[dict[str, Any]]) -> npt.NDArray[np.float64]:
    indptr = np.cumsum([0, *(len(row["indices"]) for row in rows)])
    indices = np.concatenate([row["indices"] for row in rows]).astype(np.int32)
    values = np.concatenate([row["values"] for row in rows]).astype(np.float32)
    return model.predict_proba(sp.csr_matrix((values, indices, indptr), shape=(3, len(model.features))))


def _digest(manifest: dict[str, Any], tensors: Tensors) -> str:
    """Return the SHA-256 of the manifest (without the digest) and of every tensor."""
    rest = {name: value for name, value in manifest.items() if name != "content_sha256"}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        digest.update(f"{name}:{array.dtype.str}:{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


# ---------------------------------------------------------------------------------------------------- read


def load(path: str | os.PathLike[str]) -> bytes:
    """Read the bytes of a model file, checking no more than its size.

    Raises
    ------
    ModelFileError
        ``file_not_found`` or ``not_a_model``.
    """
    return _existing(path).read_bytes()


def _existing(path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, (str, os.PathLike)):
        raise ModelFileError("file_not_found", f"The path must be that of one file, not {path!r:.60}.")
    source = Path(path)
    try:
        require_file(source)
    except InputError as error:
        raise ModelFileError("file_not_found", str(error)) from None
    if source.stat().st_size > MAX_FILE:
        raise ModelFileError("not_a_model", f"{source} is larger than any model file (8 GiB).")
    return source


def inspect_model(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the manifest of a model file without loading its weights.

    Parameters
    ----------
    path
        A model file.

    Returns
    -------
    The manifest as plain Python values.

    Raises
    ------
    ModelFileError
        ``file_not_found``, ``not_a_model``, ``truncated``, ``newer_version`` or ``invalid_manifest``.
    """
    source = _existing(path)
    with source.open("rb") as file:
        start = file.read(10)
        if len(start) == 10 and start[8:9] == b"{":
            start += file.read(min(struct.unpack("<Q", start[:8])[0], MAX_HEADER))
    return _manifest(start, source.stat().st_size)[0]


def _manifest(content: bytes, size: int | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return manifest and safetensors header, after the checks that need no tensor.

    `content` is that of a file, or of its beginning; then `size` is the file's.
    """
    wrong = ModelFileError("not_a_model", "This is not a DeepScore model file.")
    if len(content) < 10:
        raise wrong
    (length,) = struct.unpack("<Q", content[:8])
    if length > MAX_HEADER or content[8:9] != b"{":
        raise wrong
    if 8 + length > (size or len(content)):
        raise _truncated()
    try:
        header = _json(content[8 : 8 + length].decode())
        manifest = _json(header["__metadata__"]["deepscore"])
        version = manifest["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise wrong from None
    if type(version) is not int:
        raise ModelFileError("invalid_manifest", f"The format version is no whole number but {version!r}.")
    if version > FORMAT_VERSION:
        raise ModelFileError(
            "newer_version",
            f"The file has format version {version}, written by {manifest.get('created_with', 'a newer version')}; "
            f"this version reads up to {FORMAT_VERSION}. Upgrade deepscore.",
        )
    _check_schema(manifest)
    return manifest, header


def _json(text: str) -> Any:
    """Parse JSON that every reader understands alike: finite numbers, no key twice, no half characters, not deep."""

    def finite(number: str) -> float:
        if not math.isfinite(float(number)):
            raise ValueError(f"{number} is no finite number")
        return float(number)

    def whole(number: str) -> int:
        if abs(int(number)) >= 2**63:
            raise ValueError(f"{number} has more than 64 bits")
        return int(number)

    def different(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            raise ValueError("a key is there twice")
        return values

    value = json.loads(text, parse_float=finite, parse_constant=finite, parse_int=whole, object_pairs_hook=different)
    layer, depth = [value], 0
    while layer := [item for one in layer if isinstance(one, (dict, list)) for item in _items(one)]:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"lists and objects are more than {MAX_DEPTH} deep")
    json.dumps(value, ensure_ascii=False).encode()
    return value


def _items(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _truncated() -> ModelFileError:
    return ModelFileError("truncated", "The model file ends too early. Copy or download it again.")


@cache
def _validator(version: int) -> Any:
    from jsonschema import Draft202012Validator

    schema = json.loads(files("deepscore").joinpath(f"model/schemas/model-v{version}.json").read_text(encoding="utf-8"))
    return Draft202012Validator(schema)


def _check_schema(manifest: dict[str, Any]) -> None:
    version = manifest["format_version"]
    version = version if version in range(1, FORMAT_VERSION + 1) else 1
    error = next(_validator(version).iter_errors(manifest), None)
    if error is not None:
        raise ModelFileError(
            "invalid_manifest", f"The manifest is not valid at {error.json_path}: {error.message[:300]}"
        )


def from_bytes(content: bytes) -> Model:
    """Read a model from the content of a model file, after every check of the format.

    Raises
    ------
    ModelFileError
        ``not_a_model``, ``truncated``, ``newer_version``, ``invalid_manifest``, ``invalid_tensors`` or ``edited``.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as load_tensors

    manifest, header = _manifest(content)
    try:
        ends = [int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"]
        if 8 + struct.unpack("<Q", content[:8])[0] + max(ends, default=0) > len(content):
            raise _truncated()
        tensors = load_tensors(content)
    except (SafetensorError, ValueError, LookupError, TypeError) as error:
        raise ModelFileError("invalid_tensors", f"The tensors cannot be read: {error}") from None
    _check_tensors(manifest, tensors)
    _check_parts(manifest)
    edited = "Its content is not what was saved: the file was edited or damaged. Use the original."
    if _digest(manifest, tensors) != manifest["content_sha256"]:
        raise ModelFileError("edited", edited)
    model = _build(manifest, tensors)
    expected = np.array(manifest["self_check"]["probabilities"])
    probabilities = _check_probabilities(model, manifest["self_check"]["rows"])
    if not np.abs(expected - probabilities).max() <= SELF_CHECK_TOLERANCE:  # also where it is NaN
        raise ModelFileError("edited", "The model does not give the results it was saved with. " + edited)
    try:
        NetworkConfig(seed=manifest["training"]["seed"], **recorded(manifest["network"]))
    except ConfigError as error:
        raise ModelFileError("invalid_manifest", f"The settings of the network cannot be used: {error}") from None
    return model


def _check_tensors(manifest: dict[str, Any], tensors: Tensors) -> None:
    """Compare names, shapes, types and finiteness of all tensors with the manifest."""
    n = len(manifest["features"])
    sizes = [n, *manifest["network"]["hidden_nodes"], len(manifest["labels"])]
    expected: dict[str, tuple[int, ...]] = {"feature_mean": (n,), "feature_scale": (n,)}
    expected |= {f"feature_{name}": (n,) for name in _recipe_of(manifest).array_names}
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        expected |= {f"layers.{i}.weight": (a, b), f"layers.{i}.bias": (b,)}
    if manifest["format_version"] > 1:
        n_labels, n_profiles = len(manifest["labels"]), len(manifest["profiles"]["labels"])
        expected |= {"linear.weight": (n, n_labels), "linear.bias": (n_labels,), "profiles.mean": (n_profiles, n)}
        expected |= {"profiles.variance": (n_labels, n), "profiles.within": (n, WITHIN)}
    if "lsi" in manifest:
        k = manifest["lsi"]["components"]
        expected |= {"lsi.loadings": (n, k), **{f"lsi.{name}": (k,) for name in LSI_TENSORS[1:]}}
    if expected.keys() != tensors.keys():
        wrong = sorted(expected.keys() ^ tensors.keys())
        raise ModelFileError("invalid_tensors", f"Tensors missing or unexpected: {', '.join(wrong[:5])}.")
    for name, shape in expected.items():
        array = tensors[name]
        if array.shape != shape or array.dtype != np.float32:
            raise ModelFileError(
                "invalid_tensors", f"{name} is {array.dtype} {array.shape}; float32 {shape} was expected."
            )
        if not np.isfinite(array).all():
            raise ModelFileError("invalid_tensors", f"{name} holds NaN or infinite values.")
    for name in ("feature_scale", "feature_idf", "lsi.singular_values", "lsi.deviation"):
        if name in tensors and not (tensors[name] > 0).all():
            raise ModelFileError("invalid_tensors", f"{name} must be positive.")
    if "feature_idf" in tensors and tensors["feature_idf"].max() > MAX_IDF[manifest["format_version"]]:
        raise ModelFileError("invalid_tensors", "feature_idf holds values that no reference has.")
    if "profiles.variance" in tensors and not (tensors["profiles.variance"] >= 0).all():
        raise ModelFileError("invalid_tensors", "profiles.variance must not be negative.")


def _check_parts(manifest: dict[str, Any]) -> None:
    """Check that the recipe fits the modality, and labels, their profiles and the self-check each other."""
    kind, recipe = MODALITIES[manifest["modality"]], _recipe_of(manifest)
    if recipe not in (kind.recipe, *kind.former_recipes):
        raise ModelFileError("invalid_manifest", f"The recipe {recipe.method!r} is not one of {kind.features}.")
    if UNCLASSIFIED in manifest["labels"]:
        raise ModelFileError("invalid_manifest", f"A label is {UNCLASSIFIED!r}: what cells without a call are called.")
    profiles = manifest.get("profiles")
    if profiles is not None and (
        set(profiles["labels"]) != set(manifest["labels"]) or len(profiles["cells"]) != len(profiles["labels"])
    ):
        raise ModelFileError("invalid_manifest", "The profiles do not fit the labels.")
    check, n = manifest["self_check"], len(manifest["features"])
    if any(len(names) != n for names in manifest["training"].get("other_names", {}).values()):
        raise ModelFileError("invalid_manifest", "The other names do not fit the features.")
    if not set(manifest["training"].get("ontology_terms", {})) <= set(manifest["labels"]):
        raise ModelFileError("invalid_manifest", "The ontology's terms are of other labels.")
    fits = all(
        len(row["indices"]) == len(row["values"]) and all(i < n for i in row["indices"]) for row in check["rows"]
    ) and all(len(row) == len(manifest["labels"]) for row in check["probabilities"])
    if not fits:
        raise ModelFileError("invalid_manifest", "The self-check does not fit the features and labels.")


def _recipe_of(manifest: dict[str, Any]) -> type[Normalization]:
    method = manifest["normalization"]["method"]
    return RECIPES["lognorm" if method == V1_LOGNORM else method]


def _build(manifest: dict[str, Any], tensors: Tensors) -> Model:
    n_layers = len(manifest["network"]["hidden_nodes"]) + 1
    recipe, linear, profiles = _recipe_of(manifest), None, None
    if manifest["format_version"] > 1:
        linear = tensors["linear.weight"], tensors["linear.bias"]
        position = {label: i for i, label in enumerate(manifest["labels"])}
        profiles = Profiles(
            owner=np.array([position[label] for label in manifest["profiles"]["labels"]], dtype=np.intp),
            cells=np.array(manifest["profiles"]["cells"], dtype=np.intp),
            **{name: tensors[f"profiles.{name}"] for name in PROFILE_TENSORS},
        )
    return Model(
        features=tuple(manifest["features"]),
        labels=tuple(manifest["labels"]),
        modality=manifest["modality"],
        normalization=recipe.read(
            manifest["normalization"], {name: tensors[f"feature_{name}"] for name in recipe.array_names}
        ),
        mean=tensors["feature_mean"],
        deviation=tensors["feature_scale"],
        layers=tuple((tensors[f"layers.{i}.weight"], tensors[f"layers.{i}.bias"]) for i in range(n_layers)),
        temperature=manifest["calibration"]["temperature"],
        network=manifest["network"],
        training=manifest["training"],
        created_with=manifest["created_with"],
        linear=linear,
        profiles=profiles,
        lsi=LSI(*(tensors[f"lsi.{name}"] for name in LSI_TENSORS)) if "lsi" in manifest else None,
    )
