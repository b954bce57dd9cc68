"""The fixtures, and the changes that cases make to them; shared_data.R is the twin."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.io import mmread

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Data:
    """A features x cells matrix with its names and its table of cells."""

    x: sp.csc_matrix
    features: list[str]
    cells: pd.DataFrame
    layers: dict[str, sp.csc_matrix]
    columns: dict[str, list[str]] = field(default_factory=dict)  # of the table of features


def read_json(name: str | Path):
    return json.loads((HERE / name).read_text(encoding="utf-8"))


def read_cases() -> list[dict]:
    """Read the cases, and what the archived models must answer."""
    files = [*sorted(HERE.glob("cases/*.json")), *sorted(HERE.glob("models/*/*.json"))]
    return [case for file in files for case in read_json(file)]


def read_fixture(spec: dict) -> Data:
    """Read the data set that a case describes: fixture, values ("counts" by default), layers and mutations."""
    folder = HERE / "fixtures" / spec["fixture"]
    cells = pd.read_csv(folder / "cells.tsv", sep="\t", index_col="cell", keep_default_na=False, na_values="NA")
    layers = {name: read_matrix(folder / f"{values}.mtx") for name, values in spec.get("layers", {}).items()}
    x = read_matrix(folder / f"{spec.get('values', 'counts')}.mtx")
    data = Data(x, (folder / "features.txt").read_text().split("\n")[:-1], cells, layers)
    for change in spec.get("mutate", []):
        data = MUTATIONS[change["do"]](data, **{name: value for name, value in change.items() if name != "do"})
    return data


def read_matrix(path: Path) -> sp.csc_matrix:
    return sp.csc_matrix(mmread(path).astype(np.float64))


def to_anndata(data: Data) -> ad.AnnData:
    with warnings.catch_warnings():  # names that are not unique are what some cases are about
        warnings.simplefilter("ignore", UserWarning)
        var = pd.DataFrame(data.columns, index=data.features)
        layers = {name: x.T.tocsr().astype(np.float32) for name, x in data.layers.items()}
        return ad.AnnData(data.x.T.tocsr().astype(np.float32), data.cells.copy(), var, layers=layers)


def make_labels(spec: str | dict | None, data: Data):
    """Return labels as a case describes them: a column name, or a vector, factor or series made of a column."""
    if not isinstance(spec, dict):
        return spec
    if "values" in spec:
        return spec["values"] * spec["times"]
    values = data.cells[spec["column"]]
    if "fill" in spec:
        values = pd.Series([spec["fill"]] * len(values), index=values.index, dtype=object)
    if "take" in spec:
        values = pd.concat([values, values])[: spec["take"]]
    if spec["as"] == "factor":
        return values.astype("category").array
    if spec["as"] == "named_reversed":
        return values[::-1]
    if spec["as"] == "named_otherwise":
        return values.set_axis([f"other{i}" for i in range(len(values))])
    return values.tolist()


# ---------------------------------------------------------------------------------------------- mutations


def take_features(data: Data, start: int, stop: int) -> Data:
    layers = {name: x[start:stop] for name, x in data.layers.items()}
    return replace(data, x=data.x[start:stop], features=data.features[start:stop], layers=layers)


def take_cells(data: Data, start: int, stop: int) -> Data:
    layers = {name: x[:, start:stop] for name, x in data.layers.items()}
    return replace(data, x=data.x[:, start:stop], cells=data.cells.iloc[start:stop], layers=layers)


def reverse_features(data: Data) -> Data:
    layers = {name: x[::-1] for name, x in data.layers.items()}
    return replace(data, x=data.x[::-1], features=data.features[::-1], layers=layers)


def reverse_cells(data: Data) -> Data:
    layers = {name: x[:, ::-1] for name, x in data.layers.items()}
    return replace(data, x=data.x[:, ::-1], cells=data.cells.iloc[::-1], layers=layers)


def rename(data: Data, pairs: dict[str, str]) -> Data:
    return replace(data, features=[pairs.get(name, name) for name in data.features])


def prefix_features(data: Data, prefix: str, start: int = 0) -> Data:
    names = data.features
    return replace(data, features=names[:start] + [prefix + name for name in names[start:]])


def name_as_peaks(data: Data, stop: int) -> Data:
    peaks = [f"chr9:{i + 1}000-{i + 1}500" for i in range(stop)]
    return replace(data, features=peaks + data.features[stop:])


def respell(data: Data, pairs: dict[str, str]) -> Data:
    """Replace parts of all names, one pair after the other."""
    names = data.features
    for old, new in pairs.items():
        names = [name.replace(old, new) for name in names]
    return replace(data, features=names)


def number_features(data: Data, column: str | None = None, backwards: str | None = None) -> Data:
    """Call the features 0, 1, ...; their names go to a column of the table of features, if anywhere.

    A second column may have them in the opposite order.
    """
    columns = {} if column is None else {column: data.features}
    if backwards is not None:
        columns[backwards] = data.features[::-1]
    return replace(data, features=[str(i) for i in range(len(data.features))], columns=columns)


def copy_feature_name(data: Data) -> Data:
    return replace(data, features=[data.features[1], *data.features[1:]])


def copy_cell_name(data: Data) -> Data:
    names = data.cells.index
    return replace(data, cells=data.cells.set_axis([names[1], *names[1:]]))


def set_value(data: Data, value: str | float, feature: int, cell: int) -> Data:
    x = data.x.tolil(copy=True)
    x[feature, cell] = float(value)
    return replace(data, x=x.tocsc())


def empty_cell(data: Data, cell: int) -> Data:
    keep = np.ones(data.x.shape[1])
    keep[cell] = 0
    x = (data.x @ sp.diags(keep)).tocsc()
    x.eliminate_zeros()
    return replace(data, x=x)


def multiply(data: Data, by: float) -> Data:
    return replace(data, x=data.x * by)


def scale(data: Data) -> Data:
    """Turn the values into z-scores of each feature."""
    dense = data.x.toarray()
    spread = dense.std(axis=1, ddof=1, keepdims=True)
    dense = (dense - dense.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1)
    return replace(data, x=sp.csc_matrix(dense))


def transpose(data: Data) -> Data:
    cells = pd.DataFrame(index=data.features)
    return Data(data.x.T.tocsc(), data.cells.index.tolist(), cells, {})


MUTATIONS = {
    change.__name__: change
    for change in (
        take_features, take_cells, reverse_features, reverse_cells, rename, prefix_features, name_as_peaks, respell,
        number_features, copy_feature_name, copy_cell_name, set_value, empty_cell, multiply, scale, transpose,
    )
}  # fmt: skip


# -------------------------------------------------------------------------------------------- broken files


def change_file(content: bytes, change: dict) -> bytes:
    """Break the bytes of a model file as a case describes it."""
    if change["do"] == "keep_bytes":
        return content[: change["n"]]
    if change["do"] == "drop_last_bytes":
        return content[: -change["n"]]
    if change["do"] == "flip_byte":
        at = len(content) - change["from_end"]
        return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    if change["do"] == "write_length":  # of the header
        return change["n"].to_bytes(8, "little") + content[8:]
    if change["do"] == "replace":  # of the same length, so that all offsets stay right
        old, new = change["find"].encode(), change["with"].encode()
        assert old in content
        assert len(old) == len(new)
        return content.replace(old, new, 1)
    return change["text"].encode()
