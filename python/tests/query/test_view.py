from __future__ import annotations

import warnings
from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import settings as settings_of_tests
from hypothesis import strategies as st

from deepscore.data.standardise import Scale
from deepscore.interfaces.readers import open_source
from deepscore.query.neighbours import Space
from deepscore.query.novelty import chance_known
from deepscore.query.paired_peaks import PairedPeaks
from deepscore.query.rank_calls import RankedProfiles
from deepscore.query.sample import Sample
from deepscore.query.scales import SecondReading, choose_scale
from deepscore.query.settings import SETTINGS
from deepscore.query.view import learn_view, view_by_scale
from deepscore.workflows.annotate import AnnotateRequest, annotate
from synthetic import blocks_of, normalised, peak_names, study, type_names

OTHER = [200, 5, 60, 30, 5]  # another composition than the reference's, with two rare types


def sample_of(model, counts, batches=None, n_batches=1, *, whole=True):
    x = normalised(model, counts)
    batches = np.zeros(x.shape[0], np.intp) if batches is None else batches
    cells = np.arange(x.shape[0])
    return Sample(model, x, batches, n_batches, np.ones((1, x.shape[1]), bool), cells, cells if whole else None)


def space_of(sample):
    return Space.of(sample.x, sample.batches, sample.n_batches, whole=sample.whole)


def annotated(model, counts, threshold=0.5, batch=None, settings=SETTINGS, **options):
    data = counts if hasattr(counts, "read") else blocks_of(counts)
    return annotate(model, data, AnnotateRequest(threshold=threshold, **options), batch=batch, settings=settings)


def right(model, counts, codes, batch=None, **options):
    """Return which cells get their own label."""
    return annotated(model, counts, 0.0, batch, **options).calls == type_names(codes)


# ----------------------------------------------------------------------------------------- what it is good for


@pytest.mark.parametrize(("shift", "least", "gain"), [(1.0, 0.98, 0.03), (1.3, 0.94, 0.05)])
def test_another_technology_and_composition_are_seen_through(of_study, shift, least, gain):
    found = []
    for seed in range(2, 8):
        counts, codes = study(seed, OTHER, shift)
        one = np.full(len(codes), "one", object)
        ways = ((None, {}), (None, {"refine": False}), (one, {"refine": False}))
        found.append([right(of_study, counts, codes, batch, **options).mean() for batch, options in ways])
    whole, alone, own = np.mean(found, axis=0)  # `own` is by the query's own scale, whatever its composition
    assert whole > least
    assert whole > alone + gain
    assert whole > own + 0.03


@pytest.mark.parametrize("shift", [0.0, 1.3])
@pytest.mark.parametrize("seed", [2, 3])
def test_types_of_five_cells_are_not_erased_by_their_neighbours(of_study, seed, shift):
    counts, codes = study(seed, OTHER, shift)
    found = right(of_study, counts, codes)
    assert found[codes == 1].sum() >= 4
    assert found[codes == 4].sum() >= 4


def test_two_samples_are_each_seen_by_themselves(of_study):
    (one, codes), (other, others) = study(2, [60] * 5, 1.3), study(4, [100, 5, 100, 5, 100], 1.3)
    counts, truth = sp.vstack([one, other]), np.concatenate([codes, others])
    batch = np.repeat(["one", "other"], [len(codes), len(others)]).astype(object)
    each, alone = (right(of_study, counts, truth, b, refine=b is not None).mean() for b in (batch, None))
    assert each > 0.97 > alone + 0.05


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_sorted_cells_are_called_about_as_well_as_one_by_one(of_study, shift, whole):
    counts, codes = study(2, [0, 0, 300, 0, 0], shift)
    sample = sample_of(of_study, counts, whole=whole)
    alone = (of_study.predict_proba(sample.x).argmax(axis=1) == codes).mean()
    found = learn_view(sample).predict(sample.x, sample.batches)[1]
    assert (found.argmax(axis=1) == codes).mean() >= alone - 0.01 > 0.9


def test_sorted_cells_beside_a_mixture_are_called_well(of_study):
    (one, codes), (other, others) = study(2, [0, 0, 200, 0, 0], 0.5), study(4, [60] * 5, 0.5)
    counts, truth = sp.vstack([one, other]), np.concatenate([codes, others])
    batch = np.repeat(["sorted", "mixed"], [200, 300]).astype(object)
    assert right(of_study, counts, truth, batch).mean() > 0.97


