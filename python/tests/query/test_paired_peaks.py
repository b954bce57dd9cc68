"""What a query's raw peaks say, against plain refitting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import softmax

from deepscore.data.standardise import SumsByCode
from deepscore.data.values import Values
from deepscore.errors import InputError
from deepscore.model.calibrate import fit_temperature
from deepscore.model.linear import fit_linear
from deepscore.query import cells as query_cells
from deepscore.query import paired_peaks
from deepscore.query.neighbours import Neighbourhoods, Space
from deepscore.query.paired_peaks import PairedPeaks, learn_peaks
from deepscore.query.sample import Sample
from deepscore.query.settings import SETTINGS
from deepscore.training.fit import fit
from deepscore.training.reference import prepare
from deepscore.workflows.annotate import AnnotateRequest, annotate
from synthetic import blocks_of, full_model, gene_table, multiome, names, peak_names, quick, silent, sites

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


# ------------------------------------------------------------------------------------------------- PairedPeaks


def test_peaks_of_a_query_are_normalised_by_themselves(raw):
    counts, _ = raw
    counts[17] = 0
    found = PairedPeaks.of(blocks_of(counts, peak_names(50), rows=13))
    seen = found.columns
    assert sorted(seen) == np.flatnonzero(counts.any(axis=0)).tolist()
    assert (np.diff((counts > 0).sum(axis=0)[seen]) <= 0).all()
    rows = np.array([3, 4, 5, 17, 60, 199])
    np.testing.assert_allclose(found.cells(rows).toarray(), tf_idf(counts, seen)[rows], rtol=1e-4, atol=1e-7)
    assert found.model_calls is None


def test_some_cells_are_those_of_all_cells(raw):
    counts, _ = raw
    data = blocks_of(counts, peak_names(50), rows=13)
    found = PairedPeaks.of(data)
    every = found.recipe.matrix(data, found.columns, Values("counts")).toarray()
    np.testing.assert_array_equal(found.cells(np.arange(200)).toarray(), every)
    for rows in (np.array([7]), np.arange(50, 140), np.array([0, 2, 3, 150])):
        np.testing.assert_array_equal(found.cells(rows).toarray(), every[rows])


def test_peaks_without_counts_are_refused():
    with pytest.raises(InputError) as caught:
        PairedPeaks.of(blocks_of(np.zeros((20, 50)), peak_names(50)))
    assert caught.value.code == "empty_data"


def test_peaks_that_are_no_counts_are_refused(raw):
    with pytest.raises(InputError) as caught:
        PairedPeaks.of(blocks_of(raw[0] * 0.37, peak_names(50)))
    assert caught.value.code == "scaled_data"


def test_the_10000_peaks_that_most_cells_have_are_used():
    cells_with = 1 + np.arange(10_050) % 7  # 7 cells; in 1,435 of the peaks there is one
    counts = (np.arange(7)[:, None] < cells_with).astype(np.float32)
    found = PairedPeaks.of(blocks_of(counts, peak_names(10_050)))
    few = np.flatnonzero(cells_with == 1)
    left_out = sorted(few, key=lambda i: peak_names(10_050)[i])[-50:]  # of equal ones the first by name
    assert sorted(found.columns) == sorted({*range(10_050)} - {*left_out})
    np.testing.assert_allclose(found.cells(np.arange(7)).toarray(), tf_idf(counts, found.columns), rtol=1e-4, atol=1e-7)


# ------------------------------------------------------------------------------------------------- learn_peaks


@pytest.fixture
def lesson(raw, rng):
    """Return the peaks of a query, and probabilities that are right for four cells of five."""
    counts, types = raw
    paired = PairedPeaks.of(blocks_of(counts, peak_names(50)))
    said = np.where(rng.random(200) < 0.2, rng.integers(0, 3, 200), types)
    return paired, np.eye(3)[said] * 0.7 + 0.1, types


def sample_of(rows, whole):
    """Return a sample of so many cells of a query; of their gene activity nothing counts here."""
    x = sp.csr_matrix((len(rows), 30), dtype=np.float32)
    of_cells = np.argsort(rows) if whole else None
    return Sample(full_model(), x, np.zeros(len(rows), np.intp), 1, np.ones((1, 30), bool), rows, of_cells)


def learnt(sample, paired, probabilities, settings=SETTINGS):
    return learn_peaks(sample, paired.reading(sample), probabilities, settings)


def refitted(peaks, codes, fold):
    """Call each fold by a regression on dense, standardised peaks of the other folds."""
    scale = SumsByCode(1, peaks.shape[1]).add(peaks, np.zeros(peaks.shape[0], np.intp)).pooled()
    standardised = (peaks.toarray().astype(np.float64) - scale.centre[0]) / scale.deviation[0]
    logits, fits = np.zeros((len(codes), 3)), []
    for part in range(FOLDS):
        others = fold != part
        fits.append(fit_linear(peaks[others], codes[others], 3, scale))
        logits[~others] = standardised[~others] @ fits[-1][0] + fits[-1][1]
    by_all = standardised @ np.mean([weight for weight, _ in fits], axis=0) + np.mean([bias for _, bias in fits], 0)
    return logits, by_all


def summed_to_one(rows):
    return rows / rows.sum(axis=1, keepdims=True)


def near(peaks, probabilities, whole):
    """Weigh probabilities by the neighbours in the LSI of the peaks; test_neighbours.py has these."""
    one = np.zeros(peaks.shape[0], np.intp)
    space = Space.of(peaks, one, 1, whole=whole, latent=True)
    return Neighbourhoods.of(space, probabilities, np.ones(len(one))).reweigh(probabilities, peaks, one)[0]


def by_neighbours(peaks, probabilities):
    """Return what the neighbours in the LSI of the peaks say, from plain means."""
    one = np.zeros(peaks.shape[0], np.intp)
    votes = Space.of(peaks, one, 1, whole=True, latent=True).average(probabilities)
    return summed_to_one(probabilities * np.sqrt((votes + 0.02) / (probabilities.mean(axis=0) + 0.02)))


def test_neighbours_by_peaks_are_asked_first(lesson):
    paired, probabilities, _ = lesson
    certain = replace(paired, model_calls=np.full((200, 3), 1 / 3))  # says nothing
    view = learnt(sample_of(np.arange(200), True), certain, probabilities)
    found = view.reweigh(probabilities, None, 0)
    expected = by_neighbours(paired.cells(np.arange(200)), probabilities)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert np.abs(found - probabilities).max() > 0.1


def test_the_peaks_of_a_sample_are_read_before_they_are_learnt_from(lesson):
    paired, probabilities, _ = lesson
    asked, data, rows = [], paired.data, np.array([*range(40), *range(90, 150)])

    def read(start, stop):
        asked.extend(range(start, stop))
        return data.read(start, stop)

    sample = sample_of(rows, False)
    ready = replace(paired, data=replace(data, read=read)).reading(sample)
    assert asked == rows.tolist()
    np.testing.assert_array_equal(ready.of_sample.toarray(), paired.cells(rows).toarray())
    learn_peaks(sample, ready, probabilities[rows])
    assert asked == rows.tolist()
    assert paired.of_sample is None


@pytest.mark.parametrize("whole", [True, False])
def test_learning_from_calls_equals_refitting_by_hand(lesson, whole):
    paired, probabilities, types = lesson
    peaks = paired.cells(np.arange(200))
    fold = np.random.default_rng(0).permutation(200) % FOLDS
    first = result = near(peaks, probabilities, whole)
    rounds = []
    for _ in range(2):
        codes = result.argmax(axis=1)
        logits, by_all = refitted(peaks, codes, fold)
        temperature = fit_temperature(logits.astype(np.float32), codes)
        votes = softmax(logits / temperature, axis=1)
        overall = votes.mean(axis=0)
        result = summed_to_one(first * (votes + 0.02) / (overall + 0.02))
        rounds.append(codes)
    assert (rounds[0] != rounds[1]).any()  # the second round learns from what the first has said
    view = learnt(sample_of(np.arange(200), whole), paired, probabilities)
    np.testing.assert_allclose(view.overall, overall, atol=1e-4)
    if whole:
        np.testing.assert_allclose(view.votes, votes, atol=1e-4)
    else:
        assert view.votes is None
        votes = softmax(by_all / temperature, axis=1)
    expected = summed_to_one(first * (votes + 0.02) / (overall + 0.02))
    np.testing.assert_allclose(view.reweigh(probabilities, peaks, 0), expected, atol=2e-4)
    np.testing.assert_allclose(view.reweigh(probabilities[30:50], peaks[30:50], 30), expected[30:50], atol=2e-4)
    assert (expected.argmax(axis=1) == types).mean() > (probabilities.argmax(axis=1) == types).mean() + 0.05


@pytest.mark.parametrize("whole", [True, False])
def test_a_model_of_peaks_takes_the_place_of_the_regression(lesson, rng, whole):
    paired, probabilities, _ = lesson
    rows = np.arange(200) if whole else np.sort(rng.permutation(200)[:120])
    told, probabilities = rng.dirichlet(np.ones(3), 200), probabilities[rows]
    view = learnt(sample_of(rows, whole), replace(paired, model_calls=told), probabilities)
    assert view.regression is None
    np.testing.assert_array_equal(view.votes, told)
    peaks = paired.cells(rows)
    first = near(peaks, probabilities, whole)[20:30]
    overall = told[rows].mean(axis=0)
    np.testing.assert_allclose(view.overall, overall)
    start = 20 if whole else 100  # where the cells are in the query
    expected = summed_to_one(first * (told[start : start + 10] + 0.02) / (overall + 0.02))
    found = view.reweigh(probabilities[20:30], peaks[20:30], start)
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("part", range(FOLDS))
def test_no_cell_is_called_by_what_its_own_fold_has_taught(lesson, part):
    paired, probabilities, _ = lesson
    peaks = paired.cells(np.arange(200))
    fold = np.random.default_rng(3).permutation(200) % FOLDS
    codes = probabilities.argmax(axis=1)
    scale = SumsByCode(1, peaks.shape[1]).add(peaks, np.zeros(200, np.intp)).pooled()

    def logits(codes):
        return paired_peaks._cross_fitted(peaks, codes, 3, fold, scale, np.random.default_rng(0))[0]

    wrong = np.where(fold == part, (codes + 1) % 3, codes)
    one, other = logits(codes), logits(wrong)
    np.testing.assert_array_equal(one[fold == part], other[fold == part])
    assert (one[fold != part] != other[fold != part]).all()


def test_a_label_that_no_cell_has_stays_possible(lesson):
    paired, probabilities, _ = lesson
    wide = np.column_stack([probabilities * 0.9, np.full(200, 0.1)])
    view = learnt(sample_of(np.arange(200), True), paired, wide)
    found = view.reweigh(wide, None, 0)
    assert found.shape == (200, 4)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert set(found.argmax(axis=1)) == {0, 1, 2}
    assert view.overall[3] < 0.02


def test_one_label_for_all_cells_stays_one_label(lesson):
    paired, _, _ = lesson
    certain = np.tile([0.8, 0.1, 0.1], (200, 1))
    found = learnt(sample_of(np.arange(200), True), paired, certain).reweigh(certain, None, 0)
    assert (found.argmax(axis=1) == 0).all()


def test_learning_twice_gives_the_same(lesson):
    paired, probabilities, _ = lesson
    one, other = (
        learnt(sample_of(np.arange(200), True), paired, probabilities).reweigh(probabilities, None, 0) for _ in range(2)
    )
    np.testing.assert_array_equal(one, other)


def test_a_power_of_0_leaves_the_regression_out(lesson):
    paired, probabilities, _ = lesson
    alone = replace(SETTINGS, peaks_power=0.0)
    view = learnt(sample_of(np.arange(200), True), paired, probabilities, alone)
    expected = by_neighbours(paired.cells(np.arange(200)), probabilities)
    np.testing.assert_allclose(view.reweigh(probabilities, None, 0), expected, atol=1e-9)


@pytest.mark.parametrize("whole", [True, False])
def test_powers_of_0_leave_all_out_that_peaks_say(lesson, rng, whole):
    paired, probabilities, _ = lesson
    peaks, nothing = paired.cells(np.arange(200)), replace(SETTINGS, neighbour_power=0.0, peaks_power=0.0)
    for calls in (None, rng.dirichlet(np.ones(3), 200)):
        view = learnt(sample_of(np.arange(200), whole), replace(paired, model_calls=calls), probabilities, nothing)
        np.testing.assert_allclose(view.reweigh(probabilities, peaks, 0), probabilities, atol=1e-12)


# --------------------------------------------------------------------------------------------------- annotation


@pytest.fixture(scope="module")
def of_rna():
    """Return a model of RNA; tests must not change it."""
    data = multiome(1)[0]
    config = quick(common_features=tuple(data.var_names), hidden_nodes=(16,), epochs=10, lr=0.01)
    return fit(prepare(blocks_of(data.X), data.obs["cell_type"].to_numpy(object), config), config, silent())


@pytest.fixture(scope="module")
def noisy():
    """Return gene activity that says little, peaks that say more, and the truth."""
    atac = multiome(3, 600, depth=0.1, distal=3.0)[1]
    cells = atac.obs_names.to_numpy(object)
    genes = gene_table()
    activity = np.zeros((600, len(genes)))  # counts of the promoter and of the peak in the body
    activity += atac.X[:, : len(genes)].toarray() + atac.X[:, len(genes) : 2 * len(genes)].toarray()
    halves = (blocks_of(activity, names("GENE", len(genes)), cells), blocks_of(atac.X, sites(), cells))
    return *halves, atac.obs["cell_type"].to_numpy(object)


def annotated(model, query, threshold=0.5, settings=SETTINGS, *, peaks=None, **options):
    return annotate(model, query, AnnotateRequest(threshold=threshold, **options), peaks=peaks, settings=settings)


SAMPLE = replace(SETTINGS, whole=0, sample=400)
WHOLE_OR_SAMPLE = pytest.mark.parametrize("settings", [SETTINGS, SAMPLE], ids=["whole", "sample"])


@pytest.mark.parametrize(("settings", "gain"), [(SETTINGS, 0.05), (SAMPLE, 0.04)], ids=["whole", "sample"])
def test_peaks_improve_calls_by_noisy_activity(of_rna, noisy, settings, gain):
    activity, peaks, truth = noisy
    alone = annotated(of_rna, activity, 0.0, settings, probabilities=True)
    both = annotated(of_rna, activity, 0.0, settings, peaks=peaks, probabilities=True)
    assert (both.calls == truth).mean() > (alone.calls == truth).mean() + gain
    np.testing.assert_allclose(both.probabilities.sum(axis=1), 1)
    same = both.raw == alone.raw  # the network has no peaks; without these, one of several equal cells is looked at
    assert same.all() if settings is SETTINGS else same.mean() > 0.97


@WHOLE_OR_SAMPLE
@pytest.mark.parametrize("rows", [50, 600])
def test_the_size_of_blocks_of_peaks_does_not_matter(of_rna, noisy, settings, rows):
    activity, peaks, _ = noisy
    one = annotated(of_rna, activity, settings=settings, peaks=peaks)
    in_blocks = blocks_of(peaks.to_csr(), sites(), peaks.cell_names, rows=rows)
    other = annotated(of_rna, activity, settings=settings, peaks=in_blocks)
    assert one.calls.tolist() == other.calls.tolist()
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)


def test_cells_stream_by_with_their_peaks(of_rna, noisy, monkeypatch):
    activity, peaks, _ = noisy
    one = annotated(of_rna, activity, settings=SAMPLE, peaks=peaks)
    monkeypatch.setattr(query_cells, "CELLS_PER_CALL", 64)
    other = annotated(of_rna, activity, settings=SAMPLE, peaks=peaks)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
    assert one.calls.tolist() == other.calls.tolist()


def test_few_cells_are_called_without_their_peaks(of_rna, noisy):
    activity, peaks, _ = noisy
    some = np.arange(19)
    one = annotated(of_rna, activity.take(some), peaks=peaks.take(some))
    np.testing.assert_array_equal(one.scores, annotated(of_rna, activity.take(some)).scores)
    more = np.arange(25)
    found = annotated(of_rna, activity.take(more), peaks=peaks.take(more))
    assert np.isfinite(found.scores).all()
