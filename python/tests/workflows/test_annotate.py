from __future__ import annotations

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from deepscore.chromatin.peaks import carried_over
from deepscore.data.blocks import Parts
from deepscore.data.labels import UNCLASSIFIED
from deepscore.data.modality import PEAKS
from deepscore.data.standardise import Scale, SumsByCode
from deepscore.errors import DeepScoreError, InputError
from deepscore.query.align import locate
from deepscore.query.settings import SETTINGS
from deepscore.query.view import learn_view
from deepscore.training.fit import fit
from deepscore.training.reference import prepare
from deepscore.workflows import annotate as annotating
from synthetic import (
    MARKERS,
    annotate_blocks,
    blocks_of,
    counts,
    full_model,
    log_cp10k,
    multiome,
    names,
    quick,
    silent,
    sites,
    study,
    type_names,
)

N_CELLS, N_FEATURES = 130, 30


@pytest.fixture
def raw(rng):
    return counts(rng, np.arange(N_CELLS) % 3, N_FEATURES).toarray()


def probabilities_of(model, dense):
    """Annotate plainly: normalise all features, then go through the model."""
    return model.predict_proba(sp.csr_matrix(log_cp10k(dense), dtype=np.float32))


def same(one, other, atol=1e-5):
    np.testing.assert_allclose(one.scores, other.scores, rtol=0, atol=atol)
    assert one.calls.tolist() == other.calls.tolist()
    assert one.overlap == other.overlap


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.8, 1.0])
def test_calls_are_the_best_labels_and_unclassified_below_the_threshold(model, raw, threshold):
    found = annotate_blocks(model, blocks_of(raw), threshold, probabilities=True)
    expected = probabilities_of(model, raw)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
    np.testing.assert_allclose(found.scores, expected.max(axis=1), atol=1e-5)
    best = model.label_names[expected.argmax(axis=1)]
    assert found.calls.tolist() == np.where(found.scores < threshold, UNCLASSIFIED, best).tolist()
    assert (found.labels, found.overlap) == (model.labels, 1.0)


def test_a_score_equal_to_the_threshold_is_enough(model, raw):
    scores = annotate_blocks(model, blocks_of(raw)).scores
    found = annotate_blocks(model, blocks_of(raw), float(scores[7]))
    assert found.calls[7] != UNCLASSIFIED
    assert (found.calls == UNCLASSIFIED).sum() == (scores < scores[7]).sum() > 0


def test_the_table_comes_only_on_request(model, raw):
    assert annotate_blocks(model, blocks_of(raw)).probabilities is None


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_cells_without_counts_in_the_features_of_the_model_are_unclassified(model, raw, threshold):
    wide = np.column_stack([raw, np.ones(N_CELLS)])  # all cells have counts, two of them none that the model knows
    wide[[4, 90], :N_FEATURES] = 0
    found = annotate_blocks(model, blocks_of(wide), threshold, probabilities=True)
    assert found.calls[[4, 90]].tolist() == [UNCLASSIFIED] * 2
    assert found.scores[[4, 90]].tolist() == [0, 0]
    assert (np.delete(found.scores, [4, 90]) > 0).all()
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)


