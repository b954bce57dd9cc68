from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from deepscore.data.blocks import Parts
from deepscore.data.modality import MODALITIES
from deepscore.data.values import Values
from deepscore.errors import DeepScoreError, InputError
from deepscore.query.align import align, find_features, locate
from deepscore.query.settings import SETTINGS
from deepscore.support.notices import speaking
from synthetic import blocks_of, full_model, log_cp10k, names, peak_model, peak_names, random_model, sites

RNA, PEAKS = MODALITIES["rna"], MODALITIES["peaks"]
GENES = names("GENE", 100)


def told_by(action):
    """Return what an action warns of."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        action()
    return [str(one.message) for one in told]


def refused(action):
    """Return the code of the error that an action ends in."""
    with pytest.raises(DeepScoreError) as caught:
        action()
    return caught.value.code


@pytest.fixture
def counts(rng):
    """Return counts of 30 genes in 90 cells."""
    return rng.poisson(2.0, (90, 30)).astype(float)


# --------------------------------------------------------------------------------------------------- features


def test_features_are_found_by_name_in_the_order_of_the_model():
    query = blocks_of(np.ones((2, 4)), np.array(["c", "a", "x", "Dd"], object))
    found, positions = locate(query, np.array(["a", "c", "dD", "b"], object), RNA)
    assert found is query
    assert positions.tolist() == [1, 0, 3, -1]


@pytest.mark.parametrize(("n_features", "warned"), [(49, True), (50, False), (51, False)])
def test_less_than_half_of_the_features_is_told(n_features, warned):
    query = blocks_of(np.ones((3, n_features)), GENES[:n_features])
    told = told_by(lambda: locate(query, GENES, RNA))
    assert [one[:55] for one in told] == ["The query has only 49 of the model's 100 features (49%)"] * warned


@pytest.mark.parametrize(("floor", "refuses"), [(0.0, False), (0.1, True), (0.09, False), (0.0901, True)])
def test_a_query_with_too_few_features_is_refused(floor, refuses):
    query = blocks_of(np.ones((3, 9)), GENES[:9])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not refuses:
            assert (locate(query, GENES, RNA, min_overlap=floor)[1] >= 0).sum() == 9
            return
        with pytest.raises(InputError, match=r"has 9 of the model's 100 features \(9%\)") as caught:
            locate(query, GENES, RNA, min_overlap=floor)
    assert caught.value.code == "low_overlap"


@pytest.mark.parametrize("language", ["python", "r"])
@pytest.mark.parametrize("n_features", [0, 9, 30])
def test_raw_is_named_where_it_has_more_of_the_features(n_features, language):
    raw = blocks_of(np.ones((3, 95)), GENES[:95])
    some = np.append(GENES[:n_features], ["OTHER"])
    query = replace(blocks_of(np.ones((3, len(some))), some), raw=lambda: raw)
    option = {"python": r"give layer='raw' \(--layer raw\)\.$", "r": r"give layer='raw'\.$"}[language]
    with speaking(language):
        if n_features == 30:
            with pytest.warns(UserWarning, match=rf"30 of the model's .*\.raw has 95 of them.*{option}"):
                locate(query, GENES, RNA, min_overlap=0.1)
            return
        with pytest.raises(InputError, match=rf"\.raw has 95 of them.*{option}") as caught:
            locate(query, GENES, RNA, min_overlap=0.1)
    assert caught.value.code == ("low_overlap" if n_features else "no_shared_features")


def test_raw_is_not_named_where_it_has_no_more():
    few = blocks_of(np.ones((3, 9)), GENES[:9])
    for raw in (few, None):
        with pytest.raises(InputError, match="lower min_overlap"):
            locate(replace(few, raw=lambda raw=raw: raw), GENES, RNA, min_overlap=0.1)


@pytest.mark.parametrize(("n_features", "refuses"), [(9, True), (10, False)])
def test_a_tenth_of_the_features_is_needed_where_nothing_else_is_said(n_features, refuses):
    model, query = random_model(n_features=100), blocks_of(np.ones((3, n_features)), GENES[:n_features])
    if refuses:
        assert refused(lambda: align(model, query)) == "low_overlap"
    else:
        with pytest.warns(UserWarning, match="less reliable"):
            assert align(model, query).overlap == 0.1


@pytest.mark.parametrize(
    ("features", "cells", "code", "told"),
    [
        (names("OTHER", 30), None, "no_shared_features", "such as 'GENE000'"),
        (peak_names(30), None, "no_shared_features", "gene_activity"),
        (names("cell", 30), GENES[:90], "wrong_orientation", "wrong way round"),
    ],
    ids=["names", "peaks", "orientation"],
)
def test_a_query_without_any_of_the_features_is_refused_with_the_reason(counts, features, cells, code, told):
    query = blocks_of(counts, features, cells)
    for find in (locate, find_features):
        with pytest.raises(InputError, match=told) as caught:
            find(query, GENES, RNA)
        assert caught.value.code == code


def test_what_the_query_is_said_to_be_must_be_what_it_is_and_what_the_model_reads(counts):
    genes, peaks = blocks_of(counts), blocks_of(counts, peak_names(30))
    assert refused(lambda: find_features(genes, GENES, RNA, "peaks")) == "modality_mismatch"
    assert refused(lambda: find_features(peaks, GENES, RNA, "rna")) == "modality_mismatch"
    assert refused(lambda: find_features(genes, peak_names(30), PEAKS, "peaks")) == "modality_mismatch"
    assert refused(lambda: find_features(genes, GENES, RNA, "genes")) == "bad_argument"
    assert refused(lambda: align(full_model(), genes, modality="peaks")) == "modality_mismatch"
    assert (find_features(genes, names("GENE", 30), RNA, "rna")[1] == np.arange(30)).all()


def test_features_of_other_kinds_are_left_out(counts):
    features = np.concatenate([peak_names(10), names("GENE", 20)])
    query, positions = find_features(blocks_of(counts, features), names("GENE", 20), RNA)
    assert query.feature_names.tolist() == names("GENE", 20).tolist()
    assert positions.tolist() == list(range(20))
    np.testing.assert_array_equal(query.to_csr().toarray(), counts[:, 10:])
    query, positions = find_features(blocks_of(counts, features), peak_names(10), PEAKS)
    assert query.n_features == 10


def test_finding_features_does_not_judge_how_many_there_are():
    query = blocks_of(np.ones((3, 2)), GENES[:2])
    assert not told_by(lambda: find_features(query, GENES, RNA))
    assert (find_features(query, GENES, RNA, min_overlap=0.5)[1] >= 0).sum() == 2


# ------------------------------------------------------------------------------------------------------ peaks


@pytest.mark.parametrize(("n_same", "by_name"), [(100, True), (99, False)])
def test_where_half_of_the_peaks_have_the_model_s_names_only_names_count(rng, n_same, by_name):
    wanted = sites()[:200]
    features = np.concatenate([wanted[:n_same], sites(shift=9)[n_same:200]])
    counts = rng.poisson(1.0, (20, 200))
    query, positions = find_features(blocks_of(counts, features), wanted, PEAKS)
    assert positions.tolist() == ([*range(100), *[-1] * 100] if by_name else list(range(200)))
    found = query.to_csr().toarray()
    np.testing.assert_array_equal(found[:, :200], counts)  # each peak overlaps one of the model
    assert query.n_features == (200 if by_name else 201)


@pytest.mark.parametrize(
    ("features", "code"),
    [
        (sites(shift=800), "low_overlap"),
        (np.append(sites()[:15], sites(shift=800)[15:]), "low_overlap"),
        (np.array([f"scaffold{i}:5-9" for i in range(240)], object), "no_common_chromosomes"),
        (names("GENE", 240), "no_shared_features"),
    ],
    ids=["none", "few", "chromosomes", "genes"],
)
def test_peaks_that_do_not_fit_are_refused(features, code):
    query = blocks_of(np.ones((9, 240)), features)
    assert refused(lambda: locate(query, sites()[:200], PEAKS, min_overlap=0.1)) == code


def test_another_genome_build_is_refused():
    # chromosome 1 ends at 248,956,422 in hg38 and at 249,250,621 in hg19; chromosome 5 is longer in hg38
    wanted = np.append(sites()[:198], ["chr1:248900000-248900500", "chr5:181500000-181500500"])
    features = sites(shift=800)
    features[0] = "chr1:249200000-249200500"
    assert refused(lambda: locate(blocks_of(np.ones((9, 240)), features), wanted, PEAKS)) == "genome_build"


# -------------------------------------------------------------------------------------------------- alignment


def test_an_aligned_query_is_read_as_the_model_reads_it(rng, counts):
    model, order = full_model(), rng.permutation(30)[:24]
    query = align(model, blocks_of(counts[:, order], names("GENE", 30)[order], rows=17))
    there = np.isin(np.arange(30), order)
    assert query.present.tolist() == there.tolist()
    assert query.overlap == 0.8
    assert query.values == Values("counts")
    assert not query.batches.any()
    expected = np.zeros((90, 30))
    expected[:, order] = log_cp10k(counts[:, order], model.normalization.target_total)
    starts, blocks = zip(*query.normalised(), strict=True)
    assert starts == (0, 17, 34, 51, 68, 85)
    np.testing.assert_allclose(sp.vstack(blocks).toarray(), expected, rtol=1e-5)
    some = np.array([0, 1, 2, 40, 89])
    np.testing.assert_allclose(query.cells(some).toarray(), expected[some], rtol=1e-5)


def test_batches_are_numbered_by_name_and_a_missing_one_is_the_last(counts):
    batch = np.array(["b", "a", None] * 30, object)
    with pytest.warns(UserWarning, match="The batch of 30 of the 90 cells is missing"):
        aligned = align(full_model(), blocks_of(counts), batch)
    assert aligned.batches.tolist() == [1, 0, 2] * 30


@pytest.mark.parametrize(("n", "code"), [(7, "batch_length"), (89, "batch_length"), (30, "wrong_orientation")])
def test_a_batch_for_each_cell_is_needed(counts, n, code):
    assert refused(lambda: align(full_model(), blocks_of(counts), np.array(["a"] * n, object))) == code


@pytest.mark.parametrize(
    ("change", "code"), [(np.nan, "non_finite"), (-1, "negative_values")], ids=["not a number", "negative"]
)
def test_values_that_no_recipe_can_use_are_refused(counts, change, code):
    counts[3, 4] = change
    assert refused(lambda: align(full_model(), blocks_of(counts))) == code


def test_peaks_of_a_query_must_be_counts(rng):
    query = blocks_of(rng.poisson(1.0, (40, 30)) * 0.37, peak_names(30))
    assert refused(lambda: align(peak_model(), query)) == "scaled_data"


# ------------------------------------------------------------------------------------- totals of foreign features


def with_share(model, share):
    """Return the model of a reference that has so much of its counts in the model's features."""
    return replace(model, training=model.training | {"feature_share": share})


