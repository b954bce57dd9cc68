from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from deepscore.data.standardise import Scale
from deepscore.query.neighbours import Space
from deepscore.query.rank_calls import RankedProfiles
from deepscore.query.sample import Sample
from deepscore.query.scales import (
    CellByCell,
    SecondReading,
    choose_scale,
    explained,
    mean_scale,
    mean_shift,
    neighbour_agreement,
    own_scale,
    shifted_scale,
)
from deepscore.query.settings import SETTINGS
from synthetic import normalised, study

OTHER = [200, 5, 60, 30, 5]  # another composition than the reference's, with two rare types


def looked_at(model, counts, batches=None, n_batches=1):
    """Return the sample and its neighbourhoods."""
    x = normalised(model, counts)
    batches = np.zeros(x.shape[0], np.intp) if batches is None else batches
    sample = Sample(model, x, batches, n_batches, np.ones((1, 150), bool), *[np.arange(x.shape[0])] * 2)
    return sample, Space.of(x, batches, n_batches, whole=True)


def by_ranks(sample):
    return RankedProfiles.of(sample).calls(sample.x)


def chosen(sample, space, settings=SETTINGS):
    return choose_scale(sample, space, by_ranks(sample), settings)


def with_empty_cells(seed, shift):
    """Return counts of a composition other than the reference's, of which the last 40 cells are empty."""
    counts, codes = study(seed, OTHER, shift)
    return sp.vstack([counts[:-40], sp.csr_matrix((40, 150))], format="csr"), codes


def slow_own(model, sample, cells):
    """Average batch by batch on dense arrays; the reference counts like 50 cells of each."""
    dense = sample.x.toarray().astype(float)
    centre, deviation = np.zeros((2, sample.n_batches, dense.shape[1]))
    for batch in range(sample.n_batches):
        of_batch = dense[[cell for cell in cells if sample.batches[cell] == batch]]
        n = len(of_batch)
        mean, variance = (of_batch.mean(axis=0), of_batch.var(axis=0)) if n else (0, 0)
        centre[batch] = (n * mean + 50 * model.mean) / (n + 50)
        deviation[batch] = np.sqrt((n * (variance + 0.01) + 50 * model.deviation.astype(float) ** 2) / (n + 50))
    return centre, deviation


def slow_shifted(model, sample, labels, cells):
    """Move the reference's centre, batch by batch, by what the labels do not explain; 20 cells have no shift."""
    dense, profiles = sample.x.toarray().astype(float), model.profiles
    means = [
        np.average(profiles.mean[profiles.owner == i], axis=0, weights=profiles.cells[profiles.owner == i])
        for i in range(len(model.labels))
    ]
    centre = np.tile(model.mean.astype(float), (sample.n_batches, 1))
    for batch in range(sample.n_batches):
        of_batch = [cell for cell in cells if sample.batches[cell] == batch]
        if of_batch:
            shift = dense[of_batch].mean(axis=0) - np.mean([means[labels[cell]] for cell in of_batch], axis=0)
            centre[batch] += shift * len(of_batch) / (len(of_batch) + 20)
    return centre, np.tile(model.deviation.astype(float), (sample.n_batches, 1))


def slow_agreement(weights, calls, batches, n_batches):
    """Count, cell by cell, how often neighbours have its label; a cell without neighbours agrees with itself."""
    alike = np.zeros(n_batches)
    for cell, batch in enumerate(batches):
        same = sum(w for w, label in zip(weights[cell], calls, strict=True) if label == calls[cell])
        alike[batch] += same if weights[cell].any() else 1
    return alike / np.maximum(np.bincount(batches, minlength=n_batches), 1)


