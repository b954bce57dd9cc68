from __future__ import annotations

import warnings
from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.special import softmax

from deepscore.workflows import annotate
from deepscore.query import scales as queryscale, view as refine
from deepscore.interfaces.readers import open_source
from deepscore.workflows.annotate import annotate_blocks
from deepscore.query.neighbours import Space
from deepscore.query.scales import Sample
from deepscore.query.rank_calls import called_by_ranks
from deepscore.query.view import look
from deepscore.data.standardise import Scale
from synthetic import blocks_of, normalised, study, type_names

OTHER = [200, 5, 60, 30, 5]  # another composition than the reference's, with two rare types


def view_of(model, counts, groups=None, n_groups=1, *, whole=True):
    x = normalised(model, counts)
    groups = np.zeros(x.shape[0], np.intp) if groups is None else groups
    return x, groups, look(model, x, groups, n_groups, np.ones(x.shape[1], bool), whole=whole)


def right(model, counts, codes, **options):
    """Return which cells get their own label."""
    return annotate_blocks(model, blocks_of(counts), 0.0, **options).calls == type_names(codes)


# ----------------------------------------------------------------------------------------- what it is good for


@pytest.mark.parametrize("seed", [2, 3])
def test_another_technology_and_composition_are_seen_through(of_study, seed):
    counts, codes = study(seed, OTHER, 1.3)
    one = np.full(len(codes), "one", object)
    whole, alone = right(of_study, counts, codes).mean(), right(of_study, counts, codes, refine=False).mean()
    own = right(of_study, counts, codes, batch=one, refine=False).mean()  # its own scale, whatever its composition
    assert whole > 0.97
    assert whole > alone + 0.1
    assert whole > own + 0.05


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
    each, alone = (right(of_study, counts, truth, batch=b, refine=b is not None).mean() for b in (batch, None))
    assert each > 0.97 > alone + 0.05


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_sorted_cells_are_called_about_as_well_as_one_by_one(of_study, shift, whole):
    counts, codes = study(2, [0, 0, 300, 0, 0], shift)
    x, groups, view = view_of(of_study, counts, whole=whole)
    alone = (of_study.predict_proba(x).argmax(axis=1) == codes).mean()
    assert (view.predict(x, groups)[1].argmax(axis=1) == codes).mean() >= alone - 0.01 > 0.9


def test_sorted_cells_beside_a_mixture_are_called_well(of_study):
    (one, codes), (other, others) = study(2, [0, 0, 200, 0, 0], 0.5), study(4, [60] * 5, 0.5)
    counts, truth = sp.vstack([one, other]), np.concatenate([codes, others])
    batch = np.repeat(["sorted", "mixed"], [200, 300]).astype(object)
    assert right(of_study, counts, truth, batch=batch).mean() > 0.97


@pytest.mark.parametrize("seed", [2, 3])
def test_empty_cells_leave_the_others_their_labels(of_study, seed):
    counts, codes = study(seed, OTHER[::-1], 1.0)
    empty = sp.csr_matrix((2 * len(codes), 150))
    alone = right(of_study, counts, codes)
    beside = right(of_study, sp.vstack([counts, empty]), np.append(codes, np.zeros(2 * len(codes), int)))[: len(codes)]
    assert beside.mean() > alone.mean() - 0.02


# ------------------------------------------------------------------------------- expected accuracy, neighbours


@pytest.mark.parametrize("held_out", [{}, {"n_cells": 30, "accuracy": 0.6, "agreement": 0.8}, {"n_cells": 0}])
def test_the_expected_accuracy_is_agreement_and_confidence(of_study, rng, held_out):
    of_study = replace(of_study, training={**of_study.training, "held_out": held_out})
    counts, codes = study(3, OTHER, 1.0)
    x, n, groups = normalised(of_study, counts), len(codes), np.arange(len(codes)) % 2
    scale = Scale(
        (of_study.mean + rng.normal(0, 0.3, (2, 150))).astype(np.float32),
        (of_study.deviation * rng.uniform(0.7, 1.5, (2, 150))).astype(np.float32),
        groups,
    )
    raw, refined, borne_out = of_study.predict_proba(x, scale), rng.dirichlet(np.full(5, 0.2), n), rng.random(n) < 0.8
    paths = Sample(of_study, x, groups, 2, np.ones(150, bool)).paths(scale)
    found = refine._expected_accuracy(of_study, paths, borne_out, raw, refined)

    linear = (x.toarray() - scale.centre[groups]) / scale.deviation[groups] @ of_study.linear[0] + of_study.linear[1]
    deep = replace(of_study, linear=None).logits(x, scale)
    agree, confidence = np.mean(deep.argmax(axis=1) == linear.argmax(axis=1)), raw.max(axis=1).mean()
    assert agree < 1
    weight = n / (n + 50)
    signs = borne_out.mean() + agree + confidence + refined.max(axis=1).mean()
    expected = weight * signs / 4 + (1 - weight) * confidence
    if "agreement" in held_out:  # there the same mean is (1 + .8 + .6 + .6) / 4 = .75, and .6 are right
        expected -= 30 / 80 * 0.15
    assert found == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("wanted", [0.5, 0.7, 0.85])