@pytest.mark.parametrize("logarithms", [False, True], ids=["counts", "logarithms"])
@pytest.mark.parametrize(
    ("times", "foreign"), [(1.0, False), (1.49, False), (1.51, True), (3.0, True), (1 / 1.51, False), (1 / 3, False)]
)
def test_totals_are_not_taken_where_the_reference_has_half_as_much_again_in_the_model_s_features(
    times, foreign, logarithms
):
    counts = np.tile([2.0] * 30 + [6.0] * 20, (50, 1))  # a third of the query's counts is in the model's features
    features = np.append(names("GENE", 30), names("OTHER", 20))
    share = times / 3
    query = align(with_share(random_model(), share), blocks_of(log_cp10k(counts) if logarithms else counts, features))
    assert (query.values.in_features is not None) == foreign
    assert query.values.form == ("lognorm" if logarithms else "counts")
    if foreign:
        assert query.values.in_features == pytest.approx(share)


def test_features_that_the_query_lacks_are_not_expected_in_it():
    model = random_model()
    linear = np.expm1(model.mean.astype(float))  # the reference has that much of each feature
    part = linear[:20].sum() / linear.sum()
    counts = np.tile([3.0] * 20 + [7.0] * 20, (50, 1))  # 0.3
    features = np.append(names("GENE", 20), names("OTHER", 20))
    for times, foreign in ((1.49, False), (1.51, True)):
        found = align(with_share(model, 0.3 * times / part), blocks_of(counts, features)).values.in_features
        assert found == (pytest.approx(0.3 * times) if foreign else None)


