from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import spearmanr

from deepscore.query import rank_calls as ranks
from deepscore.query.rank_calls import called_by_ranks
from synthetic import normalised, study

MIXED = [60, 10, 40, 30, 10]


def slow_correlations(x, profiles, present, n_markers):
    """Correlate each cell with each profile over the markers, found label against label."""
    means, markers = profiles.label_means(), set()
    for one in means:
        for other in means:
            raised = [(value, feature) for feature, value in enumerate(one - other) if present[feature] and value > 0]
            markers |= {feature for _, feature in sorted(raised, reverse=True)[:n_markers]}
    features = sorted(markers)
    found = np.full((x.shape[0], len(means)), -1.0)
    for cell, values in zip(found, x.toarray(), strict=True):
        for label, profile in zip(profiles.owner, profiles.mean, strict=True):
            cell[label] = max(cell[label], spearmanr(values[features], profile[features]).statistic)
    return found


@pytest.mark.parametrize("n_markers", [2, 10, 1000])
@pytest.mark.parametrize("missing", [0, 90])
def test_a_cell_has_the_label_of_the_profile_of_highest_rank_correlation(of_study, monkeypatch, n_markers, missing):
    monkeypatch.setattr(ranks, "MARKERS", n_markers)
    x, present = normalised(of_study, study(3, MIXED, 0.5)[0]), np.arange(150) >= missing
    found = called_by_ranks(x, of_study.profiles, present)
    correlations = slow_correlations(x, of_study.profiles, present, n_markers)
    np.testing.assert_allclose(correlations[np.arange(len(found)), found], correlations.max(axis=1), atol=1e-9)
    assert len(set(found)) == 5


def test_only_the_order_of_a_cells_values_counts(of_study):
    counts, codes = study(3, MIXED, 0.8)
    x, everywhere = normalised(of_study, counts), np.ones(150, bool)
    found = called_by_ranks(x, of_study.profiles, everywhere)
    assert (found == codes).mean() > 0.9
    bent = sp.diags(np.linspace(0.1, 9, len(codes))) @ x.power(3)  # each cell by another factor
    np.testing.assert_array_equal(called_by_ranks(sp.csr_matrix(bent), of_study.profiles, everywhere), found)


def test_stored_zeros_and_empty_cells_are_zeros_like_any_other(of_study):
    dense = normalised(of_study, study(3, MIXED, 0.8)[0]).toarray()
    dense[:5] = 0
    x = sp.csr_matrix(dense)
    cell, feature = np.indices(dense.shape)
    stored = sp.csr_matrix((dense.ravel(), (cell.ravel(), feature.ravel())), shape=dense.shape)
    assert stored.nnz > x.nnz
    found, plain = (called_by_ranks(values, of_study.profiles, np.ones(150, bool)) for values in (stored, x))
    np.testing.assert_array_equal(found, plain)
    assert stored.nnz == dense.size  # what is given stays as it is


def test_without_any_marker_there_still_is_a_call(of_study):
    x = normalised(of_study, study(3, MIXED, 0.8)[0])
    flat = replace(of_study.profiles, mean=np.ones_like(of_study.profiles.mean))
    for profiles, present in ((flat, np.ones(150, bool)), (of_study.profiles, np.zeros(150, bool))):
        found = called_by_ranks(x, profiles, present)
        assert found.shape == (x.shape[0],)
