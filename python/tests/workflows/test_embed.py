from __future__ import annotations

import numpy as np
import pytest

from deepscore.errors import ConfigError, InputError
from deepscore.workflows.embed import EmbedRequest, embed
from synthetic import blocks_of, full_model, peak_model, peak_names


def test_a_query_is_projected_by_the_terms_of_the_model(rng):
    model = peak_model()
    raw = rng.poisson(0.7, (40, 30)).astype(float) + np.eye(40, 30)
    found = embed(model, blocks_of(raw, peak_names(30), rows=7), EmbedRequest())
    tf, idf = raw / raw.sum(axis=1, keepdims=True), np.expm1(model.normalization.idf.astype(float))
    terms = np.log1p(1e4 * tf * idf)  # Signac's first method
    expected = (terms @ model.lsi.loadings / model.lsi.singular_values - model.lsi.mean) / model.lsi.deviation
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_a_model_of_genes_has_no_components():
    with pytest.raises(InputError) as caught:
        embed(full_model(), blocks_of(np.ones((3, 30))), EmbedRequest())
    assert caught.value.code == "no_lsi"


def test_an_overlap_that_makes_no_sense_is_refused():
    with pytest.raises(ConfigError):
        EmbedRequest(min_overlap=2)