@pytest.mark.parametrize("mean", [0, 800])
def test_means_that_no_reference_has_give_no_share(mean):
    model = with_share(random_model(mean=np.full(30, mean, np.float32)), 0.9)
    counts, features = np.tile([1.0] * 30 + [9.0] * 30, (50, 1)), np.append(names("GENE", 30), names("OTHER", 30))
    assert align(model, blocks_of(counts, features)).values.in_features is None


def test_a_model_that_does_not_know_its_share_compares_no_totals():
    counts, features = np.tile([1.0] * 30 + [9.0] * 30, (50, 1)), np.append(names("GENE", 30), names("OTHER", 30))
    assert align(random_model(), blocks_of(counts, features)).values.in_features is None


def test_numbers_may_be_others(counts):
    query = blocks_of(counts[:, :20])
    assert not told_by(lambda: align(full_model(), query))
    told = told_by(lambda: align(full_model(), query, settings=replace(SETTINGS, good_overlap=0.7)))
    assert "only 20 of the model's 30 features" in told[0]


def test_the_number_that_tells_another_set_of_peaks_may_be_another():
    features = np.concatenate([sites()[:70], sites(shift=9)[70:200]])
    query, some = blocks_of(np.ones((9, 200)), features), replace(SETTINGS, good_overlap=0.3)
    for settings, n in ((SETTINGS, 200), (some, 70)):
        assert (locate(query, sites()[:200], PEAKS, settings=settings)[1] >= 0).sum() == n