@pytest.mark.parametrize("seed", [2, 3])
def test_empty_cells_leave_the_others_their_labels(of_study, seed):
    counts, codes = study(seed, OTHER[::-1], 1.0)
    empty = sp.csr_matrix((2 * len(codes), 150))
    alone = right(of_study, counts, codes)
    beside = right(of_study, sp.vstack([counts, empty]), np.append(codes, np.zeros(2 * len(codes), int)))[: len(codes)]
    assert beside.mean() > alone.mean() - 0.02


# -------------------------------------------------------------------------------------- what a view is made of


def summed_to_one(rows):
    return rows / rows.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("batches", "n_batches"), [([0], 1), ([0, 2], 3)])
def test_labels_are_those_of_the_network_on_the_query_s_scale_weighed_by_neighbours(of_study, batches, n_batches):
    counts, _ = study(3, [80] * 6, 0.8)  # the last type is not known
    sample = sample_of(of_study, counts, np.resize(batches, 480), n_batches)
    space = space_of(sample)
    ranked = RankedProfiles.of(sample)
    rank_calls = ranked.calls(sample.x)
    scale = choose_scale(sample, space, rank_calls)
    standardised = (sample.x.toarray() - scale.centre[sample.batches]) / scale.deviation[sample.batches]
    unit = Scale(np.zeros((1, 150), np.float32), np.ones((1, 150), np.float32))
    alone = of_study.predict_proba(sp.csr_matrix(standardised), unit)
    second = SecondReading.of(sample, alone)  # test_scales.py has it
    by_own = of_study.linear_proba(sample.x, second.scale)
    assert second.share.max() > 0.1
    alone += second.share[sample.batches][:, None] * (by_own - alone)
    votes, overall = space.average(alone), alone.mean(axis=0)
    expected = summed_to_one(alone * np.sqrt((votes + 0.02) / (overall + 0.02)))
    view = learn_view(sample)
    found = view.predict(sample.x, sample.batches)
    np.testing.assert_allclose(found[0], alone, atol=1e-4)
    np.testing.assert_allclose(found[1], expected, atol=1e-4)
    np.testing.assert_allclose(
        found[2], chance_known(sample, space, found[0], ranked, ranked.calls(sample.x))[0], atol=1e-6
    )
    assert (found[2] < 0.5).any()
    part = view.predict(sample.x[100:130], sample.batches[100:130], 100)
    for some, every in zip(part, found, strict=True):
        np.testing.assert_allclose(some, every[100:130], atol=1e-6)
    assert view.peaks is None
    assert not view.needs_peaks


def test_without_neighbours_each_cell_is_called_by_its_batch_s_own_scale(of_study):
    sample = sample_of(of_study, study(3, OTHER, 1.0)[0], np.repeat([0, 1], 150), 2)
    dense, scale = sample.x.toarray().astype(float), np.zeros((2, 2, 150))
    for batch in (0, 1):
        cells = dense[sample.batches == batch]
        scale[0, batch] = 0.75 * cells.mean(axis=0) + 0.25 * of_study.mean  # the reference counts like 50 cells
        scale[1, batch] = np.sqrt(0.75 * (cells.var(axis=0) + 0.01) + 0.25 * of_study.deviation.astype(float) ** 2)
    expected = of_study.predict_proba(sample.x, Scale(*scale.astype(np.float32), sample.batches))
    alone, in_view, known = view_by_scale(sample).predict(sample.x, sample.batches)
    np.testing.assert_allclose(alone, expected, atol=1e-4)
    np.testing.assert_array_equal(in_view, alone)
    assert (known == 1).all()


@pytest.mark.parametrize(("n", "asked"), [(19, False), (20, True), (21, True)])
def test_neighbours_are_asked_where_there_are_20_cells(of_study, n, asked):
    view = learn_view(sample_of(of_study, study(2, [60] * 5)[0][:n]))
    assert (view.neighbours is not None) == asked


