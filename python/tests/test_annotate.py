from __future__ import annotations

import threading
import warnings
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from deepscore import annotate
from deepscore.annotate import UNCLASSIFIED, align, annotate_blocks
from deepscore.errors import InputError
from deepscore.scale import Scale
from synthetic import MARKERS, blocks_of, counts, log_cp10k, names

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


def test_align_returns_columns_in_the_order_of_the_model():
    query = blocks_of(np.ones((2, 3)), np.array(["c", "a", "x"], object))
    _, positions = align(np.array(["a", "c", "b"], object), "rna", query)
    assert positions.tolist() == [1, 0, -1]


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
    found = annotate_blocks(model, blocks_of(raw), batch=batch, probabilities=True)
    expected = model.predict_proba(sp.csr_matrix(dense, dtype=np.float32), scale)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-4)


def test_batches_undo_a_shift_of_one_sample(trained, query):
    shift = np.ones(query.n_vars)  # one sample loses most of the markers of two labels and gains those of the third
    shift[: 3 * MARKERS] = np.repeat([0.2, 20, 0.2], MARKERS)
    odd = (query.obs["batch"] == "odd").to_numpy()
    dense = query.X.toarray()
    dense[odd] = np.random.default_rng(1).poisson(dense[odd] * shift)
    data = blocks_of(dense, query.var_names.to_numpy(object))
    truth = query.obs["cell_type"].to_numpy()

    def accuracy(batch):
        calls = annotate_blocks(trained._model, data, 0.0, batch).calls
        return (calls == truth)[odd].mean()

    blind, aware = accuracy(None), accuracy(query.obs["batch"].to_numpy(object))
    assert aware > 0.85 > blind + 0.1


def test_names_of_batches_do_not_matter(model, raw):
    one = np.array(["a", "b"] * 65, object)
    other = np.array(["z", "10"] * 65, object)
    same(annotate_blocks(model, blocks_of(raw), batch=one), annotate_blocks(model, blocks_of(raw), batch=other))


@pytest.mark.parametrize("cells_per_call", [1, 20, 10_000])
def test_joined_blocks_hold_all_cells_in_order(raw, cells_per_call, monkeypatch):
    monkeypatch.setattr(annotate, "CELLS_PER_CALL", cells_per_call)
    parts = [(start, sp.csr_matrix(raw[start : start + 13])) for start in range(0, N_CELLS, 13)]
    joined = list(annotate.gathered(iter(parts)))
    assert (sp.vstack([block for _, block in joined]).toarray() == raw).all()
    assert [start for start, _ in joined] == np.cumsum([0, *(b.shape[0] for _, b in joined[:-1])]).tolist()
    assert min((b.shape[0] for _, b in joined[:-1]), default=cells_per_call) >= cells_per_call