def test_probabilities_are_sharpened_to_the_expected_accuracy(rng, wanted):
    probabilities = softmax(rng.normal(0, 2, (300, 5)), axis=1)
    power = refine._sharpness(probabilities, wanted)
    expected = probabilities**power / (probabilities**power).sum(axis=1, keepdims=True)
    found = refine._sharpened(probabilities, power)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert found.max(axis=1).mean() == pytest.approx(wanted, abs=1e-3)
    assert (found.argmax(axis=1) == probabilities.argmax(axis=1)).all()


def test_sharpening_has_limits(rng):
    probabilities = softmax(rng.normal(0, 2, (300, 5)), axis=1)
    assert refine._sharpness(probabilities, 0.01) == pytest.approx(1 / 4, rel=1e-3)
    assert refine._sharpness(probabilities, 1.5) == pytest.approx(4, rel=1e-3)
    certain = np.eye(5)[rng.integers(0, 5, 20)]
    assert np.isfinite(refine._sharpened(certain, 0.3)).all()


def test_scores_are_as_high_as_accuracy_is_expected_to_be(of_study):
    counts, _ = study(3, [60] * 5, 0.5)
    x, groups, view = view_of(of_study, counts)
    raw, sample = view.raw(x, groups), Sample(of_study, x, groups, 1, np.ones(150, bool))
    space = Space.of(x, groups, 1, whole=True)
    by_ranks = called_by_ranks(x, of_study.profiles, sample.present)
    own, shifted = (reading.calls for reading in queryscale.own_and_shifted(sample, by_ranks, space))
    refined = view.neighbours.lift(raw, x, groups)[0]
    borne_out = (shifted == own) | (shifted == by_ranks)
    expected = refine._expected_accuracy(of_study, sample.paths(view.scale), borne_out, raw, refined)
    alone, found, _ = view.predict(x, groups)
    assert found.max(axis=1).mean() == pytest.approx(expected, abs=0.005)
    np.testing.assert_array_equal(alone, raw)


def test_neighbours_lift_what_is_more_frequent_among_them(of_study):
    counts, codes = study(3, OTHER, 0.8)
    x, groups, view = view_of(of_study, counts)
    raw, neighbours = view.raw(x, groups), view.neighbours
    votes, known = neighbours.votes(x, groups, 0)
    np.testing.assert_allclose(neighbours.overall, raw.mean(axis=0))
    np.testing.assert_allclose(votes.sum(axis=1), 1)
    expected = raw * np.sqrt((votes + 0.02) / (raw.mean(axis=0) + 0.02))
    found = refine._sharpened(expected / expected.sum(axis=1, keepdims=True), view.sharpness)
    np.testing.assert_allclose(view.predict(x, groups)[1], found)
    some = neighbours.votes(x[100:130], groups[100:130], 100)
    np.testing.assert_array_equal(some[0], votes[100:130])
    np.testing.assert_array_equal(some[1], known[100:130])
    pure = votes[np.arange(len(codes)), codes]  # the neighbours of a cell are of its own type
    assert pure[np.isin(codes, [0, 2, 3])].mean() > 0.8


def test_neighbours_of_peaks_say_nothing_of_unknown_types(of_study):
    counts, _ = study(5, [80] * 6)
    for model, unknown in ((of_study, True), (replace(of_study, modality="peaks"), False)):
        assert (view_of(model, counts)[2].neighbours.known < 0.5).any() == unknown


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "sample"])
def test_what_peaks_say_counts_beside_the_neighbours(of_study, rng, whole):
    counts, codes = study(5, [80] * 6)  # the last type is not known
    peaks = sp.csr_matrix(np.log1p(rng.poisson(rng.gamma(0.5, 1, (6, 40))[codes])), dtype=np.float32)
    x, groups, plain = view_of(of_study, counts)
    view = look(of_study, x, groups, 1, np.ones(150, bool), whole=whole, peaks=peaks)
    raw, (near, known) = view.raw(x, groups), view.neighbours.votes(x, groups, 0)
    np.testing.assert_allclose(known, 1)  # beside peaks, unknown types are not looked for
    assert (plain.neighbours.known < 0.5).any()
    expected = raw * np.sqrt((near + 0.02) / (raw.mean(axis=0) + 0.02))
    expected = view.peaks.lift(expected / expected.sum(axis=1, keepdims=True), peaks, 0)  # test_taught.py has it
    expected = refine._sharpened(expected, view.sharpness)
    alone, found, _ = view.predict(x, groups, 0, None if whole else peaks)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    np.testing.assert_array_equal(alone, raw)
    part = view.predict(x[100:130], groups[100:130], 100, None if whole else peaks[100:130])[1]
    np.testing.assert_allclose(part, found[100:130], atol=1e-6)
    assert plain.peaks is None