def slow_explained(model, sample, labels, cells):
    """Fit the centred values of each batch by one multiple of the centred means of their labels, on dense arrays."""
    means, found = model.profiles.label_means(), np.zeros(sample.n_batches)
    z = (sample.x.toarray() / model.deviation.astype(float))[:, sample.present]
    for batch in range(sample.n_batches):
        of_batch = [cell for cell in cells if sample.batches[cell] == batch]
        expected = (means[labels[of_batch]] / model.deviation)[:, sample.present]
        if len(set(labels[of_batch])) > 1:
            expected, values = (x - x.mean(axis=0) for x in (expected, z[of_batch]))
            multiple = max((expected * values).sum() / (expected**2).sum(), 0)
            found[batch] = (values**2).sum() - ((values - multiple * expected) ** 2).sum()
    return found


def standardised(sample, centre, deviation):
    return (sample.x.toarray() - centre[sample.batches]) / deviation[sample.batches]


def as_scale(sample, centre, deviation):
    return Scale(centre.astype(np.float32), deviation.astype(np.float32), sample.batches)


# ------------------------------------------------------------------------------------------------ the two scales


BATCHES = pytest.mark.parametrize(("batches", "n_batches"), [([0], 1), ([0, 1, 1, 1], 2), ([0, 2], 3)])


@BATCHES
def test_the_own_scale_is_that_of_some_cells_of_a_batch_and_near_the_reference_s_where_they_are_few(
    of_study, batches, n_batches
):
    sample, _ = looked_at(of_study, study(3, OTHER, 0.8)[0], np.resize(batches, 300), n_batches)
    for cells in (np.arange(300), np.arange(0, 300, 7)):
        found, (centre, deviation) = own_scale(sample, cells), slow_own(of_study, sample, cells)
        np.testing.assert_allclose(found.centre, centre, atol=1e-4)
        np.testing.assert_allclose(found.deviation, deviation, atol=1e-4)
    np.testing.assert_array_equal(own_scale(sample).centre, own_scale(sample, np.arange(300)).centre)


@pytest.mark.parametrize("wrong", [3, 50])
@BATCHES
def test_the_shifted_scale_is_moved_by_what_labels_do_not_explain(of_study, batches, n_batches, wrong):
    counts, codes = with_empty_cells(3, 0.8)
    sample, _ = looked_at(of_study, counts, np.resize(batches, 300), n_batches)
    labels, cells = np.where(np.arange(300) % wrong, codes, 3), np.arange(260)
    found, (centre, deviation) = shifted_scale(sample, labels, cells), slow_shifted(of_study, sample, labels, cells)
    np.testing.assert_allclose(found.centre, centre, atol=1e-4)
    np.testing.assert_allclose(found.deviation, deviation, atol=1e-6)


@pytest.mark.parametrize("n", [1, 20, 100])
def test_the_shift_of_a_batch_counts_as_20_cells_without_one_do(of_study, n):
    counts, codes = study(3, [30] * 5, 1.0)
    sample, _ = looked_at(of_study, counts)
    cells = np.arange(n)
    moved = shifted_scale(sample, codes, cells).centre[0] - of_study.mean
    mean = sample.x[:n].toarray().mean(axis=0) - of_study.profiles.label_means()[codes[:n]].mean(axis=0)
    assert np.polyfit(mean, moved, 1)[0] == pytest.approx(n / (n + 20), abs=1e-4)


@BATCHES
def test_the_mean_shift_is_what_the_composition_of_the_batches_leaves(of_study, batches, n_batches):
    counts, codes = with_empty_cells(3, 0.8)
    sample, _ = looked_at(of_study, counts, np.resize(batches, 300), n_batches)
    expected, dense = np.zeros(150), sample.x.toarray()
    for cell in range(260):
        expected += (dense[cell] - of_study.profiles.label_means()[codes[cell]]) / 260
    np.testing.assert_allclose(mean_shift(sample, codes), expected, atol=1e-5)
    some = np.arange(150) < 100
    lacking = replace(sample, measured=np.tile(some, (len(sample.measured), 1)))
    np.testing.assert_array_equal(mean_shift(lacking, codes), mean_shift(sample, codes) * some)


