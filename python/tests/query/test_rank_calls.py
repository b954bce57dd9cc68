from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import spearmanr

from deepscore.query.rank_calls import RankedProfiles
from deepscore.query.sample import Sample
from deepscore.query.settings import SETTINGS
from synthetic import full_model, normalised, study

MIXED = [60, 10, 40, 30, 10]


def sample_of(model, x, present=None):
    n, n_features = x.shape
    present = np.ones(n_features, bool) if present is None else present
    return Sample(model, x, np.zeros(n, np.intp), 1, present[None], np.arange(n), np.arange(n))


def called(model, x, present=None, settings=SETTINGS):
    return RankedProfiles.of(sample_of(model, x, present), settings).calls(x)


def slow_markers(profiles, present, n_markers):
    """Find the most raised features, label against label."""
    means, markers = profiles.label_means(), set()
    for one in means:
        for other in means:
            raised = [(value, feature) for feature, value in enumerate(one - other) if present[feature] and value > 0]
            markers |= {feature for _, feature in sorted(raised, reverse=True)[:n_markers]}
    return sorted(markers)


def slow_correlations(x, profiles, present, n_markers):
    """Correlate each cell with each label's nearest profile over the markers."""
    features = slow_markers(profiles, present, n_markers)
    found = np.full((x.shape[0], profiles.owner.max() + 1), -1.0)
    for cell, values in zip(found, x.toarray(), strict=True):
        for label, profile in zip(profiles.owner, profiles.mean, strict=True):
            cell[label] = max(cell[label], spearmanr(values[features], profile[features]).statistic)
    return found


MARKERS = pytest.mark.parametrize("n_markers", [2, 10, 1000])
MISSING = pytest.mark.parametrize("missing", [0, 90])


@MARKERS
@MISSING
def test_a_cell_has_the_label_of_the_profile_of_highest_rank_correlation(of_study, n_markers, missing):
    x, present = normalised(of_study, study(3, MIXED, 0.5)[0]), np.arange(150) >= missing
    found = called(of_study, x, present, replace(SETTINGS, rank_markers=n_markers))
    correlations = slow_correlations(x, of_study.profiles, present, n_markers)
    np.testing.assert_allclose(correlations[np.arange(len(found)), found], correlations.max(axis=1), atol=1e-9)
    assert len(set(found)) == 5


@MARKERS
@MISSING
def test_means_of_cells_are_correlated_with_each_profile(of_study, rng, n_markers, missing):
    present, means = np.arange(150) >= missing, rng.gamma(1, 1, (7, 150)) * (rng.random((7, 150)) < 0.8)
    ranked = RankedProfiles.of(
        sample_of(of_study, sp.csr_matrix(means), present), replace(SETTINGS, rank_markers=n_markers)
    )
    features = slow_markers(of_study.profiles, present, n_markers)
    assert ranked.features.tolist() == features
    assert ranked.owner.tolist() == of_study.profiles.owner.tolist()
    expected = [
        [spearmanr(mean[features], profile[features]).statistic for profile in of_study.profiles.mean] for mean in means
    ]
    np.testing.assert_allclose(ranked.correlations(means), expected, atol=1e-6)


def test_the_50_most_raised_features_of_each_label_against_each_other_are_ranked(rng):
    model = full_model(n_features=500)
    x = sp.csr_matrix(rng.gamma(1, 1, (120, 500)) * (rng.random((120, 500)) < 0.7))  # like no label: each feature tells
    found = called(model, x)
    correlations = slow_correlations(x, model.profiles, np.ones(500, bool), 50)
    np.testing.assert_allclose(correlations[np.arange(120), found], correlations.max(axis=1), atol=1e-9)
    for other in (49, 51):
        fewer = slow_correlations(x, model.profiles, np.ones(500, bool), other)
        assert (fewer.argmax(axis=1) != correlations.argmax(axis=1)).any()


def test_only_the_order_of_a_cells_values_counts(of_study):
    counts, codes = study(3, MIXED, 0.8)
    x = normalised(of_study, counts)
    found = called(of_study, x)
    assert (found == codes).mean() > 0.9
    bent = sp.csr_matrix(sp.diags(np.linspace(0.1, 9, len(codes))) @ x.power(3))  # each cell by another factor
    np.testing.assert_array_equal(called(of_study, bent), found)


def test_stored_zeros_and_empty_cells_are_zeros_like_any_other(of_study):
    dense = normalised(of_study, study(3, MIXED, 0.8)[0]).toarray()
    dense[:5] = 0
    x = sp.csr_matrix(dense)
    cell, feature = np.indices(dense.shape)
    stored = sp.csr_matrix((dense.ravel(), (cell.ravel(), feature.ravel())), shape=dense.shape)
    assert stored.nnz > x.nnz
    found, plain = (called(of_study, values) for values in (stored, x))
    np.testing.assert_array_equal(found, plain)
    assert stored.nnz == dense.size  # what is given stays as it is


def test_without_any_marker_there_still_is_a_call(of_study):
    x = normalised(of_study, study(3, MIXED, 0.8)[0])
    flat = replace(of_study, profiles=replace(of_study.profiles, mean=np.ones_like(of_study.profiles.mean)))
    for model, present in ((flat, np.ones(150, bool)), (of_study, np.zeros(150, bool))):
        assert called(model, x, present).shape == (x.shape[0],)
        means = RankedProfiles.of(sample_of(model, x, present)).correlations(x.toarray())
        np.testing.assert_array_equal(means, np.zeros((x.shape[0], len(model.profiles.mean))))