# ------------------------------------------------------------------------------------------ samples and sizes


@pytest.fixture(scope="module")
def large():
    """Return a query of 900 cells with a type that is not known."""
    return study(6, [300, 100, 100, 150, 100, 150], 0.8)


@pytest.mark.parametrize(
    "batch", [None, np.repeat(["a", "b", "c"], [140, 130, 630]).astype(object)], ids=["one", "three"]
)
def test_a_sample_of_a_large_query_is_enough(of_study, large, batch, monkeypatch):
    counts, codes = large
    whole = annotate_blocks(of_study, blocks_of(counts), batch=batch)
    monkeypatch.setattr(annotate, "WHOLE", 0)
    monkeypatch.setattr(annotate, "SAMPLE", 300)  # 0:100, 400:500 and 800:900, and 50 cells of batch b
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampled = annotate_blocks(of_study, blocks_of(counts), batch=batch)
    assert (whole.calls == sampled.calls).mean() > 0.93
    for found in (whole, sampled):
        known = codes < 5
        assert (found.raw == type_names(codes))[known].mean() > 0.93
        assert (found.reasons == "outlier")[codes == 5].mean() > 0.8
    assert np.isfinite(sampled.scores).all()


def test_a_sample_reads_no_more_than_it_needs(of_study, large, monkeypatch):
    monkeypatch.setattr(annotate, "WHOLE", 0)
    monkeypatch.setattr(annotate, "SAMPLE", 200)
    asked, data = [], blocks_of(large[0], rows=300)

    def read(start, stop):
        asked.append((start, stop))
        return data.read(start, stop)

    annotate_blocks(of_study, replace(data, read=read))
    assert asked[-5:] == [(0, 100), (800, 900), (0, 300), (300, 600), (600, 900)]


@pytest.mark.parametrize("sample", [10_000, 300], ids=["whole", "sample"])
def test_the_same_from_memory_disk_and_any_blocks(of_study, large, tmp_path, monkeypatch, sample):
    monkeypatch.setattr(annotate, "WHOLE", 0)
    monkeypatch.setattr(annotate, "SAMPLE", sample)
    counts, _ = large
    expected = annotate_blocks(of_study, blocks_of(counts), probabilities=True)
    data = ad.AnnData(counts, var=pd.DataFrame(index=list(of_study.features)))
    data.obs_names = [f"cell{i}" for i in range(900)]
    data.write_h5ad(tmp_path / "q.h5ad")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.write_zarr(tmp_path / "q.zarr")
    ways = [open_source(tmp_path / f"q.{kind}").blocks for kind in ("h5ad", "zarr")]
    ways += [blocks_of(counts, rows=rows) for rows in (1, 137, 900)]
    for way in ways:
        found = annotate_blocks(of_study, way, probabilities=True)
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
        assert found.calls.tolist() == expected.calls.tolist()
        assert found.reasons.tolist() == expected.reasons.tolist()
    again = annotate_blocks(of_study, blocks_of(counts), probabilities=True)
    np.testing.assert_array_equal(again.probabilities, expected.probabilities)


@pytest.mark.parametrize("n", [1, 2, 3, 49, 50, 99, 100, 101])
@pytest.mark.parametrize("batch", [False, True])
def test_queries_of_any_size_are_annotated(of_study, n, batch):
    counts, codes = study(2, [60] * 5)
    samples = np.resize(np.array(["a", "b", "c"], object), n) if batch else None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = annotate_blocks(of_study, blocks_of(counts[:n]), 0.0, samples, probabilities=True)
    assert (found.calls == type_names(codes[:n])).mean() > 0.9
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)
    assert found.scores.min() > 0


@pytest.mark.parametrize("n", [60, 150])
def test_a_query_without_any_count_is_unclassified(of_study, n):
    found = annotate_blocks(of_study, blocks_of(np.zeros((n, 150))))
    assert set(found.reasons) == {"no counts"}
    same = annotate_blocks(of_study, blocks_of(np.tile(study(2, [1] * 5)[0].toarray()[:1], (n, 1))))  # no variance
    assert len(set(same.calls)) == 1


def test_a_query_with_one_feature_is_annotated(of_study):
    counts = study(2, [40] * 5)[0].toarray()[:, :1]
    with pytest.warns(UserWarning, match="less reliable"):
        found = annotate_blocks(of_study, blocks_of(counts), min_overlap=0)
    assert np.isfinite(found.scores).all()


def test_the_order_of_cells_does_not_matter_much(of_study, large):
    counts, _ = large
    order = np.random.default_rng(0).permutation(900)
    one = annotate_blocks(of_study, blocks_of(counts)).calls
    other = annotate_blocks(of_study, blocks_of(counts[order])).calls
    assert (one[order] == other).mean() > 0.97