# -------------------------------------------------------------------------------------------- between the two


@pytest.mark.parametrize("shift", [0.8, 1.3])
@BATCHES
def test_the_scale_lies_between_the_own_and_the_shifted_one(of_study, batches, n_batches, shift):
    counts, codes = with_empty_cells(3, shift)
    sample, space = looked_at(of_study, counts, np.resize(batches, len(codes)), n_batches)
    filled, weights, n = np.arange(260), space.weights.toarray(), np.bincount(sample.batches, minlength=n_batches)
    scales = (slow_own(of_study, sample, filled), slow_shifted(of_study, sample, by_ranks(sample), filled))
    own, shifted = (
        slow_agreement(weights, of_study.logits(sample.x, as_scale(sample, *scale)).argmax(axis=1), *of_batches)
        for scale, of_batches in zip(scales, [(sample.batches, n_batches)] * 2, strict=True)
    )
    weight = np.clip(0.5 - 20 * n / (n + 50) * (shifted - own), 0, 0.5)[sample.batches][:, None]
    assert weight.min() < 0.5  # the composition is another one
    one, other = (standardised(sample, *scale) for scale in scales)
    found = chosen(sample, space)
    z = standardised(sample, found.centre, found.deviation)
    np.testing.assert_allclose(z, weight * one + (1 - weight) * other, atol=1e-3)


def weight_of_own(sample, scale, rank_calls=None):
    """Return for each batch how much of its own scale is in a scale, from what both give."""
    filled = np.flatnonzero(sample.x.sum(axis=1))
    rank_calls = by_ranks(sample) if rank_calls is None else rank_calls
    own, shifted = own_scale(sample, filled), shifted_scale(sample, rank_calls, filled)
    found, one, other = (standardised(sample, s.centre, s.deviation).astype(float) for s in (scale, own, shifted))
    weights = []
    for batch in np.unique(sample.batches):
        a, b = ((values - other)[sample.batches == batch].ravel() for values in (found, one))
        weights.append(a @ b / (b @ b))
    return weights


def pairs_of(sample, more_on, batch):
    """Return pairs of cells of a batch that have one label on one scale and two on the other."""
    own, shifted = own_scale(sample), shifted_scale(sample, by_ranks(sample), np.arange(len(sample.rows)))
    one, other = (sample.calls(scale) for scale in (own, shifted))
    alike, apart = (other, one) if more_on == "shifted" else (one, other)
    cells = np.flatnonzero(sample.batches == batch)
    found = []
    for first in cells:
        partners = [cell for cell in cells if alike[cell] == alike[first] and apart[cell] != apart[first]]
        found += [(first, second) for second in partners[:1]]
    return found


def where_pairs_agree(model, more_on, pairs):
    """Return a sample of two batches, in which each cell agrees with itself but for some pairs, by one scale."""
    counts = sp.vstack([study(3, [180, 5, 5, 5, 5], 0.8)[0], study(4, [4, 4, 4, 4, 24], 0.8)[0]], format="csr")
    sample, space = looked_at(model, counts, np.repeat([0, 1], [200, 40]), 2)
    neighbour = np.arange(240)
    for batch, n in enumerate(pairs):
        found = pairs_of(sample, more_on, batch)
        assert len(found) >= n
        for first, second in found[:n]:
            neighbour[first] = second
    of_cells = sp.csr_array((np.ones(240), (np.arange(240), neighbour)), shape=(240, 240))
    return sample, replace(space, weights=of_cells)


