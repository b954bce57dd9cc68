from __future__ import annotations

import warnings

import numpy as np
import pytest

from deepscore.data.mismatch import no_shared_features, require_single, tell_repeated_features
from deepscore.data.names import match_names
from deepscore.errors import InputError
from synthetic import blocks_of, names, peak_names

GENES = names("GENE", 12)


@pytest.mark.parametrize(
    ("wanted", "features", "told"),
    [
        (GENES, names("OTHER", 5), "Check species"),
        (GENES, peak_names(5), "gene_activity"),
        (peak_names(12), np.array(["chr9:1-2"], object), "find_common_peaks"),
    ],
)
def test_the_way_out_depends_on_what_the_names_look_like(wanted, features, told):
    error = no_shared_features(wanted, blocks_of(np.ones((3, len(features))), features))
    assert error.code == "no_shared_features"
    for part in (told, wanted[0], features[0]):
        assert part in str(error)


def test_names_that_mean_one_feature_are_ambiguous():
    features = np.array(["ENSG00000141510.1", "ENSG00000141510.2"], object)
    error = no_shared_features(np.array(["ENSG00000141510"], object), blocks_of(np.ones((3, 2)), features))
    assert error.code == "duplicate_features"
    for part in (*features, "ambiguous"):
        assert part in str(error)


def test_a_matrix_the_wrong_way_round_is_recognised_from_either_side():
    turned = blocks_of(np.ones((12, 4)), names("cell", 4), GENES)
    assert no_shared_features(GENES, turned).code == "wrong_orientation"
    query = blocks_of(np.ones((3, 12)), names("cell", 12))
    assert no_shared_features(GENES, query, names("cell", 20)).code == "wrong_orientation"


COPIES = np.array(["A", "B", "b", "C", "A", "C"], object)


@pytest.mark.parametrize(
    ("wanted", "positions", "twice"),
    [
        (["B", "D"], [1, -1], None),
        (["B", "A"], [1, -1], "1 of the 2 features .*(A)"),
        (["c", "B", "a"], [-1, 1, -1], "2 of the 3 features .*(c, a)"),
    ],
)
def test_only_a_copy_of_what_is_needed_is_refused(wanted, positions, twice):
    data, wanted = blocks_of(np.ones((2, 6)), COPIES), np.array(wanted, object)
    assert match_names(wanted, COPIES).tolist() == positions
    if twice is None:
        require_single(wanted, np.array(positions), data)
        return
    with pytest.raises(InputError, match=twice) as caught:
        require_single(wanted, np.array(positions), data)
    assert caught.value.code == "duplicate_features"


@pytest.mark.parametrize(
    ("among", "told"), [(None, "2 feature names .* in the query (A, C): "), ("CD", "1 feature names"), ("BD", None)]
)
def test_copies_that_could_have_been_chosen_are_told(among, told):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tell_repeated_features(
            blocks_of(np.ones((2, 6)), COPIES), "query", None if among is None else np.array(list(among), object)
        )
    assert len(caught) == (told is not None)
    if told is not None:
        assert told.split(" .* ")[-1] in str(caught[0].message)