def test_neighbours_of_peaks_are_those_of_their_lsi_and_say_nothing_of_unknown_types(of_study):
    counts, _ = study(5, [80] * 6)
    for model, latent in ((of_study, False), (replace(of_study, modality="peaks"), True)):
        sample = sample_of(model, counts)
        view = learn_view(sample)
        assert (view.neighbours.known < 0.5).any() != latent
        space = Space.of(sample.x, sample.batches, 1, whole=True, latent=latent)
        np.testing.assert_allclose(view.neighbours.mean, space.average(view.alone(sample.x, sample.batches)))


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "sample"])
def test_what_peaks_say_counts_beside_the_neighbours(of_study, rng, whole):
    counts, codes = study(5, [80] * 6)  # the last type is not known
    peaks = PairedPeaks.of(blocks_of(rng.poisson(rng.gamma(0.5, 1, (6, 40))[codes]), peak_names(40)))
    sample = sample_of(of_study, counts, whole=whole)
    plain, view = learn_view(sample), learn_view(sample, peaks.reading(sample))
    assert view.needs_peaks != whole
    of_cells = peaks.cells(np.arange(480))
    some = None if whole else of_cells
    alone, found, known = view.predict(sample.x, sample.batches, 0, some)
    np.testing.assert_allclose(known, 1)  # beside peaks, unknown types are not looked for
    assert (plain.neighbours.known < 0.5).any()
    before = plain.predict(sample.x, sample.batches)
    expected = view.peaks.reweigh(before[1], some, 0)  # test_paired_peaks.py has it
    np.testing.assert_allclose(found, expected, atol=1e-9)
    np.testing.assert_array_equal(alone, before[0])
    assert np.abs(found - before[1]).max() > 0.1
    part = view.predict(sample.x[100:130], sample.batches[100:130], 100, None if whole else of_cells[100:130])[1]
    np.testing.assert_allclose(part, found[100:130], atol=1e-6)


# ------------------------------------------------------------------------------------------ samples and sizes


@pytest.fixture(scope="module")
def large():
    """Return a query of 900 cells with a type that is not known."""
    return study(6, [300, 100, 100, 150, 100, 150], 0.8)


def sampled(n):
    return replace(SETTINGS, whole=0, sample=n)