@pytest.mark.parametrize("modality", ["rna", "peaks"])
@pytest.mark.parametrize(
    ("more_on", "pairs", "weights"),
    [
        ("shifted", [0, 0], [0.5, 0.5]),
        ("shifted", [2, 0], [0.5 - 20 * 2 / 250, 0.5]),  # of 200 cells in the first batch: 200 / 250 * 2 / 200
        ("shifted", [3, 1], [0.5 - 20 * 3 / 250, 0.5 - 20 * 1 / 90]),  # and of 40 in the second: 40 / 90 * 1 / 40
        ("shifted", [7, 2], [0.0, 0.5 - 20 * 2 / 90]),
        ("own", [3, 1], [0.5, 0.5]),
        ("own", [7, 2], [0.5, 0.5]),
    ],
)
def test_the_own_scale_counts_less_the_more_neighbours_share_labels_on_the_shifted_one(
    of_study, modality, more_on, pairs, weights
):
    sample, space = where_pairs_agree(replace(of_study, modality=modality), more_on, pairs)
    np.testing.assert_allclose(weight_of_own(sample, chosen(sample, space)), weights, atol=1e-3)


@pytest.mark.parametrize(
    ("more_on", "pairs", "weights"),
    [
        ("shifted", [3, 1], [0.5 - 20 * 3 / 250, 0.5 - 20 * 1 / 90]),
        ("shifted", [7, 3], [0.0, 0.0]),
        ("own", [3, 1], [0.5 + 20 * 3 / 250, 0.5 + 20 * 1 / 90]),
        ("own", [6, 3], [0.5 + 20 * 6 / 250, 1.0]),
        ("own", [7, 2], [1.0, 0.5 + 20 * 2 / 90]),
    ],
)
def test_of_antibodies_the_own_scale_counts_more_too(of_study, more_on, pairs, weights):
    sample, space = where_pairs_agree(replace(of_study, modality="protein"), more_on, pairs)
    np.testing.assert_allclose(weight_of_own(sample, chosen(sample, space)), weights, atol=1e-3)


@BATCHES
def test_what_labels_explain_is_what_a_fit_of_their_means_does(of_study, batches, n_batches):
    counts, codes = with_empty_cells(3, 0.8)
    sample, _ = looked_at(of_study, counts, np.resize(batches, 300), n_batches)
    measured = np.ones((n_batches, 150), bool)
    measured[-1, ::4] = False
    cells = np.arange(260)
    for some in (sample, replace(sample, measured=measured)):
        for labels in (codes, np.roll(codes, 1), np.zeros(300, np.intp)):
            found, expected = explained(some, labels, cells), slow_explained(of_study, some, labels, cells)
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_the_own_scale_counts_more_where_its_labels_explain_more_and_neighbours_share_them(of_study):
    """Ranks that call nearly all cells one label move the scale so that most look like it."""
    counts, codes = study(3, [60, 60, 60, 60, 60], 0.8)
    sample, space = looked_at(of_study, counts)
    wrong = np.where(np.arange(300) % 10, 0, codes)
    own, shifted = (sample.calls(scale) for scale in (own_scale(sample), shifted_scale(sample, wrong, np.arange(300))))
    assert (own == codes).mean() > (shifted == codes).mean()
    of_own, of_shifted = (slow_explained(of_study, sample, calls, np.arange(300)) for calls in (own, shifted))
    agree = neighbour_agreement(sample, own, space) - neighbour_agreement(sample, shifted, space)
    most, moved = 300 / 350 * (1 - of_shifted / of_own), 20 * 300 / 350 * agree
    assert 0 < most < 0.5
    expected = 0.5 + np.minimum(most, moved)
    np.testing.assert_allclose(weight_of_own(sample, choose_scale(sample, space, wrong), wrong), expected, atol=1e-3)


@pytest.mark.parametrize("own", [0.0, 0.3, 0.8, 1.0])
def test_the_weight_of_the_own_scale_may_be_another(of_study, own):
    some = replace(SETTINGS, own_weight=own)
    for more_on, moved in (("own", 0.0), ("shifted", 20 * 2 / 250)):
        sample, space = where_pairs_agree(of_study, more_on, [2, 0])
        found = weight_of_own(sample, chosen(sample, space, some))
        np.testing.assert_allclose(found, [max(own - moved, 0), own], atol=1e-3)
        for by in (
            chosen(sample, None, some),
            chosen(sample, space, replace(some, trust=0.0)),
        ):
            np.testing.assert_allclose(weight_of_own(sample, by), [own, own], atol=1e-3)


