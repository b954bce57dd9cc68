from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from deepscore.data.blocks import CellBlocks
from deepscore.data.joined import join, naming, require_one_form
from deepscore.errors import ConfigError, InputError


def blocks(x, features, cells=None, **more):
    """Return a data set of a dense matrix."""
    x = sp.csr_matrix(np.asarray(x, dtype=np.float32))
    names = np.array(cells or [f"c{i}" for i in range(x.shape[0])], dtype=object)
    return CellBlocks(
        np.array(features, dtype=object), names, lambda start, stop: x[start:stop], 2, **({"source": "X"} | more)
    )


def test_data_sets_of_the_same_features_are_one_below_the_other():
    a, b = np.arange(6).reshape(3, 2), np.arange(8).reshape(4, 2)
    both = join([blocks(a, ["g1", "g2"]), blocks(b, ["g1", "g2"])], ["a", "b"])
    assert both.parts is None
    assert both.cell_names.tolist() == ["c0", "c1", "c2", "c0", "c1", "c2", "c3"]
    whole = np.vstack([a, b])
    np.testing.assert_array_equal(both.to_csr().toarray(), whole)
    for start in range(7):
        for stop in range(start + 1, 8):
            np.testing.assert_array_equal(both.read(start, stop).toarray(), whole[start:stop])


def test_one_data_set_many_times():
    a = np.arange(6).reshape(3, 2)
    one = blocks(a, ["g1", "g2"])
    np.testing.assert_array_equal(join([one] * 4, list("abcd")).to_csr().toarray(), np.tile(a, (4, 1)))


def test_what_a_data_set_has_not_measured_is_missing_and_not_zero():
    a, b, c = np.arange(1, 7).reshape(2, 3), np.arange(1, 5).reshape(2, 2), np.arange(1, 4).reshape(1, 3)
    every = join(
        [blocks(a, ["g1", "g2", "g3"]), blocks(b, ["g4", "g2"]), blocks(c, ["g1", "g2", "g3"])], ["a", "b", "c"]
    )
    assert every.feature_names.tolist() == ["g1", "g2", "g3", "g4"]
    assert every.parts.names == ("a", "b")  # the features of "c" are those of "a"
    assert every.parts.of_cell.tolist() == [0, 0, 1, 1, 0]
    assert every.parts.measured.tolist() == [[True, True, True, False], [False, True, False, True]]
    expected = np.zeros((5, 4))
    expected[:2, :3], expected[2:4, [3, 1]], expected[4:, :3] = a, b, c
    np.testing.assert_array_equal(every.to_csr().toarray(), expected)
    assert every.read(1, 4).has_sorted_indices
    assert every.measured_by_all().feature_names.tolist() == ["g2"]


def test_features_of_one_name_stay_several():
    both = join([blocks([[1, 2, 3]], ["g", "g", "h"]), blocks([[4, 5]], ["h", "g"])], ["a", "b"])
    assert both.feature_names.tolist() == ["g", "g", "h"]
    np.testing.assert_array_equal(both.to_csr().toarray(), [[1, 2, 3], [5, 0, 4]])
    assert both.single.tolist() == [False, False, True]


def test_ids_are_matched_to_symbols_where_a_data_set_has_both():
    ids, symbols = np.array(["ENSG01", "ENSG02", "ENSG03"], object), np.array(["A", "B", "C"], object)
    a = blocks([[1, 2, 3]], symbols, other_names={"gene_ids": ids})
    b = blocks([[7, 8]], ids[[2, 0]])
    both = join([a, b], ["a", "b"])
    assert both.feature_names.tolist() == ["A", "B", "C"]
    np.testing.assert_array_equal(both.to_csr().toarray(), [[1, 2, 3], [8, 0, 7]])
    assert both.parts.measured.tolist() == [[True, True, True], [True, False, True]]


def test_what_the_tables_of_features_say_is_that_of_the_first_that_says_it():
    a = blocks([[1, 2]], ["A", "B"], other_names={"ids": np.array(["i1", None], object)})
    b = blocks(
        [[1, 2]],
        ["B", "C"],
        feature_types=np.array(["x", "y"], object),
        other_names={"ids": np.array(["i2", "i3"], object)},
    )
    both = join([a, b], ["a", "b"])
    assert both.other_names["ids"].tolist() == ["i1", "i2", "i3"]
    assert both.feature_types.tolist() == ["None", "x", "y"]


def test_an_error_names_the_data_set():
    def fails(start, stop):
        raise InputError("unknown_data", "X cannot be read.")

    whole = blocks([[1.0]], ["g"])
    broken = CellBlocks(whole.feature_names, whole.cell_names, fails, 2, "X")
    with pytest.raises(InputError, match=r"^b\.h5ad: X cannot be read") as caught:
        join([whole, broken], ["a.h5ad", "b.h5ad"]).to_csr()
    assert caught.value.code == "unknown_data"
    with pytest.raises(ConfigError, match="^a says it"), naming("a"):
        raise ConfigError("bad_argument", "a says it")


def lognorm(counts, total, base=np.e):
    return np.log1p(counts / counts.sum(axis=1, keepdims=True) * total) / np.log(base)


def test_counts_beside_logarithms_are_refused():
    counts = np.random.default_rng(0).poisson(1.0, (60, 40)) + np.eye(60, 40)
    names = [f"g{i}" for i in range(40)]
    values = {
        "counts": counts,
        "fractions": counts * 0.25,
        "logs": lognorm(counts, 1e4),
        "log2": lognorm(counts, 1e4, 2),
        "million": lognorm(counts, 1e6),
    }
    data = {name: blocks(x, names) for name, x in values.items()}
    require_one_form([data["counts"], data["fractions"]], ["a", "b"])
    require_one_form([data["logs"], data["logs"]], ["a", "b"])
    for a, b in (("counts", "logs"), ("logs", "log2"), ("logs", "million")):
        with pytest.raises(InputError, match=f"{a} holds .*, {b} holds") as caught:
            require_one_form([data[a], data[b]], [a, b])
        assert caught.value.code == "mixed_values"
    few = blocks(values["logs"][:5], names)  # too few to tell
    require_one_form([data["counts"], few], ["a", "b"])
