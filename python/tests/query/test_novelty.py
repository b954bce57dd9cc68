from __future__ import annotations

import warnings
from dataclasses import fields, replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from deepscore.data.linalg import clusters_of
from deepscore.query import novelty
from deepscore.query.annotation import UNCLASSIFIED
from deepscore.query.neighbours import Space
from deepscore.query.novelty import Evidence, chance_known, chance_native, chance_usual
from deepscore.query.rank_calls import RankedProfiles
from deepscore.query.sample import Sample
from deepscore.query.scales import choose_scale
from deepscore.query.settings import SETTINGS, NoveltySettings
from deepscore.query.view import View
from deepscore.training.fit import fit
from deepscore.training.reference import prepare
from synthetic import annotate_blocks, blocks_of, normalised, panel, quick, silent, study, type_names

NUMBERS = SETTINGS.novelty


def looked_at(model, counts, batches=None, present=None):
    """Return what a query is judged by, made as :mod:`deepscore.query.view` does it."""
    x = normalised(model, counts)
    cells = np.arange(x.shape[0])
    batches = np.zeros(x.shape[0], np.intp) if batches is None else batches
    present = np.ones(x.shape[1], bool) if present is None else present
    sample = Sample(model, x, batches, int(batches.max()) + 1, present[None], cells, cells)
    space, ranked = Space.of(x, batches, sample.n_batches, whole=True), RankedProfiles.of(sample)
    rank_calls = ranked.calls(x)
    alone = View(model, sample.measured, choose_scale(sample, space, rank_calls)).alone(x, batches)
    return sample, space, alone, ranked, rank_calls


def known(model, counts, batches=None, present=None, numbers=SETTINGS):
    """Return P(known) of a query."""
    return chance_known(*looked_at(model, counts, batches, present), numbers)[0]


@pytest.mark.parametrize("shift", [0.0, 1.0])
@pytest.mark.parametrize("n_unknown", [30, 120])
def test_an_unknown_type_is_told_from_the_known_ones(of_study, shift, n_unknown):
    counts, codes = study(5, [80, 80, 80, 80, 80, n_unknown], shift)
    found = known(of_study, counts)
    assert (found[codes == 5] < 0.5).mean() > 0.85
    assert (found[codes < 5] >= 0.5).mean() > 0.97
    assert np.median(found[codes < 5]) > 0.9
    assert 0 <= found.min() <= found.max() <= 1


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
    ("n_cells", "n_features", "judged"), [(99, 150, False), (100, 150, True), (400, 7, False), (400, 8, True)]
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
        assert told[0].startswith("Unknown types are not looked for: that takes 100 cells and 8 of the model's genes")


def test_cells_without_counts_can_be_judged(of_study):
    counts = study(5, [60] * 5)[0].toarray()
    counts[:90] = 0
    assert np.isfinite(known(of_study, counts)).all()
    with pytest.warns(UserWarning, match="looks foreign"):
        assert np.isfinite(known(of_study, 0 * counts)).all()


# --------------------------------------------------------------------------------- foreign and native queries