# ------------------------------------------------------------------------------------- parts that lack features


def in_parts(counts, lacking, of_cell="abb"):
    data = blocks_of(counts)
    return replace(data, parts=Parts.of(data.feature_names, list(of_cell) * (data.n_cells // len(of_cell)), lacking))


def test_cells_that_were_measured_in_another_way_are_another_batch(counts):
    query = in_parts(counts, {"a": names("GENE", 30)[:4].tolist(), "b": names("GENE", 30)[29:].tolist()})
    batch = np.array(["x", "y"] * 45, object)
    alone, aligned = align(full_model(), query), align(full_model(), query, batch)
    assert alone.batches.tolist() == [0, 1, 1] * 30
    assert aligned.batches.tolist() == [0, 3, 1, 2, 1, 3] * 15
    assert [np.flatnonzero(~row).tolist() for row in alone.measured] == [[0, 1, 2, 3], [29]]
    assert aligned.measured.tolist() == alone.measured[[0, 1, 0, 1]].tolist()
    assert alone.present.all()


def test_parts_that_have_all_of_the_models_features_are_no_batches(counts):
    query = in_parts(np.c_[counts, counts[:, :2]], {"a": ["GENE031"], "b": []})
    aligned = align(full_model(), query)
    assert not aligned.batches.any()
    assert aligned.measured.shape == (1, 30)


def test_the_overlap_of_each_part_is_told_and_judged(counts, caplog):
    few = {"a": names("GENE", 30)[:20].tolist(), "b": []}
    with caplog.at_level("INFO", "deepscore"):
        told = told_by(lambda: align(full_model(), in_parts(counts, few)))
    assert [one[:60] for one in told] == ["'a' of the query has only 10 of the model's 30 features (33%"]
    assert "30 of the model's 30 features are in 'b' of the query (100%)" in caplog.text
    assert refused(lambda: align(full_model(), in_parts(counts, few), min_overlap=0.4)) == "low_overlap"
