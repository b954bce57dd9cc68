from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import nnls
from sklearn.metrics import roc_auc_score

from deepscore.data.linalg import clusters_of
from deepscore.query import novelty
from deepscore.query.neighbours import Space
from deepscore.query.novelty import chance_known
from deepscore.query.sample import Sample
from deepscore.query.settings import SETTINGS, NoveltySettings
from synthetic import normalised, study


def known(model, counts, batches=None, present=None, settings=SETTINGS):
    """Return P(known) of a query, standardised by itself as :mod:`deepscore.query.view` does it."""
    x = normalised(model, counts)
    batches = np.zeros(x.shape[0], np.intp) if batches is None else batches
    present = np.ones(x.shape[1], bool) if present is None else present
    n_batches = int(batches.max()) + 1
    sample = Sample(model, x, batches, n_batches, present[None], np.arange(len(batches)), True)
    space = Space.of(x, batches, n_batches, whole=True)
    return chance_known(sample, space, model.predict_proba(x, present=present), settings)


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
    batches = np.arange(len(codes)) % 2
    present = np.arange(150) % 3 > 0
    counts = counts @ sp.diags(present.astype(np.float32))
    found = known(of_study, counts, batches, present)
    assert roc_auc_score(codes < 5, found) > 0.95


def test_an_empty_batch_changes_nothing(of_study):
    counts, codes = study(5, [80, 80, 80, 80, 80, 60])
    batches = np.arange(len(codes)) % 2
    np.testing.assert_allclose(known(of_study, counts, 2 * batches), known(of_study, counts, batches), atol=1e-9)


@pytest.mark.parametrize(
    ("n_cells", "n_features", "judged"), [(99, 150, False), (100, 150, True), (400, 99, False), (400, 100, True)]
)
def test_small_queries_are_not_judged(of_study, recwarn, n_cells, n_features, judged):
    counts, _ = study(5, [80, 80, 80, 80, 20, 60])
    present = np.arange(150) < n_features
    found = known(of_study, (counts @ sp.diags(present.astype(np.float32)))[:n_cells], present=present)
    assert len(found) == n_cells
    assert (found == 1).all() != judged
    told = [str(one.message) for one in recwarn]
    assert len(told) == (not judged)
    if told:
        assert told[0].startswith("Unknown types are not looked for: that takes 100 cells and 100 of the model's genes")


def test_cells_without_counts_can_be_judged(of_study):
    counts = study(5, [60] * 5)[0].toarray()
    counts[:90] = 0
    assert np.isfinite(known(of_study, counts)).all()
    assert np.isfinite(known(of_study, 0 * counts)).all()


def test_what_is_unexplained_is_allowed_for_by_settings(of_study):
    counts, codes = study(5, [80, 80, 80, 80, 80, 60])
    generous = replace(SETTINGS, novelty=NoveltySettings(base=1e9))
    assert (known(of_study, counts, settings=generous) == 1).all()
    strict = replace(SETTINGS, novelty=NoveltySettings(base=-1.0, slope=0.0))
    assert (known(of_study, counts, settings=strict) < 1e-3).all()
    assert (known(of_study, counts, settings=replace(SETTINGS, novelty=NoveltySettings(least=461))) == 1).all()
    assert len(codes) == 460


# ------------------------------------------------------------------------------------ all of it, step by step


def logistic(value):
    return 1 / (1 + np.exp(-value))