def annotated(model, counts, **options):
    """Annotate a query; return the annotation and the warnings that it looks foreign."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = annotate_blocks(model, blocks_of(counts), **options)
    return found, foreign(told)


def foreign(told):
    return [str(one.message) for one in told if str(one.message).startswith("This query looks foreign")]


STRANGERS = {
    "another tissue": lambda rng, seed: study(seed, [100] * 5, tissue=100 + seed)[0],
    "other types": lambda rng, seed: study(seed, [0] * 5 + [150] * 3)[0],
    "noise": lambda rng, seed: rng.poisson(study(seed, [20] * 5)[0].mean(), (400, 150)),
    "shuffled names": lambda rng, seed: study(seed, [100] * 5)[0][:, rng.permutation(150)],
}


@pytest.mark.parametrize("seed", range(20, 23))
@pytest.mark.parametrize("batched", [False, True], ids=["one", "batches"])
@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_foreign_query_is_unclassified_with_a_warning(of_study, rng, stranger, batched, seed):
    counts = STRANGERS[stranger](rng, seed)
    batch = rng.choice(["a", "b"], counts.shape[0]).astype(object) if batched else None
    found, told = annotated(of_study, counts, batch=batch)
    assert (found.calls == UNCLASSIFIED).mean() >= 0.9
    assert len(told) == 1


@settings(max_examples=15)
@given(
    sizes=st.lists(st.sampled_from([0, 0, 5, 30, 100, 200]), min_size=5, max_size=5).filter(lambda n: sum(n) >= 100),
    shift=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(30, 10**6),
)
def test_a_native_query_of_any_composition_does_not_look_foreign(of_study, sizes, shift, seed):
    found, told = annotated(of_study, study(seed, sizes, shift)[0])
    assert not told
    assert (found.calls == UNCLASSIFIED).mean() < 0.1


@pytest.mark.parametrize("shift", [0.0, 1.0])
@pytest.mark.parametrize("label", range(5))
def test_one_type_alone_does_not_look_foreign(of_study, label, shift):
    counts, codes = study(8, [300 * (code == label) for code in range(5)], shift)
    found, told = annotated(of_study, counts)
    assert not told
    assert (found.calls == type_names(codes)).mean() > 0.85


@pytest.fixture(scope="module")
def of_panel():
    """Return a model of three types by 8 features."""
    counts, codes = panel(1, [120] * 3)
    data = blocks_of(counts)
    config = quick(common_features=tuple(data.feature_names), hidden_nodes=(16,), epochs=15, lr=0.01)
    return fit(prepare(data, type_names(codes), config), config, silent())


def test_cells_of_a_small_panel_are_brought_to_its_own_total(of_panel):
    totals = panel(1, [120] * 3)[0].toarray().sum(axis=1)
    assert of_panel.normalization.target_total == pytest.approx(np.median(totals))


@pytest.mark.parametrize("sizes", [[100] * 3, [300, 5, 5], [200, 0, 0], [0, 0, 200]])
def test_native_queries_of_a_small_panel_are_called(of_panel, sizes):
    counts, codes = panel(3, sizes)
    found, told = annotated(of_panel, counts)
    assert not told
    assert (found.raw == type_names(codes)).mean() > 0.95
    assert (found.calls == UNCLASSIFIED).mean() < 0.1


def test_an_unknown_type_is_told_by_a_small_panel(of_panel):
    unknown, known = [], []
    for seed in range(3, 11):
        counts, codes = panel(seed, [80, 80, 80, 60])
        found, told = annotated(of_panel, counts)
        assert not told
        unknown.append((found.calls == UNCLASSIFIED)[codes == 3].mean())
        known.append((found.calls == UNCLASSIFIED)[codes < 3].mean())
    assert np.mean(unknown) > 0.7
    assert max(known) < 0.05


# ------------------------------------------------------------------------------------ all of it, step by step


def logistic(value):
    return 1 / (1 + np.exp(-value))


def slow_shares(means, variances, sizes, mass, labels, profiles, out):
    """Rebuild the mean of each cluster from the profiles; return what is left of its signal at least."""
    pooled = np.average(variances, axis=0, weights=sizes)
    total = mass.sum(axis=0)
    mix = np.sqrt(total) / sum(np.sqrt(total))
    centre = [sum(mix[label] * of_cluster[label] / total[label] for label in range(len(labels))) for of_cluster in mass]
    basis, low = (profiles - mix @ labels) @ out, []
    for mean, variance, n in zip(means, variances, sizes, strict=True):
        noise = (np.maximum(variance, pooled) if n < 5 else variance) / max(n - 1, 1)
        y = (mean - np.average(means, axis=0, weights=centre)) @ out
        fitted = nnls(basis.T, y)[0]
        residual = y - fitted @ basis
        sampling = np.sum(noise * np.diag(out))
        signal = max(y @ y - sampling, 0.15 * (y @ y)) + 1e-12
        left = residual @ residual - sampling * (1 - (fitted > 0).sum() / len(y))
        error = np.sqrt(2 * np.sum(noise**2) + 4 * np.sum(noise * residual**2))
        low.append(max(left - 2 * error, 0) / signal)
    return low


def slow_markers(means, label, present):
    """Return the 20 features that are most above the next-highest label, of those that are above it."""
    above = {
        feature: mean - max(means[other][feature] for other in range(len(means)) if other != label)
        for feature, mean in enumerate(means[label])
        if present[feature]
    }
    return [feature for feature in sorted(above, key=above.get, reverse=True)[:20] if above[feature] > 0]


def cosine(one, other):
    return one @ other / (np.linalg.norm(one) * np.linalg.norm(other))


def slow_evidence(sample, coordinates, probabilities, ranked_features):
    """Compare a query with the profiles on dense arrays, cluster by cluster; return four values for each cell."""
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
    out = np.eye(len(within)) - within @ np.linalg.pinv(within)  # what is outside of the free directions
    markers = [slow_markers(average, label, sample.present) for label in range(len(average))]
    of_query, of_reference = x.mean(axis=0), sample.model.mean
    found = []
    for size in (20, 35, 70):
        for seed in (0, 1):
            clusters = clusters_of(coordinates, min(max(n // size, 8), 120), seed)
            members = [clusters == c for c in range(clusters.max() + 1)]
            means = np.array([(z - offset[batches])[cells].mean(axis=0) for cells in members])
            sizes = np.array([cells.sum() for cells in members])
            mass = np.array([probabilities[cells].sum(axis=0) for cells in members])
            variances = np.array([z[cells].var(axis=0) for cells in members])
            low = slow_shares(means, variances, sizes, mass, labels, profiles, out)
            lines = []
            for cells, mean, left in zip(members, means, low, strict=True):
                label, raw = probabilities[cells].mean(axis=0).argmax(), x[cells].mean(axis=0)
                own = [i for i, owner in enumerate(reference.owner) if owner == label]
                likeness = max(cosine(mean @ out, (profiles[i] - labels.mean(axis=0)) @ out) for i in own)
                order = max(spearmanr(raw[ranked_features], reference.mean[i][ranked_features]).statistic for i in own)
                raised = sum(raw[g] - of_query[g] for g in markers[label])
                raised /= sum(average[label][g] - of_reference[g] for g in markers[label])
                lines.append([left, likeness, order, min(max(raised, -1), 3)])
            found.append(np.array(lines)[clusters])
    return np.mean(found, axis=0).T


QUERIES = pytest.mark.parametrize(
    ("sizes", "shift", "n_batches", "missing"),
    [
        ([10, 10, 10, 10, 10, 60], 0.8, 1, 0),
        ([25, 5, 25, 0, 20, 35], 0.8, 1, 0),
        ([80, 80, 5, 80, 30, 90, 20, 5], 0.0, 2, 30),
        ([600, 600, 300, 300, 300, 500], 1.0, 2, 10),
    ],
    ids=["unknown", "small", "two", "large"],
)


@QUERIES
def test_evidence_is_that_of_dense_arrays_cluster_by_cluster(of_study, sizes, shift, n_batches, missing):
    present = np.arange(150) >= missing
    counts = study(7, sizes, shift)[0] @ sp.diags(present.astype(np.float32))
    seen = looked_at(of_study, counts, np.arange(sum(sizes)) % 3 % n_batches, present)
    sample, space, probabilities, ranked, rank_calls = seen
    found = Evidence.of(*seen, NUMBERS)
    expected = slow_evidence(sample, space.coordinates, probabilities, ranked.features)
    names = ("unexplained", "likeness", "order", "raised")
    for name, values in zip(names, expected, strict=True):
        np.testing.assert_allclose(getattr(found, name), values, atol=1e-5, err_msg=name)
    pairs = zip(probabilities, rank_calls, strict=True)
    assert found.agreement == pytest.approx(np.mean([row.argmax() == label for row, label in pairs]))
    unexplained, likeness, order, raised = expected
    native = logistic(-4.02 - 7.5 * np.median(unexplained) + 7.06 * np.median(raised) + 10.9 * found.agreement)
    usual = [
        logistic(
            3.43
            - 6.77 * (unexplained[cell] - np.median(unexplained))
            + 3.35 * (likeness[cell] - np.median(likeness))
            + 6.08 * (order[cell] - np.median(order))
        )
        for cell in range(sum(sizes))
    ]
    assert chance_native(found) == pytest.approx(native, abs=1e-5)
    np.testing.assert_allclose(chance_usual(found), usual, atol=1e-5)
    np.testing.assert_allclose(chance_known(*seen)[0], usual, atol=1e-5)
    verdict = chance_known(*seen)[1]
    assert (verdict.native, verdict.agreement) == (chance_native(found), found.agreement)
    assert verdict.explained == pytest.approx(1 - np.median(unexplained), abs=1e-5)
    assert not verdict.foreign
    strict = replace(SETTINGS, outlier=native + 1e-3)  # so much as this makes a query foreign
    with pytest.warns(UserWarning, match="looks foreign"):
        np.testing.assert_allclose(chance_known(*seen, strict)[0], native * np.array(usual), atol=1e-5)
    assert np.ptp(usual) > 0.4


# --------------------------------------------------------------------------------------------------- its parts


def evidence(rng, n=40, agreement=0.9):
    return Evidence(*rng.uniform(0, 1, (4, n)), agreement)


def test_a_native_query_is_told_by_its_median_cell_and_a_usual_cell_by_its_distance_from_it(rng):
    numbers = NoveltySettings(native=(0.5, -1.0, 2.0, -4.0), usual=(0.25, -1.0, 2.0, 3.0))
    one = evidence(rng)
    medians = [sorted(values)[19] / 2 + sorted(values)[20] / 2 for values in (one.unexplained, one.raised)]
    by_hand = 0.5 - medians[0] + 2 * medians[1] - 4 * 0.9
    assert chance_native(one, numbers) == pytest.approx(logistic(by_hand))
    shifted = replace(one, unexplained=one.unexplained + 5, likeness=one.likeness - 3, order=one.order + 1)
    np.testing.assert_allclose(chance_usual(shifted, numbers), chance_usual(one, numbers))
    assert np.median(chance_usual(evidence(rng, 41), NoveltySettings(usual=(0.25, -1.0, 0.0, 0.0)))) == pytest.approx(
        logistic(0.25)
    )


@pytest.mark.parametrize(("outlier", "expected"), [(0.0, 0), (1.0, 1)])
def test_the_warning_says_what_was_found(of_study, outlier, expected):
    seen = looked_at(of_study, study(5, [80] * 6)[0])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        chance_known(*seen, replace(SETTINGS, outlier=outlier))
    assert len(foreign(told)) == len(told) == expected
    if expected:
        one = Evidence.of(*seen, NUMBERS)
        for share in (1 - np.median(one.unexplained), one.agreement):
            assert f"{100 * share:.0f}%" in foreign(told)[0]


@pytest.mark.parametrize(
    "change",
    [
        {"least": 461},
        {"least_features": 151},
        {"cells_per_cluster": (20,)},
        {"starts": (3,)},
        {"fewest_clusters": 100},
        {"most_clusters": 4},
        {"least_signal": 0.9},
        {"few_cells": 60},
        {"errors": 0.0},
        {"markers": 3},
        {"native": (0.0, -1.0, 0.0, 0.0)},
        {"usual": (0.0, -1.0, 0.0, 0.0)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_number_counts(of_study, change):
    counts = study(5, [80, 80, 80, 80, 80, 60], 0.8)[0]
    judged = replace(SETTINGS, outlier=1.0)  # the query as a whole is, too
    changed = replace(judged, novelty=replace(NUMBERS, **change))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, other = (known(of_study, counts, numbers=numbers) for numbers in (judged, changed))
    assert np.abs(found - other).max() > 1e-6


def test_every_number_is_in_that_test():
    (marked,) = test_every_number_counts.pytestmark
    assert [name for change in marked.args[1] for name in change] == [field.name for field in fields(NoveltySettings)]


@pytest.mark.parametrize("missing", [0, 40])
def test_markers_are_what_is_most_above_the_next_highest_label_and_some_labels_have_none(of_study, missing):
    profiles, present = of_study.profiles, np.arange(150) >= missing
    mean = profiles.mean.copy()
    mean[profiles.owner == 3] = 0  # nothing of it is above the others
    model = replace(of_study, profiles=replace(profiles, mean=mean))
    sample, *_ = looked_at(model, study(5, [40] * 5)[0], present=present)
    markers = novelty._Markers.of(sample, model.profiles, NUMBERS)
    for label, found in enumerate(markers.of_label):
        assert found.tolist() == slow_markers(model.profiles.label_means(), label, present)
    assert not markers.of_label[3].size
    raised = markers.raised(np.zeros((2, 150)), np.array([3, 0]))
    assert raised[0] == 1
    assert raised[1] < 0
    assert (markers.raised(model.profiles.label_means(), np.arange(5)) > 0.5).all()


def test_what_profiles_explain_is_not_left(rng):
    profiles, within = rng.normal(0, 1, (6, 40)), np.linalg.qr(rng.normal(0, 1, (40, 4)))[0]
    explained = rng.gamma(1, 1, (3, 6)) @ profiles + rng.normal(0, 3, (3, 4)) @ within.T
    outside = rng.normal(0, 1, (3, 40))
    outside -= outside @ np.linalg.pinv(np.vstack([profiles, within.T])) @ np.vstack([profiles, within.T])
    y = np.vstack([explained, outside, explained + outside])
    left = novelty._left(y, profiles, np.zeros((9, 40)), within, NUMBERS)
    np.testing.assert_allclose(left[:3], 0, atol=1e-9)
    np.testing.assert_allclose(left[3:6], 1, atol=1e-9)
    assert ((left[6:] > 0) & (left[6:] < 1)).all()
    noise = np.full((3, 40), 0.05)
    low, estimate = (
        novelty._left(y[6:], profiles, noise, within, replace(NUMBERS, errors=errors)) for errors in (2.0, 0.0)
    )
    assert (low < estimate).all()


@pytest.mark.parametrize("least", [0.15, 0.4])
def test_a_part_of_what_a_cluster_shows_is_signal_however_noisy_it_seems(rng, least):
    y, profiles, within = rng.normal(0, 1, (3, 40)), rng.normal(0, 1, (2, 40)), np.zeros((40, 1))
    residual = y - np.array([fitted @ profiles for fitted in nonnegative(y, profiles)])
    free = np.array([(fitted > 0).sum() / 40 for fitted in nonnegative(y, profiles)])
    for noise in (0.1, 10.0):
        energy, sampling = (y**2).sum(axis=1), 40 * noise
        left = np.maximum((residual**2).sum(axis=1) - sampling * (1 - free), 0)
        expected = left / np.maximum(energy - sampling, least * energy)
        numbers = NoveltySettings(least_signal=least, errors=0.0)
        found = novelty._left(y, profiles, np.full((3, 40), noise), within, numbers)
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
