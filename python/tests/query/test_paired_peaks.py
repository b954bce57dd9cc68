"""The second round on a query's raw peaks, against plain refitting."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import softmax

import deepscore
from deepscore.workflows import annotate
from deepscore.query import paired_peaks as taught
from deepscore.workflows.annotate import annotate_blocks
from deepscore.model.calibrate import fit_temperature
from deepscore.errors import InputError
from deepscore.model.linear import fit_linear
from deepscore.query.neighbours import Neighbourhoods, Space
from deepscore.data.normalize import Values
from deepscore.data.standardise import GroupSums
from deepscore.query.paired_peaks import Peaks, teach
from synthetic import blocks_of, gene_table, multiome, peak_names, sites

FOLDS = 5


@pytest.fixture
def raw(rng):
    """Return counts of 50 peaks in cells of three types; the last peak is never open."""
    types = np.arange(200) % 3
    levels = rng.gamma(0.5, 0.6, (3, 50)) + 0.02
    levels[:, -1] = 0
    return rng.poisson(levels[types] * rng.lognormal(0, 0.3, (200, 1))).astype(np.float32), types


def tf_idf(raw, columns):
    """Normalise plainly: 0.3 of the median total, times the term frequency, times ``log1p(cells / counts)``."""
    totals = raw.sum(axis=1, dtype=np.float64)
    scale = 0.3 * np.median(totals[totals > 0])
    idf = np.log1p(len(raw) / np.maximum(raw.sum(axis=0), 1))
    return np.log1p(scale * raw / np.maximum(totals, 1)[:, None] * idf)[:, columns]


# ------------------------------------------------------------------------------------------------------- Peaks


def test_peaks_of_a_query_are_normalised_by_themselves(raw):
    counts, _ = raw
    counts[17] = 0
    found = Peaks.of(blocks_of(counts, peak_names(50), rows=13))
    seen = np.flatnonzero(counts.any(axis=0))
    assert found.columns.tolist() == seen.tolist()
    rows = np.array([3, 4, 5, 17, 60, 199])
    np.testing.assert_allclose(found.rows(rows).toarray(), tf_idf(counts, seen)[rows], rtol=1e-4, atol=1e-7)


def test_some_rows_are_those_of_all_rows(raw):
    counts, _ = raw
    data = blocks_of(counts, peak_names(50), rows=13)
    found = Peaks.of(data)
    every = found.recipe.matrix(data, found.columns, Values("counts")).toarray()
    np.testing.assert_array_equal(found.rows(np.arange(200)).toarray(), every)
    for rows in (np.array([7]), np.arange(50, 140), np.array([0, 2, 3, 150])):
        np.testing.assert_array_equal(found.rows(rows).toarray(), every[rows])


def test_peaks_without_counts_are_refused():
    with pytest.raises(InputError) as caught:
        Peaks.of(blocks_of(np.zeros((20, 50)), peak_names(50)))
    assert caught.value.code == "empty_data"


def test_the_peaks_that_most_cells_have_are_used(raw, monkeypatch):
    counts, _ = raw
    monkeypatch.setitem(taught.DEFAULT_FEATURES, "peaks", 20)
    found = Peaks.of(blocks_of(counts, peak_names(50)))
    detected = (counts > 0).sum(axis=0)
    assert len(found.columns) == 20
    assert detected[found.columns].min() >= np.delete(detected, found.columns).max()
    assert (np.diff(found.columns) > 0).all()
    np.testing.assert_allclose(
        found.rows(np.arange(200)).toarray(), tf_idf(counts, found.columns), rtol=1e-4, atol=1e-7
    )


# ------------------------------------------------------------------------------------------------------- teach


@pytest.fixture
def lesson(raw, rng):
    """Return normalised peaks, and probabilities that are right for four cells of five."""
    counts, types = raw
    peaks = sp.csr_matrix(tf_idf(counts, np.arange(49)), dtype=np.float32)
    said = np.where(rng.random(200) < 0.2, rng.integers(0, 3, 200), types)
    probabilities = np.eye(3)[said] * 0.7 + 0.1
    return peaks, probabilities, types


def refitted(peaks, codes, fold):
    """Call each fold by a regression on dense, standardised peaks of the other folds."""
    scale = GroupSums(1, peaks.shape[1]).add(peaks, np.zeros(peaks.shape[0], np.intp)).pooled()
    standardised = (peaks.toarray().astype(np.float64) - scale.centre[0]) / scale.deviation[0]
    logits, fits = np.zeros((len(codes), 3)), []
    for part in range(FOLDS):
        others = fold != part
        fits.append(fit_linear(peaks[others], codes[others], 3, scale, np.random.default_rng(0)))
        logits[~others] = standardised[~others] @ fits[-1][0] + fits[-1][1]
    by_all = standardised @ np.mean([weight for weight, _ in fits], axis=0) + np.mean([bias for _, bias in fits], 0)
    return logits, by_all


def near(peaks, probabilities, whole):
    """Weigh probabilities by the neighbours in the LSI of the peaks; test_neighbours.py has these."""
    one = np.zeros(peaks.shape[0], np.intp)
    space = Space.of(peaks, one, 1, whole=whole, chromatin=True)
    votes = Neighbourhoods.of(space, probabilities, np.ones(len(one))).votes(peaks, one, 0)[0]
    return normalised(probabilities * np.sqrt((votes + 0.02) / (probabilities.mean(axis=0) + 0.02)))


def normalised(rows):
    return rows / rows.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("whole", [True, False])
def test_teaching_equals_refitting_by_hand(lesson, whole):
    peaks, probabilities, types = lesson
    fold = np.random.default_rng(0).permutation(200) % FOLDS
    first = result = near(peaks, probabilities, whole)
    for _ in range(2):
        codes = result.argmax(axis=1)
        logits, by_all = refitted(peaks, codes, fold)
        temperature = fit_temperature(logits.astype(np.float32), codes)
        votes = softmax(logits / temperature, axis=1)
        overall = votes.mean(axis=0)
        result = normalised(first * (votes + 0.02) / (overall + 0.02))
    view, found, agreement = teach(peaks, probabilities, whole=whole)
    np.testing.assert_allclose(found, result, atol=1e-4)
    np.testing.assert_allclose(view.overall, overall, atol=1e-4)
    expected = [(votes.argmax(1) == some.argmax(1)).mean() for some in (first, result)]
    assert agreement == pytest.approx(np.mean(expected), abs=0.006)
    if not whole:
        assert view.votes is None
        votes = softmax(by_all / temperature, axis=1)
    some = normalised(first * (votes + 0.02) / (overall + 0.02))[30:50]
    np.testing.assert_allclose(view.lift(probabilities[30:50], peaks[30:50], 30), some, atol=2e-4)
    assert (found.argmax(axis=1) == types).mean() > (probabilities.argmax(axis=1) == types).mean() + 0.05


@pytest.mark.parametrize("whole", [True, False])
def test_a_model_of_peaks_takes_the_place_of_the_regression(lesson, rng, whole):
    peaks, probabilities, _ = lesson
    table, rows = rng.dirichlet(np.ones(3), 300), np.sort(rng.permutation(300)[:200])
    view, found, agreement = teach(peaks, probabilities, whole=whole, told=(table, rows))
    votes = table[rows]
    first = near(peaks, probabilities, whole)
    expected = normalised(first * (votes + 0.02) / (votes.mean(axis=0) + 0.02))
    np.testing.assert_allclose(found, expected, atol=1e-9)
    agree = [(votes.argmax(1) == some.argmax(1)).mean() for some in (first, expected)]
    assert agreement == pytest.approx(np.mean(agree))
    assert view.regression is None
    np.testing.assert_array_equal(view.votes, table)


@pytest.mark.parametrize("part", range(FOLDS))
def test_no_cell_is_called_by_what_its_own_fold_has_taught(lesson, part):
    peaks, probabilities, _ = lesson
    fold = np.random.default_rng(3).permutation(200) % FOLDS
    codes = probabilities.argmax(axis=1)
    scale = GroupSums(1, peaks.shape[1]).add(peaks, np.zeros(200, np.intp)).pooled()

    def logits(codes):
        return taught._cross_fitted(peaks, codes, 3, fold, scale, np.random.default_rng(0))[0]

    wrong = np.where(fold == part, (codes + 1) % 3, codes)
    one, other = logits(codes), logits(wrong)
    np.testing.assert_array_equal(one[fold == part], other[fold == part])
    assert (one[fold != part] != other[fold != part]).all()


def test_a_label_that_no_cell_has_stays_possible(lesson):
    peaks, probabilities, _ = lesson
    wide = np.column_stack([probabilities * 0.9, np.full(200, 0.1)])
    view, found, _ = teach(peaks, wide, whole=True)
    assert found.shape == (200, 4)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert set(found.argmax(axis=1)) == {0, 1, 2}
    assert view.overall[3] < 0.02


def test_one_label_for_all_cells_stays_one_label(lesson):
    peaks, _, _ = lesson
    certain = np.tile([0.8, 0.1, 0.1], (200, 1))
    _, found, agreement = teach(peaks, certain, whole=True)
    assert (found.argmax(axis=1) == 0).all()
    assert agreement == 1


def test_teaching_twice_gives_the_same(lesson):
    peaks, probabilities, _ = lesson
    one, other = (teach(peaks, probabilities, whole=True) for _ in range(2))
    np.testing.assert_array_equal(one[1], other[1])
    assert one[2] == other[2]


# --------------------------------------------------------------------------------------------------- annotation


@pytest.fixture(scope="module")
def of_rna():
    """Return a model of RNA; tests must not change it."""
    reference, _ = multiome(1)
    ds = deepscore.DeepScore((16,), list(reference.var_names), epochs=10, batch_size=32, lr=0.01)
    return ds.set_reference(reference, "cell_type").train(progress=False)._trained()


@pytest.fixture(scope="module")
def noisy():
    """Return gene activity that says little, peaks that say more, and the truth."""
    atac = multiome(3, 600, depth=0.1, distal=3.0)[1]
    activity = deepscore.gene_activity(atac, gene_table())
    cells = atac.obs_names.to_numpy(object)
    halves = (blocks_of(activity.X, activity.var_names.to_numpy(object), cells), blocks_of(atac.X, sites(), cells))
    return *halves, atac.obs["cell_type"].to_numpy(object)


def sampled(monkeypatch, sample):
    if sample:
        monkeypatch.setattr(annotate, "WHOLE", 0)
        monkeypatch.setattr(annotate, "SAMPLE", sample)


@pytest.mark.parametrize(("sample", "gain"), [(0, 0.05), (400, 0.04)], ids=["whole", "sample"])
def test_peaks_improve_calls_by_noisy_activity(of_rna, noisy, sample, gain, monkeypatch):
    activity, peaks, truth = noisy
    sampled(monkeypatch, sample)
    alone = annotate_blocks(of_rna, activity, 0.0, probabilities=True)
    both = annotate_blocks(of_rna, activity, 0.0, peaks=peaks, probabilities=True)
    assert (both.calls == truth).mean() > (alone.calls == truth).mean() + gain
    np.testing.assert_allclose(both.probabilities.sum(axis=1), 1)
    assert both.raw.tolist() == alone.raw.tolist()  # the network has no peaks


@pytest.mark.parametrize("sample", [0, 400], ids=["whole", "sample"])
@pytest.mark.parametrize("rows", [50, 600])
def test_the_size_of_blocks_of_peaks_does_not_matter(of_rna, noisy, sample, rows, monkeypatch):
    activity, peaks, _ = noisy
    sampled(monkeypatch, sample)
    one = annotate_blocks(of_rna, activity, peaks=peaks)
    other = annotate_blocks(of_rna, activity, peaks=blocks_of(peaks.to_csr(), sites(), peaks.cell_names, rows=rows))
    assert one.calls.tolist() == other.calls.tolist()
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)


def test_cells_stream_by_with_their_peaks(of_rna, noisy, monkeypatch):
    activity, peaks, _ = noisy
    sampled(monkeypatch, 400)
    one = annotate_blocks(of_rna, activity, peaks=peaks)
    monkeypatch.setattr(annotate, "CELLS_PER_CALL", 64)
    other = annotate_blocks(of_rna, activity, peaks=peaks)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
    assert one.calls.tolist() == other.calls.tolist()


def test_few_cells_are_called_without_their_peaks(of_rna, noisy):
    activity, peaks, _ = noisy
    some = np.arange(19)
    one = annotate_blocks(of_rna, activity.take(some), peaks=peaks.take(some))
    np.testing.assert_array_equal(one.scores, annotate_blocks(of_rna, activity.take(some)).scores)
    more = np.arange(25)
    found = annotate_blocks(of_rna, activity.take(more), peaks=peaks.take(more))
    assert np.isfinite(found.scores).all()
