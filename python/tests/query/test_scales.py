from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from deepscore.query import scales as queryscale
from deepscore.query.neighbours import Space
from deepscore.query.scales import Reading, Sample, own_and_shifted, settled
from deepscore.data.standardise import GroupSums, Scale
from synthetic import normalised, study

OTHER = [200, 5, 60, 30, 5]  # another composition than the reference's, with two rare types


def looked_at(model, counts, groups=None, n_groups=1):
    """Return the sample and its neighbourhoods."""
    x = normalised(model, counts)
    groups = np.zeros(x.shape[0], np.intp) if groups is None else groups
    return Sample(model, x, groups, n_groups, np.ones(150, bool)), Space.of(x, groups, n_groups, whole=True)


def slow_alike(weights, calls, groups, n_groups):
    """Count, cell by cell, how often neighbours have its label."""
    alike = np.zeros(n_groups)
    for cell, group in enumerate(groups):
        same = sum(w for w, label in zip(weights[cell], calls, strict=True) if label == calls[cell])
        alike[group] += same if weights[cell].any() else 1
    return alike / np.maximum(np.bincount(groups, minlength=n_groups), 1)


def slow_shift(model, x, groups, n_groups, labels, weights):
    """Move the reference's centre, batch by batch, by what the labels do not explain; on dense arrays."""
    dense, profiles = x.toarray().astype(float), model.profiles
    filled = dense.any(axis=1)
    own = GroupSums(n_groups, x.shape[1]).add(x[filled], groups[filled]).by_group(groups, model.scale())
    means = [
        np.average(profiles.mean[profiles.owner == i], axis=0, weights=profiles.cells[profiles.owner == i])
        for i in range(len(model.labels))
    ]
    centre = np.tile(model.mean.astype(float), (n_groups, 1))
    deviation = np.tile(model.deviation, (n_groups, 1))
    others = model.logits(x, own).argmax(axis=1)
    worse = np.subtract(*(slow_alike(weights, calls, groups, n_groups) for calls in (others, labels)))
    for group in range(n_groups):
        cells = np.flatnonzero((groups == group) & filled)
        if len(cells):
            share = min(max(2.5 * worse[group], 0), 1)
            by_label, by_other = (np.mean([means[calls[cell]] for cell in cells], axis=0) for calls in (labels, others))
            explained = (1 - share) * by_label + share * by_other
            centre[group] += len(cells) / (len(cells) + 20) * (dense[cells].mean(axis=0) - explained)
    return own, Scale(centre.astype(np.float32), deviation, groups), worse


def slow_share(model, x, groups, n_groups, own, shifted, weights):
    """Count, cell by cell, how often neighbours have its label by each scale, and how often both paths give it."""
    differ, alike = np.zeros((2, n_groups)), []
    for i, scale in enumerate((own, shifted)):
        alike.append(slow_alike(weights, model.logits(x, scale).argmax(axis=1), groups, n_groups))
        hidden, linear = (path.argmax(axis=1) for path in model.paths(x, scale))
        for cell, group in enumerate(groups):
            differ[i, group] += hidden[cell] != linear[cell]
    n = np.bincount(groups, minlength=n_groups)
    shares = np.zeros(n_groups)
    for group in np.flatnonzero(n):
        more_alike, more_differ = alike[1][group] - alike[0][group], np.diff(differ[:, group])[0] / n[group]
        trust, told = 20 * n[group] / (n[group] + 50), min(max((0.35 - differ[1, group] / n[group]) / 0.1, 0), 1)
        by_neighbours = min(max(0.5 - trust * more_alike, 0), 0.5)
        shares[group] = min(max(by_neighbours + trust * told * more_differ, 0), 1)
    return shares