@pytest.mark.parametrize("rows", [1, 7, 64, 1000])
@pytest.mark.parametrize("batch", [None, np.array(["a", "b"] * (N_CELLS // 2), object)], ids=["one", "batches"])
def test_the_size_of_blocks_does_not_matter(model, raw, rows, batch):
    same(*(annotate_blocks(model, blocks_of(raw, rows=n), batch=batch) for n in (rows, N_CELLS)))


def test_data_are_read_in_the_thread_of_the_caller(model, raw):
    readers, data = set(), blocks_of(raw, rows=16)

    def read(start, stop):
        readers.add(threading.get_ident())
        return data.read(start, stop)

    same(annotate_blocks(model, replace(data, read=read)), annotate_blocks(model, data))
    assert readers == {threading.get_ident()}


@pytest.mark.parametrize("error", [None, MemoryError("no room to look")])
def test_the_query_is_looked_at_with_one_blas_thread(of_study, monkeypatch, error):
    def threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    def look(*args, **kwargs):
        seen.append(threads())
        if error:
            raise error
        return learn_view(*args, **kwargs)

    seen, before = [], threads()
    monkeypatch.setattr(annotating, "learn_view", look)
    with nullcontext() if error is None else pytest.raises(MemoryError):
        annotate_blocks(of_study, blocks_of(study(3, [30] * 5)[0]))
    assert seen == [[1] * len(before)]
    assert threads() == before


def test_columns_in_another_order_and_spelling_are_aligned(model, raw, rng):
    order = rng.permutation(N_FEATURES)
    features = np.array([name.lower() if i % 3 else name for i, name in enumerate(names("GENE", N_FEATURES))], object)
    same(annotate_blocks(model, blocks_of(raw[:, order], features[order])), annotate_blocks(model, blocks_of(raw)))


def test_the_order_of_cells_does_not_matter(model, raw, rng):
    order = rng.permutation(N_CELLS)
    np.testing.assert_allclose(
        annotate_blocks(model, blocks_of(raw[order])).scores,
        annotate_blocks(model, blocks_of(raw)).scores[order],
        atol=1e-5,
    )


def test_missing_features_count_as_their_mean_and_totals_are_those_of_the_query(model, raw):
    kept = np.flatnonzero(np.arange(N_FEATURES) % 3 != 0)
    found = annotate_blocks(model, blocks_of(raw[:, kept], names("GENE", N_FEATURES)[kept]), probabilities=True)
    filled = np.tile(model.mean.astype(float), (N_CELLS, 1))
    filled[:, kept] = log_cp10k(raw[:, kept])
    expected = model.predict_proba(sp.csr_matrix(filled, dtype=np.float32))
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
    assert found.overlap == pytest.approx(len(kept) / N_FEATURES)


def merged(raw):
    """Return cells of two data sets that measured other features each, merged, and what each measured."""
    measured = np.array([np.arange(N_FEATURES) >= 9, np.arange(N_FEATURES) < 25])
    of_cell = np.arange(N_CELLS) % 2
    return raw * measured[of_cell], of_cell, measured


def test_a_feature_that_a_part_lacks_counts_for_its_cells_as_if_the_part_were_alone(model, raw):
    joined, of_cell, measured = merged(raw)
    genes = names("GENE", N_FEATURES)
    parts = Parts.of(genes, of_cell.tolist(), {part: genes[~row] for part, row in enumerate(measured)})
    found = annotate_blocks(model, replace(blocks_of(joined), parts=parts), probabilities=True)
    zeros = annotate_blocks(model, blocks_of(joined), probabilities=True)
    for part, has in enumerate(measured):
        cells = of_cell == part
        alone = annotate_blocks(model, blocks_of(joined[cells][:, has], genes[has]), probabilities=True)
        np.testing.assert_allclose(found.probabilities[cells], alone.probabilities, atol=1e-6)
        assert np.abs(zeros.probabilities[cells] - alone.probabilities).max() > 0.01
    assert found.overlap == 1


@pytest.mark.parametrize("refine", [False, True])
def test_a_sample_that_has_none_of_a_gene_is_read_as_if_it_were_alone(model, raw, refine):
    """With refine the two samples share neighbours; the scale of each is its own as before."""
    joined, of_cell, measured = merged(raw + 1)
    genes, batch = names("GENE", N_FEATURES), np.array(["a", "b"], object)[of_cell]
    found = annotate_blocks(model, blocks_of(joined), probabilities=True, batch=batch, refine=refine)
    for part, has in enumerate(measured):
        cells = of_cell == part
        alone = annotate_blocks(
            model, blocks_of(joined[cells][:, has], genes[has]), probabilities=True, batch=batch[cells], refine=refine
        )
        np.testing.assert_allclose(found.probabilities[cells], alone.probabilities, atol=0.2 if refine else 1e-6)


@pytest.mark.parametrize("n_features", [N_FEATURES, 20])
@pytest.mark.parametrize("convert", [lambda x: x, lambda x: np.log1p(1e4 * x / x.sum(axis=1, keepdims=True))])
@pytest.mark.parametrize(("n_foreign", "counted"), [(20, "the model's"), (1, "all")])
def test_totals_of_many_foreign_features_are_not_taken(model, raw, rng, n_features, convert, n_foreign, counted):
    of_model = raw[:, :n_features].astype(float)
    foreign = rng.poisson(np.where(np.arange(N_CELLS) % 2, 40, 20)[:, None], (N_CELLS, n_foreign))
    data = blocks_of(
        convert(np.hstack([of_model, foreign])), np.append(names("GENE", n_features), names("OTHER", n_foreign))
    )
    weight = np.expm1(model.mean.astype(float))
    share = 0.9 * weight[:n_features].sum() / weight.sum()
    found = annotate_blocks(
        replace(model, training=model.training | {"feature_share": 0.9}), data, refine=False, probabilities=True
    )
    totals = of_model.sum(axis=1) / share if counted == "the model's" else of_model.sum(axis=1) + foreign.sum(axis=1)
    x = np.zeros((N_CELLS, N_FEATURES))
    x[:, :n_features] = np.log1p(1e4 * of_model / totals[:, None])
    expected = model.predict_proba(sp.csr_matrix(x, dtype=np.float32), present=np.arange(N_FEATURES) < n_features)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-4)


@pytest.mark.parametrize("mean", [0, 800])
def test_means_that_no_reference_has_give_no_share(model, raw, mean):
    model = replace(model, mean=np.full(N_FEATURES, mean, np.float32))
    forged = replace(model, training=model.training | {"feature_share": 0.9})
    data = blocks_of(np.hstack([raw, 40 + raw]), np.append(names("GENE", N_FEATURES), names("OTHER", N_FEATURES)))
    found = annotate_blocks(forged, data, refine=False)
    assert np.isfinite(found.scores).all()
    same(found, annotate_blocks(model, data, refine=False))


def test_counts_and_their_logarithms_get_the_same_calls(model, raw):
    same(annotate_blocks(model, blocks_of(log_cp10k(raw))), annotate_blocks(model, blocks_of(raw)), atol=1e-4)


@pytest.mark.parametrize(("n_features", "warned"), [(14, True), (15, False), (30, False)])
def test_little_overlap_is_told(model, raw, n_features, warned):
    data = blocks_of(raw[:, :n_features])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        annotate_blocks(model, data)
    assert [str(one.message)[:48] for one in told] == ["The query has only 14 of the model's 30 features"] * warned


@pytest.mark.parametrize(("floor", "refused"), [(0.1, False), (0.2, False), (0.21, True)])
def test_the_floor_of_the_overlap(model, raw, floor, refused):
    data = blocks_of(raw[:, :6])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not refused:
            assert annotate_blocks(model, data, min_overlap=floor).overlap == 0.2
            return
        with pytest.raises(InputError, match=r"6 of the model's 30 features \(20%\)") as caught:
            annotate_blocks(model, data, min_overlap=floor)
    assert caught.value.code == "low_overlap"


def test_genes_are_found_beside_peaks(model, raw):
    mixed = np.column_stack([raw, np.full((N_CELLS, 10), 50)])
    features = np.concatenate([names("GENE", N_FEATURES), np.array([f"chr1:{i}-{i + 9}" for i in range(10)], object)])
    same(annotate_blocks(model, blocks_of(mixed, features)), annotate_blocks(model, blocks_of(raw)))


# ---------------------------------------------------------------------------------------------------- batches


def test_a_batch_is_standardised_by_its_own_cells(model, raw):
    batch = np.array(["x"] * 100 + [None] * 30, object)
    dense = log_cp10k(raw)
    groups = np.repeat([0, 1], [100, 30])
    centre, deviation = [], []
    for group, n in ((0, 100), (1, 30)):
        cells, own = dense[groups == group], n / (n + 50)
        centre.append(own * cells.mean(axis=0) + (1 - own) * model.mean)
        deviation.append(np.sqrt(own * (cells.var(axis=0) + 0.01) + (1 - own) * model.deviation**2))
    scale = Scale(np.float32(centre), np.float32(deviation), groups)
    with pytest.warns(UserWarning, match="The batch of 30 of the 130 cells is missing"):
        found = annotate_blocks(model, blocks_of(raw), batch=batch, probabilities=True)
    expected = model.predict_proba(sp.csr_matrix(dense, dtype=np.float32), scale)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-4)


def test_batches_undo_a_shift_of_one_sample(trained, query):
    shift = np.ones(query.n_vars)  # one sample loses half of the markers of two labels and gains those of the third
    shift[: 3 * MARKERS] = np.repeat([0.5, 20, 0.5], MARKERS)
    odd = (query.obs["batch"] == "odd").to_numpy()
    dense = query.X.toarray()
    dense[odd] = np.random.default_rng(1).poisson(dense[odd] * shift)
    data = blocks_of(dense, query.var_names.to_numpy(object))
    truth = query.obs["cell_type"].to_numpy()

    def accuracy(batch, refine):
        calls = annotate_blocks(trained._model, data, 0.0, batch, refine=refine).calls
        return (calls == truth)[odd].mean()

    samples = query.obs["batch"].to_numpy(object)
    blind, aware = accuracy(None, False), accuracy(samples, False)
    assert aware > 0.85 > blind + 0.1
    assert accuracy(samples, True) > 0.85


def test_names_of_batches_do_not_matter(model, raw):
    one = np.array(["a", "b"] * 65, object)
    other = np.array(["z", "10"] * 65, object)
    same(annotate_blocks(model, blocks_of(raw), batch=one), annotate_blocks(model, blocks_of(raw), batch=other))


# ------------------------------------------------------------------------------- calls, reasons and votes


@pytest.mark.filterwarnings("ignore:This query looks foreign")  # random cells, and a random model
@pytest.mark.parametrize("batch", [None, np.array(["a", "b"] * (N_CELLS // 2), object)], ids=["one", "batches"])
def test_without_refine_each_cell_is_called_by_a_plain_forward_pass(raw, batch):
    model = full_model()
    dense = log_cp10k(raw, model.normalization.target_total)
    scale = model.scale()
    if batch is not None:
        groups = (batch == "b").astype(np.intp)
        scale = SumsByCode(2, N_FEATURES).add(sp.csr_matrix(dense), groups).by_batch(groups, scale)
    expected = model.predict_proba(sp.csr_matrix(dense, dtype=np.float32), scale)
    found = annotate_blocks(model, blocks_of(raw), 0.7, batch, probabilities=True, refine=False)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-4)
    np.testing.assert_allclose(found.scores, expected.max(axis=1), atol=1e-4)
    assert found.raw.tolist() == model.label_names[found.probabilities.argmax(axis=1)].tolist()
    kept = found.calls != UNCLASSIFIED
    assert found.calls[kept].tolist() == found.raw[kept].tolist()
    assert found.calls.tolist() != annotate_blocks(model, blocks_of(raw), 0.7, batch).calls.tolist()


def test_a_query_gets_the_same_calls_as_counts_and_as_logarithms(of_study):
    assert of_study.normalization.target_total < 1000
    matrix, _ = study(2, [40, 60, 5, 40, 30], 0.7)
    as_counts = annotate_blocks(of_study, blocks_of(matrix))
    for logarithms in (log_cp10k(matrix), log_cp10k(matrix, 1e6)):
        same(as_counts, annotate_blocks(of_study, blocks_of(logarithms)), atol=1e-3)


def test_every_unclassified_cell_has_its_reason(of_study):
    matrix, codes = study(5, [80, 80, 80, 80, 80, 60])
    dense = matrix.toarray()
    dense[[3, 200]] = 0
    found = annotate_blocks(of_study, blocks_of(dense), 0.9, probabilities=True)
    unclassified = found.calls == UNCLASSIFIED
    assert ((found.reasons != "") == unclassified).all()
    assert set(found.reasons) == {"", "outlier", "low confidence", "no counts"}
    assert np.flatnonzero(found.reasons == "no counts").tolist() == [3, 200]
    assert (found.reasons[codes == 5] == "outlier").mean() > 0.9
    assert (found.reasons[codes < 5] == "outlier").mean() < 0.05
    assert (found.scores[unclassified] < 0.9).all()
    doubtful = found.reasons == "low confidence"
    assert found.probabilities[codes == 5].max(axis=1).mean() > found.scores[codes == 5].mean() + 0.3
    assert (found.probabilities[doubtful].max(axis=1) >= found.scores[doubtful] - 1e-12).all()
    few = np.arange(60)
    with pytest.warns(UserWarning, match="less reliable"):
        found = annotate_blocks(of_study, blocks_of(dense[:, few]), 0.99)
    assert set(found.reasons) <= {"", "outlier", "low overlap", "no counts"}
    assert "low overlap" in found.reasons


@pytest.mark.filterwarnings("ignore:The query has only")
@pytest.mark.parametrize(("n_cells", "n_genes"), [(99, None), (None, 7), (None, None), (5, None)])
def test_it_is_told_where_unknown_types_are_not_looked_for(of_study, recwarn, n_cells, n_genes):
    query = study(3, [60, 60, 60, 60, 60])[0][:n_cells, :n_genes]
    annotate_blocks(of_study, blocks_of(query), min_overlap=0)
    told = "Unknown types are not looked for: that takes 100 cells and 8 of the model's genes"
    found = [str(one.message) for one in recwarn if str(one.message).startswith(told)]
    assert len(found) == (n_cells is not None or n_genes is not None)


@pytest.mark.parametrize("refine", [True, False])
def test_stored_zeros_are_no_counts(of_study, refine):
    stored, _ = study(2, [30] * 5)
    for cell in (7, 20):
        stored.data[stored.indptr[cell] : stored.indptr[cell + 1]] = 0
    clean = stored.copy()
    clean.eliminate_zeros()
    assert stored.nnz > clean.nnz
    found, expected = (annotate_blocks(of_study, blocks_of(x), 0.0, refine=refine) for x in (stored, clean))
    assert found.reasons[[7, 20]].tolist() == ["no counts"] * 2
    assert found.calls[[7, 20]].tolist() == [UNCLASSIFIED] * 2
    same(found, expected)


def test_groups_get_the_most_frequent_call_of_their_cells(of_study):
    matrix, codes = study(2, [60, 40, 50, 5, 20, 30], 0.8)
    rng = np.random.default_rng(0)
    groups = type_names(np.where(rng.random(len(codes)) < 0.3, rng.integers(0, 9, len(codes)), codes))
    groups[rng.random(len(codes)) < 0.1] = None
    found = annotate_blocks(of_study, blocks_of(matrix), 0.6, groups=groups)
    plain = annotate_blocks(of_study, blocks_of(matrix), 0.6)
    assert (plain.group_calls, plain.group_shares) == (None, None)
    assert found.calls.tolist() == plain.calls.tolist()
    table = pd.DataFrame({"call": found.calls, "group": groups})
    for group, cells in table.groupby("group"):
        frequent = cells["call"].mode().min()
        assert set(found.group_calls[cells.index]) == {frequent}
        np.testing.assert_allclose(found.group_shares[cells.index], (cells["call"] == frequent).mean())
        assert 0 < (cells["call"] == frequent).mean() <= 1, group
    alone = table["group"].isna().to_numpy()
    assert found.group_calls[alone].tolist() == found.calls[alone].tolist()
    assert (found.group_shares[alone] == 1).all()


def test_a_call_does_not_change_the_groups(model, raw):
    groups = np.array(["x", None] * (N_CELLS // 2), object)
    annotate_blocks(model, blocks_of(raw), groups=groups)
    assert groups.tolist() == ["x", None] * (N_CELLS // 2)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"groups": np.array(["x"] * 7, object)}, "groups_length"),
        ({"groups": np.array(["x"] * N_FEATURES, object)}, "wrong_orientation"),
        ({"batch": np.array(["x"] * 7, object)}, "batch_length"),
        ({"refine": "yes"}, "bad_argument"),
        ({"refine": None}, "bad_argument"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(model, raw, arguments, code):
    with pytest.raises(DeepScoreError) as caught:
        annotate_blocks(model, blocks_of(raw), **arguments)
    assert caught.value.code == code


# ------------------------------------------------------------------------------------------ raw peaks of a query


@pytest.fixture(scope="module")
def of_rna():
    """Return a model of the RNA of a tissue; tests must not change it."""
    data = multiome(1)[0]
    config = quick(common_features=tuple(data.var_names), epochs=12, lr=0.01)
    return fit(prepare(blocks_of(data.X), data.obs["cell_type"].to_numpy(object), config), config, silent())


@pytest.fixture(scope="module")
def halves():
    """Return the RNA and the shallow peaks of the same cells."""
    rna, atac = multiome(2, 150, depth=0.4)
    cells = rna.obs_names.to_numpy(object)
    return blocks_of(rna.X, cells=cells), blocks_of(atac.X, sites(), cells)


def test_peaks_may_have_their_cells_in_another_order(of_rna, halves, rng):
    query, peaks = halves
    expected = annotate_blocks(of_rna, query, peaks=peaks)
    same(annotate_blocks(of_rna, query, peaks=peaks.take(rng.permutation(150))), expected)
    assert (expected.scores != annotate_blocks(of_rna, query).scores).all()


@pytest.mark.parametrize("sample", [10_000, 100], ids=["whole", "sample"])
def test_peaks_are_read_in_the_thread_of_the_caller(of_rna, halves, sample):
    query, peaks = halves
    readers = set()

    def watched(data):
        def read(start, stop):
            readers.add(threading.get_ident())
            return data.read(start, stop)

        return replace(data, read=read)

    settings = replace(SETTINGS, whole=sample, sample=sample)
    annotate_blocks(of_rna, watched(query), peaks=watched(peaks), settings=settings)
    assert readers == {threading.get_ident()}


@pytest.mark.parametrize("change", ["fewer", "more", "renamed"])
def test_peaks_of_other_cells_are_refused(of_rna, halves, change):
    query, peaks = halves
    if change == "fewer":
        peaks = peaks.take(np.arange(149))
    elif change == "more":
        query = query.take(np.arange(149))
    else:
        peaks = replace(peaks, cell_names=names("other", 150))
    with pytest.raises(InputError, match="The query and its peaks must hold the same cells") as caught:
        annotate_blocks(of_rna, query, peaks=peaks)
    assert caught.value.code == "different_cells"


def test_without_refine_peaks_are_not_read(of_rna, halves):
    query, peaks = halves

    def never(start, stop):
        raise AssertionError("the peaks are read")

    found = annotate_blocks(of_rna, query, peaks=replace(peaks, read=never), refine=False)
    np.testing.assert_array_equal(found.scores, annotate_blocks(of_rna, query, refine=False).scores)


def test_a_model_of_peaks_calls_them_whatever_the_order_of_its_labels(of_rna, of_peaks, halves):
    query, peaks = halves
    turned = replace(
        of_peaks,
        labels=of_peaks.labels[::-1],
        layers=(*of_peaks.layers[:-1], tuple(part[..., ::-1].copy() for part in of_peaks.layers[-1])),
        linear=tuple(part[..., ::-1].copy() for part in of_peaks.linear),
        profiles=None,
    )
    plain = replace(of_peaks, profiles=None)
    expected = annotate_blocks(of_rna, query, peaks=peaks, peaks_model=plain, probabilities=True)
    found = annotate_blocks(of_rna, query, peaks=peaks, peaks_model=turned, probabilities=True)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=1e-3)
    alone = annotate_blocks(of_rna, query, peaks=peaks, probabilities=True)
    assert (alone.probabilities != expected.probabilities).all()


def test_a_label_that_the_model_of_peaks_does_not_know_stays_possible(of_rna, of_peaks, halves):
    query, peaks = halves
    other = replace(of_peaks, labels=("another", *of_peaks.labels[1:]))
    told = annotating._calls_of(other, peaks, None, of_rna.labels, SETTINGS)
    expected = annotate_blocks(other, peaks, probabilities=True).probabilities
    assert (told[:, of_rna.labels.index(of_peaks.labels[0])] == 0).all()
    for label in of_peaks.labels[1:]:
        np.testing.assert_array_equal(told[:, of_rna.labels.index(label)], expected[:, other.labels.index(label)])
    found = annotate_blocks(of_rna, query, peaks=peaks, peaks_model=other, probabilities=True)
    assert (found.probabilities.argmax(axis=1) == of_rna.labels.index(of_peaks.labels[0])).any()


def test_a_model_of_peaks_of_another_tissue_is_refused(of_rna, of_peaks, halves):
    other = replace(of_peaks, labels=tuple(f"other {label}" for label in of_peaks.labels))
    with pytest.raises(InputError, match="knows 0 of the model's labels") as caught:
        annotate_blocks(of_rna, halves[0], peaks=halves[1], peaks_model=other)
    assert caught.value.code == "no_shared_labels"


def test_a_model_of_rna_is_no_model_of_peaks(of_rna, halves):
    with pytest.raises(InputError, match="peaks_model is a model of rna") as caught:
        annotate_blocks(of_rna, halves[0], peaks=halves[1], peaks_model=of_rna)
    assert caught.value.code == "modality_mismatch"


def test_genes_are_no_peaks(of_rna, halves):
    with pytest.raises(InputError) as caught:
        annotate_blocks(of_rna, halves[0], peaks=halves[0])
    assert caught.value.code == "modality_mismatch"


def test_peaks_must_be_counts(of_rna, halves):
    query, peaks = halves
    values = blocks_of(peaks.to_csr() * 0.37, sites(), peaks.cell_names)
    with pytest.raises(InputError) as caught:
        annotate_blocks(of_rna, query, peaks=values)
    assert caught.value.code == "scaled_data"


# --------------------------------------------------------------------------------- queries with peaks of their own


@pytest.fixture(scope="module")
def of_peaks():
    """Return a model of the peaks of a tissue; tests must not change it."""
    data = multiome(1)[1]
    config = quick(common_features=tuple(sites()[:200]), epochs=12, lr=0.01)
    blocks = blocks_of(data.X, sites())
    return fit(prepare(blocks, data.obs["cell_type"].to_numpy(object), config), config, silent())


@pytest.fixture(scope="module")
def cells():
    """Return cells x peaks, and their types."""
    data = multiome(3, 120, depth=0.4)[1]
    return data.X, data.obs["cell_type"].to_numpy(object)


def without_chr(names):
    return np.array([name.removeprefix("chr") for name in names], object)


@pytest.mark.parametrize(
    "features",
    [sites(shift=7), sites(shift=-350), without_chr(sites()), without_chr(sites(shift=99))],
    ids=["few bases", "many bases", "no chr", "both"],
)
def test_peaks_that_overlap_one_to_one_get_the_same_calls(of_peaks, cells, features):
    expected = annotate_blocks(of_peaks, blocks_of(cells[0], sites()))
    assert (expected.calls == cells[1]).mean() > 0.9
    same(annotate_blocks(of_peaks, blocks_of(cells[0], features)), expected)


def test_halved_and_missing_peaks_get_nearly_the_same_calls(of_peaks, cells, rng):
    expected = annotate_blocks(of_peaks, blocks_of(cells[0], sites()))
    dense = cells[0].toarray().astype(int)
    left = rng.binomial(dense, 0.5)
    where = [name.replace(":", "-").split("-") for name in sites()]
    middle = [(chrom, int(start) + 250) for chrom, start, _ in where]
    halved = [f"{chrom}:{m - 250}-{m}" for chrom, m in middle] + [f"{chrom}:{m}-{m + 250}" for chrom, m in middle]
    features, values = np.array(halved, object), np.column_stack([left, dense - left])
    same(annotate_blocks(of_peaks, blocks_of(values, features)), expected)
    kept = rng.random(480) < 0.7
    found = annotate_blocks(of_peaks, blocks_of(values[:, kept], features[kept]))
    assert (found.calls == cells[1]).mean() > 0.85
    assert 0.8 < found.overlap < 1


def test_genes_beside_other_peaks_are_left_out(of_peaks, cells):
    expected = annotate_blocks(of_peaks, blocks_of(cells[0], sites(shift=9)))
    values = np.column_stack([cells[0].toarray(), np.full((120, 60), 7)])
    found = annotate_blocks(of_peaks, blocks_of(values, np.append(sites(shift=9), names("GENE", 60))))
    same(found, expected)


def test_where_most_peaks_have_the_model_s_names_only_names_count(of_peaks, cells):
    features = np.concatenate([sites()[:120], sites(shift=9)[120:]])
    query, positions = locate(blocks_of(cells[0], features), of_peaks.feature_names, PEAKS)
    assert query.n_features == 240
    assert positions.tolist() == [*range(120), *[-1] * 80]
    fewer = np.concatenate([sites()[:90], sites(shift=9)[90:]])
    query, positions = locate(blocks_of(cells[0], fewer), of_peaks.feature_names, PEAKS)
    assert query.n_features == 201
    assert positions.tolist() == list(range(200))


PEAK = st.builds(lambda c, s, w: f"chr{c}:{s}-{s + w}", st.integers(1, 2), st.integers(0, 60), st.integers(1, 12))
SETS = st.lists(PEAK, min_size=1, max_size=8, unique=True)


@settings(max_examples=30)
@given(SETS, SETS, st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_carried_counts_keep_at_least_the_total_of_a_cell(own, wanted, seed, rows):
    own, wanted = np.array(["chr1:70-75", "chr2:70-75", *own], object), np.array(["chr1:70-71", *wanted], object)
    values = np.random.default_rng(seed).poisson(0.8, (7, len(own)))
    data, positions = carried_over(blocks_of(values, own, rows=rows), wanted, 0)
    expected = np.zeros((7, len(wanted) + 1))
    shares = np.zeros((len(own), len(wanted)), bool)
    for i, one in enumerate(own):
        for j, other in enumerate(wanted):
            (c1, s1, e1), (c2, s2, e2) = (name.replace(":", "-").split("-") for name in (one, other))
            shares[i, j] = c1 == c2 and bool({*range(int(s1), int(e1))} & {*range(int(s2), int(e2))})
    for cell in range(7):
        for j in range(len(wanted)):
            expected[cell, j] = sum(values[cell, i] for i in range(len(own)) if shares[i, j])
        expected[cell, -1] = max(values[cell].sum() - expected[cell].sum(), 0)
    found = data.to_csr().toarray()
    np.testing.assert_array_equal(found, expected)
    assert data.n_features == len(wanted) + 1
    assert positions.tolist() == [j if shares[:, j].any() else -1 for j in range(len(wanted))]
    once = shares.sum(axis=1).max() <= 1  # no peak is counted twice
    totals = found.sum(axis=1)
    assert (totals >= values.sum(axis=1)).all()
    assert not once or (totals == values.sum(axis=1)).all()


@pytest.mark.parametrize(
    ("features", "code", "told"),
    [
        (sites(shift=800), "low_overlap", r"0\.0% of the 200 wanted peaks"),
        (np.append(sites()[:15], sites(shift=800)[15:]), "low_overlap", r"7\.5% of the 200 .* at least 10%"),
        (np.array([f"scaffold{i}:5-9" for i in range(240)], object), "no_common_chromosomes", "scaffold0"),
        (names("GENE", 240), "no_shared_features", "None of the 200 features"),
    ],
    ids=["none", "few", "chromosomes", "genes"],
)
def test_peaks_that_do_not_fit_are_refused(of_peaks, cells, features, code, told):
    with pytest.raises(InputError, match=told) as caught:
        annotate_blocks(of_peaks, blocks_of(cells[0], features))
    assert caught.value.code == code


def test_another_genome_build_is_named(of_peaks, cells):
    # chromosome 1 ends at 248,956,422 in hg38 and at 249,250,621 in hg19; chromosome 5 is longer in hg38
    longest = {"hg38": ["chr1:248900000-248900500", "chr5:181500000-181500500"], "hg19": ["chr1:249200000-249200500"]}
    model = replace(of_peaks, features=(*of_peaks.features[: -len(longest["hg38"])], *longest["hg38"]))
    features = sites(shift=800)
    features[:1] = longest["hg19"]
    with pytest.raises(InputError, match="hg19 against hg38") as caught:
        annotate_blocks(model, blocks_of(cells[0], features))
    assert caught.value.code == "genome_build"


def test_little_overlap_of_peaks_is_told(of_peaks, cells):
    features = np.append(sites(shift=9)[:60], sites(shift=800)[60:])
    with pytest.warns(UserWarning, match=r"only 60 of the model's 200 features \(30%\)"):
        found = annotate_blocks(of_peaks, blocks_of(cells[0], features), 0.99)
    assert found.overlap == 0.3
    assert "low overlap" in found.reasons


def test_blas_has_its_threads_back_after_two_queries_at_once(model, raw):
    def threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    with threadpool_limits(2, user_api="blas"):
        before = threads()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _: annotate_blocks(model, blocks_of(raw)), range(6)))
        assert threads() == before