def test_without_neighbours_both_scales_count_alike(of_study):
    sample, _ = looked_at(of_study, study(3, OTHER, 0.8)[0], np.repeat([0, 1], 150), 2)
    np.testing.assert_allclose(weight_of_own(sample, chosen(sample, None)), [0.5, 0.5], atol=1e-3)


def test_cells_without_counts_do_not_move_the_scale(of_study):
    counts, _ = study(3, OTHER, 1.0)
    with_empty = sp.vstack([counts, sp.csr_matrix((500, 150))], format="csr")
    samples = (looked_at(of_study, values)[0] for values in (counts, with_empty))
    alone, beside = (chosen(sample, None) for sample in samples)
    np.testing.assert_allclose(beside.centre, alone.centre, atol=1e-5)
    np.testing.assert_allclose(beside.deviation, alone.deviation, atol=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.5, 0.8, 1.0])
def test_between_two_scales_values_are_the_mean_of_both(rng, weight):
    one, other = (
        Scale(rng.normal(0, 1, (2, 4)).astype(np.float32), rng.uniform(0.5, 2, (2, 4)).astype(np.float32))
        for _ in range(2)
    )
    x, weights = rng.normal(0, 2, (2, 4)), np.array([weight, 0.25])
    found = mean_scale(one, other, weights)
    z, a, b = ((x - scale.centre) / scale.deviation for scale in (found, one, other))
    np.testing.assert_allclose(z, weights[:, None] * a + (1 - weights[:, None]) * b, atol=1e-5)
    assert found.centre.dtype == found.deviation.dtype == np.float32


@BATCHES
def test_agreement_is_how_often_neighbours_have_the_label_of_a_cell(of_study, rng, batches, n_batches):
    sample, space = looked_at(of_study, study(3, OTHER, 0.8)[0], np.resize(batches, 300), n_batches)
    weights = space.weights.tolil()
    weights[[3, 70]] = 0  # two cells have no neighbour
    space = replace(space, weights=sp.csr_array(weights))
    calls = rng.integers(0, 5, 300)
    found = neighbour_agreement(sample, calls, space)
    np.testing.assert_allclose(found, slow_agreement(weights.toarray(), calls, sample.batches, n_batches))


def test_agreement_in_clusters_is_that_of_all_cells_of_one(of_study, rng):
    sample, _ = looked_at(of_study, study(3, OTHER, 0.8)[0])
    space = Space.of(sample.x, sample.batches, 1, whole=False)
    calls = rng.integers(0, 5, 300)
    same = [np.mean(calls[space.clusters == space.clusters[cell]] == calls[cell]) for cell in range(300)]
    np.testing.assert_allclose(neighbour_agreement(sample, calls, space), [np.mean(same)])


# ------------------------------------------------------------------------------------------ the second reading


def slow_linear(model, sample, cells):
    """Return the probabilities by the linear path on each batch's own mean and deviation, cell by cell."""
    dense, (weight, bias) = sample.x.toarray().astype(float), model.linear
    found = []
    for values, batch in zip(dense, sample.batches, strict=True):
        own = dense[[cell for cell in cells if sample.batches[cell] == batch]]
        z = (values - own.mean(axis=0)) / np.sqrt(own.var(axis=0) + 0.01)
        odds = np.exp((z @ weight + bias) / model.temperature)
        found.append(odds / odds.sum())
    return np.array(found)


