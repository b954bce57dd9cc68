from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from deepscore.data.modality import PEAKS, RNA
from deepscore.data.normalize import LogNorm
from deepscore.data.values import Values
from deepscore.errors import ConfigError
from deepscore.features.markers import marker_statistics
from synthetic import blocks_of, counts, peak_names

LOG = LogNorm()  # in single precision: which values are equal matters for ranks
LABELS = ("B", "NK", "T")


@pytest.fixture
def codes(rng):
    return rng.permutation(np.arange(180) % 3)


@pytest.fixture
def raw(rng, codes):
    matrix = counts(rng, codes, 30).toarray()
    matrix[:, 20] = 0  # a feature that no cell has
    return matrix


def labels_of(codes):
    return np.array([LABELS[code] if code >= 0 else None for code in codes], object)


def welch(inside, outside):
    return stats.ttest_ind(inside, outside, equal_var=False).statistic


def rank_sum(inside, outside):
    """Return the z-score of the rank sum, with mid-ranks and the correction for ties."""
    z = []
    for a, b in zip(inside.T, outside.T, strict=True):
        ranks, n1, n2 = stats.rankdata(np.r_[a, b]), len(a), len(b)
        n = n1 + n2
        times = np.unique(ranks, return_counts=True)[1].astype(float)
        variance = n1 * n2 / 12 * (n + 1 - (times**3 - times).sum() / (n * (n - 1)))
        z.append((ranks[:n1].sum() - n1 * (n + 1) / 2) / np.sqrt(variance) if variance else 0)
    return np.array(z)


PLAIN = {"t-test": welch, "wilcoxon": rank_sum}


@pytest.mark.parametrize("test", PLAIN)
@pytest.mark.parametrize("missing", [0, 40])
@pytest.mark.parametrize("rows", [64, 1000])
def test_scores_are_those_of_a_test_of_one_feature_at_a_time(raw, codes, test, missing, rows):
    codes[:missing] = -1  # cells without a label take no part
    found, labels = marker_statistics(blocks_of(raw, rows=rows), labels_of(codes), RNA, test)
    assert labels == list(LABELS)
    dense = np.vstack([block.toarray() for _, block in LOG.blocks(blocks_of(raw), np.arange(30), Values("counts"))])
    with np.errstate(all="ignore"):
        expected = [PLAIN[test](dense[codes == i], dense[(codes != i) & (codes >= 0)]) for i in range(3)]
    np.testing.assert_allclose(found, np.nan_to_num(expected), rtol=2e-4, atol=2e-4)
    assert (found[:, 20] == 0).all()


@pytest.mark.parametrize("test", PLAIN)
def test_markers_are_found(raw, codes, test):
    found, _ = marker_statistics(blocks_of(raw), labels_of(codes), RNA, test)
    for label in range(3):
        assert set(np.argsort(-found[label])[:6]) == set(range(6 * label, 6 * label + 6))


@pytest.mark.parametrize("test", PLAIN)
def test_a_label_with_one_cell_has_markers_too(raw, test):
    codes = np.zeros(len(raw), int)
    codes[5] = 1
    raw[5, 4], raw[:5, 4], raw[6:, 4] = 90, 0, np.arange(len(raw) - 6) % 2
    found, _ = marker_statistics(blocks_of(raw), labels_of(codes), RNA, test)
    assert np.isfinite(found).all()
    assert found[1].argmax() == 4
    assert found[0, 4] < 0


@pytest.mark.parametrize("test", PLAIN)
def test_strong_markers_of_many_cells_can_be_told_apart(rng, test):
    codes = np.arange(4000) % 2
    raw = np.column_stack([10 + codes * 9, 10 + codes * 9 * (rng.random(4000) < 0.95), np.full(4000, 20)])
    found, _ = marker_statistics(blocks_of(raw), labels_of(codes), RNA, test)
    assert found[1, 0] > found[1, 1] > 0


def test_peaks_are_tested_as_log_normalised_counts(raw, codes):
    found, _ = marker_statistics(blocks_of(raw, peak_names(30)), labels_of(codes), PEAKS)
    expected, _ = marker_statistics(blocks_of(raw), labels_of(codes), RNA)
    np.testing.assert_array_equal(found, expected)


def test_an_unknown_test_is_refused(raw, codes):
    with pytest.raises(ConfigError, match="t-test, wilcoxon"):
        marker_statistics(blocks_of(raw), labels_of(codes), RNA, "anova")
