from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest

from deepscore.data.modality import MODALITIES, PEAKS, PROTEIN, RNA
from deepscore.errors import InputError
from deepscore.features.select import common_features
from deepscore.training.reference import Reference, prepare
from synthetic import blocks_of, dataset, log_cp10k, names, peak_names, quick


@pytest.fixture
def raw(reference):
    return reference.X.toarray()


@pytest.fixture
def data(raw):
    return blocks_of(raw)


@pytest.fixture
def labels(reference):
    return reference.obs["cell_type"].to_numpy(object)


def test_labelled_cells_and_chosen_features_are_kept(data, raw, labels):
    labels[::7] = None
    chosen = ("GENE040", "GENE003", "GENE011")
    found = prepare(data, labels, quick(common_features=chosen), test_prop=0.2)
    known = np.array([label is not None for label in labels])
    np.testing.assert_allclose(
        found.matrix.toarray(), log_cp10k(raw, np.median(raw.sum(axis=1)))[known][:, [40, 3, 11]], rtol=1e-5
    )
    assert (found.features, found.labels) == (chosen, ("B cell", "NK cell", "T cell"))
    assert [found.labels[code] for code in found.codes] == labels[known].tolist()
    assert (found.n_unlabelled, found.test_prop, found.modality) == (int((~known).sum()), 0.2, "rna")
    assert not found.batches.any()


def test_cells_without_a_label_are_counted(data, labels):
    labels[:5] = None
    assert prepare(data, labels, quick()).n_unlabelled == 5


def test_without_common_features_the_most_variable_ones_are_taken(labels, monkeypatch, data):
    monkeypatch.setitem(MODALITIES, "rna", replace(RNA, n_features=25))
    found = prepare(data, labels, quick())
    assert list(found.features) == common_features(data, [], 25, "variable", RNA)


def test_peaks_have_more_features_by_default(labels, monkeypatch, raw):
    assert [kind.n_features for kind in (RNA, PROTEIN, PEAKS)] == [2000, 300, 10_000]
    monkeypatch.setitem(MODALITIES, "peaks", replace(PEAKS, n_features=30))
    monkeypatch.setitem(MODALITIES, "rna", replace(RNA, n_features=20))
    peaks = blocks_of(raw, peak_names(raw.shape[1]))
    assert len(prepare(peaks, labels, quick()).features) == 30


@pytest.mark.parametrize("times", [10, 1000])
def test_cells_are_scaled_to_the_median_total(raw, labels, times):
    found = prepare(blocks_of(times * raw), labels, quick(common_features=("GENE001", "GENE050")))
    total = min(np.median(times * raw.sum(axis=1)), 1e4)
    assert found.normalization.target_total == pytest.approx(total)
    assert found.feature_share == pytest.approx(raw[:, [1, 50]].sum() / raw.sum(), abs=1e-6)
    np.testing.assert_allclose(found.matrix.toarray(), log_cp10k(raw, total)[:, [1, 50]], rtol=1e-5)


def test_a_small_reference_keeps_all_its_features(data, labels):
    assert set(prepare(data, labels, quick()).features) == set(data.feature_names)


def test_common_features_are_found_in_another_spelling_and_keep_the_given_one(data, raw, labels):
    found = prepare(data, labels, quick(common_features=("gene002", "GENE001")))
    assert found.features == ("gene002", "GENE001")
    total = np.median(raw.sum(axis=1))
    np.testing.assert_allclose(found.matrix.toarray(), log_cp10k(raw, total)[:, [2, 1]], rtol=1e-5)


def test_peaks_keep_how_rare_each_of_them_is(raw, labels):
    peaks = peak_names(80)
    found = prepare(blocks_of(raw, peaks), labels, quick(common_features=tuple(peaks[[5, 70]])))
    assert (found.modality, found.normalization.method) == ("peaks", "tfidf")
    np.testing.assert_allclose(found.normalization.idf, np.log1p(len(raw) / raw[:, [5, 70]].sum(axis=0)), rtol=1e-6)
    assert found.normalization.target_total == pytest.approx(0.3 * np.median(raw.sum(axis=1)))
    frequency = raw[:, [5, 70]] / raw.sum(axis=1, keepdims=True)
    expected = np.log1p(found.normalization.target_total * frequency * found.normalization.idf)
    np.testing.assert_allclose(found.matrix.toarray(), expected, rtol=1e-5)