@pytest.mark.parametrize("wrong", [3, 50])
@pytest.mark.parametrize("shift", [0.8, 1.3])
@pytest.mark.parametrize(("groups", "n_groups"), [([0], 1), ([0, 1], 2), ([0, 2], 3)])
def test_the_scale_lies_between_the_own_one_and_that_of_the_composition(of_study, groups, n_groups, shift, wrong):
    counts, codes = study(3, OTHER, shift)
    counts = sp.vstack([counts[:-40], sp.csr_matrix((40, 150))], format="csr")  # some cells are empty
    sample, space = looked_at(of_study, counts, np.resize(groups, len(codes)), n_groups)
    x, groups = sample.x, sample.groups
    labels = np.where(np.arange(len(codes)) % wrong, codes, 3)  # not all of them right
    scale = settled(sample, *own_and_shifted(sample, labels, space), space)
    weights = space.weights.toarray()
    own, shifted, worse = slow_shift(of_study, x, groups, n_groups, labels, weights)
    assert (worse.max() > 0.05) == (wrong == 3)
    dense = x.toarray()
    one = (dense - own.centre[groups]) / own.deviation[groups]
    other = (dense - shifted.centre[groups]) / shifted.deviation[groups]
    found = (dense - scale.centre[groups]) / scale.deviation[groups]
    share = slow_share(of_study, x, groups, n_groups, own, shifted, weights)[groups][:, None]
    assert share.min() < 0.5  # the composition is another one
    np.testing.assert_allclose(found, share * one + (1 - share) * other, atol=2e-3)


def read(calls, doubt=0.0):
    return Reading(None, calls, np.array([doubt]))


def test_of_scales_that_neighbours_bear_out_alike_both_are_used(of_study):
    counts, codes = study(3, [60] * 5, 0.8)
    sample, space = looked_at(of_study, counts)
    noise = np.where(np.arange(len(codes)) % 3, codes, (codes + 1) % 5)
    for own, shifted, share in ((codes, codes, 0.5), (codes, noise, 0.5), (noise, codes, 0.0)):
        assert queryscale._share_of_own(sample, read(own), read(shifted), space) == share


@pytest.mark.parametrize(
    ("own", "shifted", "share"),
    [
        (0.1, 0.1, 0.5),
        (0.1, 0.11, 0.5 + 0.2 * 300 / 350),  # of 300 cells
        (0.11, 0.1, 0.5 - 0.2 * 300 / 350),
        (0.1, 0.2, 1.0),
        (0.2, 0.1, 0.0),
        (0.29, 0.3, 0.5 + 0.1 * 300 / 350),  # noisy: half as much
        (0.1, 0.4, 0.5),  # too noisy to tell
    ],
)
def test_the_scale_on_which_the_paths_agree_counts_more(of_study, own, shifted, share):
    counts, codes = study(3, [60] * 5, 0.8)
    sample, space = looked_at(of_study, counts)
    found = queryscale._share_of_own(sample, read(codes, own), read(codes, shifted), space)
    np.testing.assert_allclose(found, [share])


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8, 1.0])
def test_between_two_scales_values_are_the_mean_of_both(rng, share):
    one, other = (
        Scale(rng.normal(0, 1, (2, 4)).astype(np.float32), rng.uniform(0.5, 2, (2, 4)).astype(np.float32))
        for _ in range(2)
    )
    x, shares = rng.normal(0, 2, (2, 4)), np.array([share, 0.25])
    found = queryscale._between(one, other, shares)
    z, a, b = ((x - scale.centre) / scale.deviation for scale in (found, one, other))
    np.testing.assert_allclose(z, shares[:, None] * a + (1 - shares[:, None]) * b, atol=1e-5)


def test_without_neighbours_both_scales_count_alike(of_study):
    counts, codes = study(3, OTHER, 0.8)
    sample, _ = looked_at(of_study, counts)
    readings = own_and_shifted(sample, codes, None)
    scale = settled(sample, *readings, None)
    z, a, b = ((1 - each.centre) / each.deviation for each in (scale, *(reading.scale for reading in readings)))
    np.testing.assert_allclose(z, (a + b) / 2, atol=1e-4)


def test_a_reading_is_what_the_network_says_by_a_scale(of_study):
    groups, (counts, codes) = np.resize([0, 2], 300), study(3, OTHER, 0.8)
    sample, space = looked_at(of_study, counts, groups, 3)
    for reading in own_and_shifted(sample, codes, space):
        np.testing.assert_array_equal(reading.calls, of_study.logits(sample.x, reading.scale).argmax(axis=1))
        hidden, linear = (path.argmax(axis=1) for path in of_study.paths(sample.x, reading.scale))
        doubt = [np.mean((hidden != linear)[groups == 0]), 0, np.mean((hidden != linear)[groups == 2])]
        np.testing.assert_allclose(reading.doubt, doubt)