@BATCHES
def test_the_second_reading_counts_as_far_as_it_finds_the_same_composition(of_study, batches, n_batches):
    counts = sp.vstack([study(3, [52] * 5, 0.5)[0], sp.csr_matrix((40, 150))], format="csr")
    sample, _ = looked_at(of_study, counts, np.resize(batches, 300), n_batches)
    first = np.full((300, 5), 0.2)
    first[:, 0], first[:, 1] = 0.3, 0.1
    found, expected = SecondReading.of(sample, first), slow_linear(of_study, sample, range(260))
    np.testing.assert_allclose(of_study.linear_proba(sample.x, found.scale), expected, atol=1e-4)
    apart = sum(abs(expected[:, label].mean() - first[:, label].mean()) for label in range(5))
    assert 0.1 < apart < 0.9
    n = np.bincount(sample.batches[:260], minlength=n_batches)
    np.testing.assert_allclose(found.share, 0.3 * n / (n + 50) * (1 - apart), atol=1e-5)
    other = SecondReading.of(sample, first, replace(SETTINGS, second=0.6, prior_cells=100))
    np.testing.assert_allclose(other.share, 0.6 * n / (n + 100) * (1 - apart), atol=1e-5)


def test_where_the_second_reading_has_no_weight_there_is_none(of_study):
    sample, _ = looked_at(of_study, study(3, [300, 0, 0, 0, 0])[0])
    sorted_cells = np.tile(np.eye(5)[0], (300, 1))  # the scale of a sorted query finds all labels in it
    assert SecondReading.of(sample, sorted_cells) is None
    mixed = np.full((300, 5), 0.2)
    assert SecondReading.of(sample, mixed) is not None
    assert SecondReading.of(sample, mixed, replace(SETTINGS, second=0.0)) is None
    assert SecondReading.of(replace(sample, model=replace(of_study, linear=None)), mixed) is None


# --------------------------------------------------------------------------------------- batches of one type


def slow_share(by_itself, in_view, batches, n_batches):
    """Count for each batch the cells of its most frequent label, as either reading has it, the lower of both."""
    shares = []
    for batch in range(n_batches):
        of_batch = [cell for cell in range(len(batches)) if batches[cell] == batch]
        ours = [
            min(sum(calls[cell] == label for cell in of_batch) for calls in (by_itself, in_view)) for label in range(5)
        ]
        shares.append(min(max((max(ours) / max(len(of_batch), 1) - 0.6) / 0.1, 0), 1))
    return shares


@pytest.mark.parametrize("sizes", [[150, 0, 0, 0, 0], [100, 20, 10, 10, 10], [30] * 5])
def test_cells_of_batches_of_one_type_are_read_each_by_itself(of_study, rng, sizes):
    counts, _ = study(3, [2 * size for size in sizes], 0.5)
    batches = rng.integers(0, 2, 300)
    sample, _ = looked_at(of_study, counts, batches, 3)
    in_view = rng.dirichlet([3, 1, 1, 1, 1], 300) if sizes[0] < 150 else np.tile([0.6, 0.1, 0.1, 0.1, 0.1], (300, 1))
    by_itself = of_study.predict_proba(sample.x)
    shares = slow_share(by_itself.argmax(axis=1), in_view.argmax(axis=1), batches, 3)
    found, known = CellByCell.of(sample, in_view), rng.random(300)
    assert shares[2] == 0  # of no cell
    if not any(shares):
        assert found is None
        return
    np.testing.assert_allclose(found.share, shares)
    view, chance = found.beside(in_view, known, of_study, sample.x, batches, sample.measured)
    for cell in range(0, 300, 11):
        share = shares[batches[cell]]
        np.testing.assert_allclose(view[cell], (1 - share) * in_view[cell] + share * by_itself[cell], atol=1e-6)
        assert chance[cell] == pytest.approx(known[cell] ** (1 - share / 2))


def test_a_mixture_is_not_read_cell_by_cell(of_study):
    sample, _ = looked_at(of_study, study(3, [60] * 5, 0.5)[0])
    assert CellByCell.of(sample, of_study.predict_proba(sample.x)) is None
