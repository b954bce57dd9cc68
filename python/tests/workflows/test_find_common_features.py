from __future__ import annotations

import numpy as np
import pytest

from deepscore.data.modality import RNA
from deepscore.errors import ConfigError
from deepscore.features.select import common_features
from deepscore.workflows.find_common_features import FeaturesRequest, find_common_features
from synthetic import blocks_of, counts, names, peak_names


def test_features_are_chosen_among_those_of_one_kind(rng):
    genes = counts(rng, np.arange(60) % 3, 20).toarray()
    mixed = np.column_stack([genes, np.full((60, 10), 9)])
    features = np.concatenate([names("GENE", 20), peak_names(10)])
    request = FeaturesRequest(n_features=5, modality="rna")
    alone = blocks_of(genes)
    found = find_common_features(blocks_of(mixed, features), [alone], request)
    assert found == common_features(alone, [alone], 5, "variable", RNA)


@pytest.mark.parametrize("options", [{"n_features": 0}, {"strategy": "best"}, {"test": "anova"}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError) as caught:
        FeaturesRequest(**options)
    assert caught.value.code == "bad_argument"