def test_without_chosen_peaks_those_that_most_cells_have_are_taken(raw, labels, monkeypatch):
    monkeypatch.setitem(MODALITIES, "peaks", replace(PEAKS, n_features=10))
    found = prepare(blocks_of(raw, peak_names(80)), labels, quick())
    detected = (raw > 0).sum(axis=0)
    chosen = np.isin(peak_names(80), found.features)
    assert chosen.sum() == 10
    assert detected[chosen].min() >= detected[~chosen].max()


def test_batches_are_numbered(data, labels, reference):
    batch = reference.obs["batch"].to_numpy(object)
    labels[:9] = None
    found = prepare(data, labels, quick(), batch=batch)
    assert found.batches.tolist() == [["even", "odd"].index(name) for name in batch[9:]]


def test_cells_without_a_batch_are_a_batch_of_their_own(data, labels, reference):
    batch = reference.obs["batch"].to_numpy(object)
    batch[:30] = None
    with pytest.warns(UserWarning, match="The batch of 30 of the 240 cells is missing"):
        batches = prepare(data, labels, quick(), batch=batch).batches
    assert len(set(batches[:30])) == 1
    assert sorted(set(batches)) == [0, 1, 2]


@pytest.mark.parametrize("modality", ["rna", "peaks"])
def test_a_reference_survives_as_bytes(raw, labels, modality):
    features = peak_names(80) if modality == "peaks" else None
    labels[:4] = None
    before = prepare(blocks_of(raw, features), labels, quick(), batch=np.where(np.arange(240) % 3, "x", "y"))
    after = Reference.from_bytes(before.to_bytes())
    for field in dataclasses.fields(Reference):
        a, b = getattr(before, field.name), getattr(after, field.name)
        if field.name == "cells":
            a, b = before.matrix, after.matrix
            assert (a != b).nnz == 0
            assert a.dtype == b.dtype
        elif field.name == "normalization":
            assert (a.method, a.facts()) == (b.method, b.facts())
            assert a.arrays().keys() == b.arrays().keys()
            for name, values in a.arrays().items():
                np.testing.assert_array_equal(values, b.arrays()[name])
        else:
            np.testing.assert_array_equal(a, b)
    assert type(after.test_prop) is float


def test_bytes_that_have_changed_are_refused(data, labels):
    whole = prepare(data, labels, quick()).to_bytes()
    for at in (0, 30, len(whole) // 2, len(whole) - 1):
        changed = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        for damaged in (changed, whole[:at]):
            with pytest.raises(InputError) as caught:
                Reference.from_bytes(damaged)
            assert caught.value.code == "no_reference"


def test_a_batch_of_another_length_is_refused(data, labels):
    with pytest.raises(InputError) as caught:
        prepare(data, labels, quick(), batch=labels[:-1])
    assert caught.value.code == "batch_length"


@pytest.mark.parametrize("name", ["", "G" * 1001, "G\0"], ids=["empty", "long", "NUL"])
def test_a_feature_that_no_model_file_can_name_is_refused(raw, labels, name):
    features = names("GENE", 80)
    features[3] = name
    with pytest.raises(InputError, match="feature") as caught:
        prepare(blocks_of(raw, features), labels, quick())
    assert caught.value.code == "invalid_text"


def test_labels_are_sorted_as_text_whatever_their_order(labels):
    data = dataset(5)
    found = prepare(blocks_of(data.X), data.obs["cell_type"].to_numpy(object)[::-1], quick())
    assert found.labels == tuple(sorted(set(labels)))


def test_a_subset_has_the_cells_that_were_asked_for(data, labels):
    whole = prepare(data, labels, quick(), batch=np.array(["x"] * 100 + ["y"] * 80 + ["z"] * 60, dtype=object))
    cells = np.array([200, 101, 3, 150])
    part = whole.subset(cells)
    np.testing.assert_array_equal(part.matrix.toarray(), whole.matrix.toarray()[cells])
    assert [part.labels[code] for code in part.codes] == labels[cells].tolist()
    assert part.batches.tolist() == [2, 1, 0, 1]
    assert whole.subset(cells[:2]).batches.tolist() == [1, 0]
    assert (part.features, part.labels) == (whole.features, whole.labels)
