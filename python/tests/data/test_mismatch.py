from __future__ import annotations

import numpy as np
import pytest

from deepscore.data.mismatch import no_shared_features
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


def test_a_matrix_the_wrong_way_round_is_recognised_from_either_side():
    turned = blocks_of(np.ones((12, 4)), names("cell", 4), GENES)
    assert no_shared_features(GENES, turned).code == "wrong_orientation"
    query = blocks_of(np.ones((3, 12)), names("cell", 12))
    assert no_shared_features(GENES, query, names("cell", 20)).code == "wrong_orientation"