@pytest.mark.parametrize(
    "batch", [None, np.repeat(["a", "b", "c"], [140, 130, 630]).astype(object)], ids=["one", "three"]
)
def test_a_sample_of_a_large_query_is_enough(of_study, large, batch):
    counts, codes = large
    whole = annotated(of_study, counts, batch=batch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = annotated(of_study, counts, batch=batch, settings=sampled(300))
    assert (whole.calls == found.calls).mean() > 0.93
    for one in (whole, found):
        known = codes < 5
        assert (one.raw == type_names(codes))[known].mean() > 0.93
        assert (one.reasons == "outlier")[codes == 5].mean() > 0.8
    assert np.isfinite(found.scores).all()


@pytest.mark.parametrize("settings", [SETTINGS, sampled(300)], ids=["whole", "sample"])
@pytest.mark.parametrize("batched", [False, True], ids=["one batch", "batches"])
def test_the_order_of_cells_and_features_changes_nothing(of_study, large, settings, batched, rng):
    counts, _ = large
    features = np.array(of_study.features, object)
    batch = rng.choice(["a", "b", "c"], 900).astype(object) if batched else None
    for values in (counts, counts * np.float32(0.37)):
        one = annotated(of_study, blocks_of(values, features), batch=batch, settings=settings)
        for _ in range(3):
            cells, columns = rng.permutation(900), rng.permutation(len(features))
            moved = blocks_of(values[cells][:, columns], features[columns])
            other = annotated(of_study, moved, batch=batch[cells] if batched else None, settings=settings)
            assert other.calls.tolist() == one.calls[cells].tolist()
            np.testing.assert_allclose(other.scores, one.scores[cells], rtol=0, atol=1e-6)


@pytest.mark.parametrize("times", [2, 3, 5])
@pytest.mark.parametrize("batched", [False, True], ids=["one batch", "batches"])
@pytest.mark.parametrize(
    "settings", [SETTINGS, replace(SETTINGS, whole=900), sampled(300)], ids=["whole", "large by copies", "sample"]
)
def test_copies_of_the_cells_change_nothing(of_study, large, settings, batched, times, rng):
    counts, _ = large
    batch = rng.choice(["a", "b", "c"], 900).astype(object) if batched else None
    one = annotated(of_study, counts, batch=batch, settings=settings)
    copies = rng.permutation(np.tile(np.arange(900), times))
    other = annotated(of_study, counts[copies], batch=batch[copies] if batched else None, settings=settings)
    assert other.calls.tolist() == one.calls[copies].tolist()
    assert other.reasons.tolist() == one.reasons[copies].tolist()
    np.testing.assert_allclose(other.scores, one.scores[copies], rtol=0, atol=1e-6)


@settings_of_tests(max_examples=10)
@given(seed=st.integers(0, 10**6), fractions=st.booleans(), batched=st.booleans())
def test_some_cells_twice_change_nothing(of_study, seed, fractions, batched):
    rng = np.random.default_rng(seed)
    counts = study(seed, rng.integers(0, 60, 6).tolist(), 0.5)[0]
    counts = counts * np.float32(0.37) if fractions else counts
    n = counts.shape[0]
    batch = rng.choice(["a", "b"], n).astype(object) if batched else None
    some = rng.permutation(np.append(np.arange(n), rng.integers(0, max(n, 1), n)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one = annotated(of_study, counts, batch=batch)
        other = annotated(of_study, counts[some], batch=batch[some] if batched else None)
    assert other.calls.tolist() == one.calls[some].tolist()
    np.testing.assert_allclose(other.scores, one.scores[some], rtol=0, atol=1e-6)


@pytest.mark.parametrize("settings", [SETTINGS, sampled(300)], ids=["whole", "sample"])
def test_the_same_from_memory_disk_and_any_blocks(of_study, large, tmp_path, settings):
    counts, _ = large

    def found_in(data):
        return annotated(of_study, data, settings=settings, probabilities=True)

    expected = found_in(counts)
    data = ad.AnnData(counts, var=pd.DataFrame(index=list(of_study.features)))
    data.obs_names = [f"cell{i}" for i in range(900)]
    data.write_h5ad(tmp_path / "q.h5ad")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.write_zarr(tmp_path / "q.zarr")
    ways = [open_source(tmp_path / f"q.{kind}").blocks for kind in ("h5ad", "zarr")]
    ways += [blocks_of(counts, rows=rows) for rows in (1, 137, 900)]
    for way in ways:
        found = found_in(way)
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
        assert found.calls.tolist() == expected.calls.tolist()
        assert found.reasons.tolist() == expected.reasons.tolist()
    np.testing.assert_array_equal(found_in(counts).probabilities, expected.probabilities)


@pytest.mark.parametrize("n", [1, 2, 3, 19, 20, 49, 50, 99, 100, 101])
@pytest.mark.parametrize("batch", [False, True])
def test_queries_of_any_size_are_annotated(of_study, n, batch):
    counts, codes = study(2, [60] * 5)
    batch_of_cell = np.resize(np.array(["a", "b", "c"], object), n) if batch else None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "Unknown types are not looked for: that takes 100 cells")
        found = annotated(of_study, counts[:n], 0.0, batch_of_cell, probabilities=True)
    assert (found.calls == type_names(codes[:n])).mean() > 0.9
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)
    assert found.scores.min() > 0


@pytest.mark.parametrize("n", [60, 150])
def test_a_query_without_any_count_is_unclassified(of_study, n):
    found = annotated(of_study, np.zeros((n, 150)))
    assert set(found.reasons) == {"no counts"}
    same = annotated(of_study, np.tile(study(2, [1] * 5)[0].toarray()[:1], (n, 1)))  # no variance
    assert len(set(same.calls)) == 1


def test_a_query_with_one_feature_is_annotated(of_study):
    counts = study(2, [40] * 5)[0].toarray()[:, :1]
    with pytest.warns(UserWarning, match="less reliable"):
        found = annotated(of_study, counts, min_overlap=0)
    assert np.isfinite(found.scores).all()


def test_the_order_of_cells_does_not_matter_much(of_study, large):
    counts, _ = large
    order = np.random.default_rng(0).permutation(900)
    one, other = annotated(of_study, counts).calls, annotated(of_study, counts[order]).calls
    assert (one[order] == other).mean() > 0.97