def slow_shares(means, variances, sizes, mass, labels, profiles, within):
    """Rebuild the mean of each cluster from the profiles, twice; return what is left of its signal at least."""
    out = np.eye(len(within)) - within @ np.linalg.pinv(within)  # what is outside of the free directions
    pooled = np.average(variances, axis=0, weights=sizes)
    noise = [
        (np.maximum(variance, pooled) if n < 5 else variance) / max(n - 1, 1)
        for n, variance in zip(sizes, variances, strict=True)
    ]
    known, low = np.ones(len(sizes)), []
    for _ in range(2):
        total = [sum(mass[c, label] * known[c] for c in range(len(sizes))) for label in range(len(labels))]
        mix = np.sqrt(total) / sum(np.sqrt(total))
        centre = [
            sum(mix[label] * mass[c, label] * known[c] / total[label] for label in range(len(labels)))
            for c in range(len(sizes))
        ]
        basis = (profiles - mix @ labels) @ out
        shares, low = [], []
        for c in range(len(sizes)):
            y = (means[c] - np.average(means, axis=0, weights=centre)) @ out
            fitted = nnls(basis.T, y)[0]
            residual = y - fitted @ basis
            sampling = np.sum(noise[c] * np.diag(out))
            signal = max(y @ y - sampling, 0.15 * (y @ y)) + 1e-12
            left = residual @ residual - sampling * (1 - (fitted > 0).sum() / len(y))
            error = np.sqrt(2 * np.sum(noise[c] ** 2) + 4 * np.sum(noise[c] * residual**2))
            shares.append(max(left, 0) / signal)
            low.append(max(left - 2 * error, 0) / signal)
        typical = np.sort(np.repeat(shares, sizes))[(sum(sizes) - 1) // 2]
        known = np.array([max(logistic((max(0.6, typical + 0.15) - share) / 0.08), 1e-3) for share in shares])
    return low


def slow_known(sample, coordinates, probabilities):
    """Judge all cells of a query on dense arrays, cluster by cluster."""
    reference, batches, n = sample.model.profiles, sample.batches, len(sample.rows)
    x, average = sample.x.toarray().astype(float), reference.label_means()
    z, offset = np.zeros_like(x), np.zeros((sample.n_batches, x.shape[1]))
    labels, profiles = np.zeros_like(average), np.zeros(reference.mean.shape)
    for batch in range(sample.n_batches):
        cells = batches == batch
        z[cells] = np.minimum(x[cells] / np.sqrt(x[cells].var(axis=0) + 0.01), 8)
        offset[batch] = z[cells].mean(axis=0)
        mixture = probabilities[cells].mean(axis=0)
        centre = mixture @ average
        variance = mixture @ (reference.variance + (average - centre) ** 2)
        scale = sample.present / np.sqrt(variance + 0.01)
        labels += cells.mean() * (average - centre) * scale
        profiles += cells.mean() * (reference.mean - centre) * scale
    within = np.column_stack([reference.within, offset[batches].sum(axis=0)]) * sample.present[:, None]
    found = []
    for size in (20, 35, 70):
        for seed in (0, 1):
            clusters = clusters_of(coordinates, min(max(n // size, min(8, n // 5)), 120), seed)
            members = [clusters == c for c in range(clusters.max() + 1)]
            low = slow_shares(
                np.array([(z - offset[batches])[cells].mean(axis=0) for cells in members]),
                np.array([z[cells].var(axis=0) for cells in members]),
                np.array([cells.sum() for cells in members]),
                np.array([probabilities[cells].sum(axis=0) for cells in members]),
                labels,
                profiles,
                within,
            )
            found.append(np.array(low)[clusters])
    share = np.mean(found, axis=0)
    middle = 0.32 + 0.65 * np.median(share) + 10 / n
    return np.minimum(logistic((middle - share) / 0.04) / 0.9, 1)


@pytest.mark.parametrize(
    ("sizes", "shift", "n_batches", "missing"),
    [
        ([10, 10, 10, 10, 10, 60], 0.8, 1, 0),
        ([25, 5, 25, 0, 20, 35], 0.8, 1, 0),
        ([80, 80, 5, 80, 30, 90, 20, 5], 0.0, 2, 30),
        ([600, 600, 300, 300, 300, 500], 1.0, 2, 10),
    ],
    ids=["unknown", "small", "two", "large"],
)
def test_chances_are_those_of_dense_arrays_cluster_by_cluster(of_study, sizes, shift, n_batches, missing):
    present = np.arange(150) >= missing
    x = normalised(of_study, study(7, sizes, shift)[0] @ sp.diags(present.astype(np.float32)))
    batches = np.arange(sum(sizes)) % 3 % n_batches
    sample = Sample(of_study, x, batches, n_batches, present[None], np.arange(sum(sizes)), np.arange(sum(sizes)))
    space = Space.of(x, batches, n_batches, whole=True)
    probabilities = of_study.predict_proba(x, present=present)
    found = chance_known(sample, space, probabilities)
    np.testing.assert_allclose(found, slow_known(sample, space.coordinates, probabilities), atol=1e-5)
    assert 0.5 < (found > 0.5).mean() < 0.9


# --------------------------------------------------------------------------------------------------- its parts


def test_what_profiles_explain_is_not_left(rng):
    profiles, within = rng.normal(0, 1, (6, 40)), np.linalg.qr(rng.normal(0, 1, (40, 4)))[0]
    explained = rng.gamma(1, 1, (3, 6)) @ profiles + rng.normal(0, 3, (3, 4)) @ within.T
    outside = rng.normal(0, 1, (3, 40))
    outside -= outside @ np.linalg.pinv(np.vstack([profiles, within.T])) @ np.vstack([profiles, within.T])
    share, low = novelty._rebuilt(
        np.vstack([explained, outside, explained + outside]), profiles, np.zeros((9, 40)), within, SETTINGS.novelty
    )
    np.testing.assert_allclose(share[:3], 0, atol=1e-9)
    np.testing.assert_allclose(share[3:6], 1, atol=1e-9)
    assert ((share[6:] > 0) & (share[6:] < 1)).all()
    np.testing.assert_allclose(low, share)  # without noise there is no doubt
    noisy = novelty._rebuilt(explained + outside, profiles, np.full((3, 40), 0.05), within, SETTINGS.novelty)
    assert (noisy[1] < noisy[0]).all()


@pytest.mark.parametrize("least", [0.15, 0.4])
def test_a_part_of_what_a_cluster_shows_is_signal_however_noisy_it_seems(rng, least):
    y, profiles, within = rng.normal(0, 1, (3, 40)), rng.normal(0, 1, (2, 40)), np.zeros((40, 1))
    residual = y - np.array([fitted @ profiles for fitted in nonnegative(y, profiles)])
    free = np.array([(fitted > 0).sum() / 40 for fitted in nonnegative(y, profiles)])
    for noise in (0.1, 10.0):
        energy, sampling = (y**2).sum(axis=1), 40 * noise
        left = np.maximum((residual**2).sum(axis=1) - sampling * (1 - free), 0)
        expected = left / np.maximum(energy - sampling, least * energy)
        numbers = NoveltySettings(least_signal=least)
        found = novelty._rebuilt(y, profiles, np.full((3, 40), noise), within, numbers)[0]
        np.testing.assert_allclose(found, expected, atol=1e-9)


def nonnegative(y, profiles):
    """Fit two profiles without negative weights: the best of both, each alone, and none."""
    for row in y:
        best = (row @ row, np.zeros(2))
        for some in ([0], [1], [0, 1]):
            weights = np.zeros(2)
            weights[some] = np.linalg.lstsq(profiles[some].T, row, rcond=None)[0]
            left = row - weights @ profiles
            if (weights >= 0).all() and left @ left < best[0]:
                best = (left @ left, weights)
        yield best[1]


def test_the_weighted_median(rng):
    values, weights = rng.normal(0, 1, 31), rng.integers(1, 5, 31)
    expected = np.sort(np.repeat(values, weights))[(weights.sum() - 1) // 2]
    assert novelty._median(values, weights) == expected
