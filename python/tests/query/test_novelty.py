from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import roc_auc_score

from deepscore.query import novelty
from deepscore.query.neighbours import Space
from deepscore.query.novelty import WITHIN, p_known, profiles_of
from synthetic import log_cp10k, normalised, study


def known(model, counts, groups=None, present=None):
    """Return P(known) of a query, standardised by itself as :mod:`deepscore.query.view` does it."""
    x = normalised(model, counts)
    groups = np.zeros(x.shape[0], np.intp) if groups is None else groups
    present = np.ones(x.shape[1], bool) if present is None else present
    space = Space.of(x, groups, int(groups.max()) + 1, whole=True)
    return p_known(space, groups, present, model.predict_proba(x, present=present), model.profiles)


# ------------------------------------------------------------------------------------------------ profiles


@pytest.fixture(scope="module")
def reference():
    counts, codes = study(1, [400, 130, 60, 3, 1])
    return sp.csr_matrix(log_cp10k(counts), dtype=np.float32), codes


def test_profiles_hold_means_numbers_and_variances(reference):
    matrix, codes = reference
    found, dense = profiles_of(matrix, codes), matrix.toarray().astype(float)
    assert np.bincount(found.owner).tolist() == [6, 2, 1, 1, 1]
    assert np.bincount(found.owner, found.cells).tolist() == [400, 130, 60, 3, 1]
    for label in range(5):
        cells = dense[codes == label]
        np.testing.assert_allclose(found.label_means()[label], cells.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(found.variance[label], cells.var(axis=0), atol=1e-4)
    assert found.within.shape == (matrix.shape[1], WITHIN)
    np.testing.assert_allclose(found.within.T @ found.within, np.eye(WITHIN), atol=1e-5)
    for part in (found.mean, found.variance, found.within):
        assert part.dtype == np.float32
    again = profiles_of(matrix, codes)
    np.testing.assert_array_equal(found.mean, again.mean)


def test_of_a_large_reference_some_cells_stand_for_all(reference, monkeypatch):
    matrix, codes = reference
    whole = profiles_of(matrix, codes)
    monkeypatch.setattr(novelty, "MOST_CELLS", 260)
    some = profiles_of(matrix, codes)
    cells = (np.bincount(profiles.owner, profiles.cells) for profiles in (some, whole))
    np.testing.assert_allclose(*cells, atol=0.005 * len(codes))
    np.testing.assert_allclose(some.label_means(), whole.label_means(), atol=0.7)
    np.testing.assert_allclose(some.label_means()[2:], whole.label_means()[2:], atol=1e-5)  # small labels stay whole


def test_a_reference_of_two_cells_has_profiles():
    found = profiles_of(sp.csr_matrix([[1.0, 0, 2], [0, 3, 1]], dtype=np.float32), np.array([0, 1]))
    np.testing.assert_array_equal(found.mean, [[1, 0, 2], [0, 3, 1]])
    assert not found.variance.any()
    assert not found.within.any()


# ------------------------------------------------------------------------------------------- unknown types


@pytest.mark.parametrize("shift", [0.0, 1.0])
@pytest.mark.parametrize("n_unknown", [30, 120])
def test_an_unknown_type_is_told_from_the_known_ones(of_study, shift, n_unknown):
    counts, codes = study(5, [80, 80, 80, 80, 80, n_unknown], shift)
    found = known(of_study, counts)
    assert (found[codes == 5] < 0.5).mean() > 0.85
    assert (found[codes < 5] >= 0.5).mean() > 0.97
    assert np.median(found[codes < 5]) == 1
    assert found.max() == 1
    assert found.min() >= 0


@pytest.mark.parametrize("sizes", [[100] * 5, [300, 0, 0, 5, 5], [0, 200, 200, 0, 0]])
def test_known_types_stay_known_in_any_composition(of_study, sizes):
    assert (known(of_study, study(6, sizes, 0.5)[0]) > 0.5).mean() > 0.97


def test_two_samples_and_missing_features_do_not_hide_an_unknown_type(of_study):
    counts, codes = study(5, [80, 80, 80, 80, 80, 60])
    groups = np.arange(len(codes)) % 2
    present = np.arange(150) % 3 > 0
    counts = counts @ sp.diags(present.astype(np.float32))
    found = known(of_study, counts, groups, present)
    assert roc_auc_score(codes < 5, found) > 0.95


def test_an_empty_batch_changes_nothing(of_study):
    counts, codes = study(5, [80, 80, 80, 80, 80, 60])
    groups = np.arange(len(codes)) % 2
    np.testing.assert_allclose(known(of_study, counts, 2 * groups), known(of_study, counts, groups), atol=1e-9)


@pytest.mark.parametrize(("n_cells", "n_features", "judged"), [(99, 150, False), (400, 99, False), (400, 100, True)])
def test_small_queries_are_not_judged(of_study, n_cells, n_features, judged):
    counts, _ = study(5, [80, 80, 80, 80, 20, 60])
    present = np.arange(150) < n_features
    found = known(of_study, (counts @ sp.diags(present.astype(np.float32)))[:n_cells], present=present)
    assert len(found) == n_cells
    assert (found == 1).all() != judged


def test_cells_without_counts_can_be_judged(of_study):
    counts = study(5, [60] * 5)[0].toarray()
    counts[:90] = 0
    assert np.isfinite(known(of_study, counts)).all()
    assert np.isfinite(known(of_study, 0 * counts)).all()


def test_what_profiles_explain_is_not_left(rng):
    profiles, within = rng.normal(0, 1, (6, 40)), np.linalg.qr(rng.normal(0, 1, (40, 4)))[0]
    explained = rng.gamma(1, 1, (3, 6)) @ profiles + rng.normal(0, 3, (3, 4)) @ within.T
    outside = rng.normal(0, 1, (3, 40))
    outside -= outside @ np.linalg.pinv(np.vstack([profiles, within.T])) @ np.vstack([profiles, within.T])
    share, low = novelty._rebuilt(
        np.vstack([explained, outside, explained + outside]), profiles, np.zeros((9, 40)), within
    )
    np.testing.assert_allclose(share[:3], 0, atol=1e-9)
    np.testing.assert_allclose(share[3:6], 1, atol=1e-9)
    assert ((share[6:] > 0) & (share[6:] < 1)).all()
    np.testing.assert_allclose(low, share)  # without noise there is no doubt
    noisy = novelty._rebuilt(explained + outside, profiles, np.full((3, 40), 0.05), within)
    assert (noisy[1] < noisy[0]).all()


def test_the_weighted_median(rng):
    values, weights = rng.normal(0, 1, 31), rng.integers(1, 5, 31)
    expected = np.sort(np.repeat(values, weights))[(weights.sum() - 1) // 2]
    assert novelty._median(values, weights) == expected
