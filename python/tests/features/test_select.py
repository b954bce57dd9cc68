from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepscore.data.modality import MODALITIES, RNA
from deepscore.errors import ConfigError
from deepscore.features.markers import marker_statistics
from deepscore.features.select import common_features
from deepscore.features.variable import variability
from synthetic import blocks_of, counts, names, peak_names

LABELS = np.array(["B", "NK", "T"], object)


class Task:
    """A reference, queries that hold some of its features in another order, and the labels of the reference."""

    def __init__(self, seed, n_queries=2, modality="rna", n_features=24, n_cells=60):
        rng = np.random.default_rng(seed)
        everything = names("GENE", n_features + 6) if modality == "rna" else peak_names(n_features + 6)
        self.kind = MODALITIES[modality]
        self.codes = rng.permutation(np.arange(n_cells) % 3)
        held = [np.arange(n_features)]
        held += [rng.permutation(n_features + 6)[: n_features - 2] for _ in range(n_queries)]
        self.tables = []
        for columns in held:
            matrix = counts(rng, self.codes, n_features + 6).toarray() + 1
            self.tables.append((matrix[:, columns], everything[columns]))
        self.labels = LABELS[self.codes]
        self.sets = [blocks_of(*table) for table in self.tables]
        self.shared = set.intersection(*(set(data.feature_names) for data in self.sets))

    def search(self, n, strategy, test="t-test"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return common_features(self.sets[0], self.sets[1:], n, strategy, self.kind, self.labels, test)

    def rankings(self):
        """Return the names of each data set, the most variable first."""
        return [
            [name for _, name in sorted(zip(-variability(data, self.kind), data.feature_names, strict=True))]
            for data in self.sets
        ]

    def markers(self, test="t-test"):
        """Return the features that are higher in each label, the best first."""
        scores, _ = marker_statistics(self.sets[0], self.labels, self.kind, test)
        return [
            [name for score, name in sorted(zip(-row, self.sets[0].feature_names, strict=True)) if score < 0]
            for row in scores
        ]


def widening(rankings, n):
    """Take the k best of every data set and raise k one by one until n are shared, the best of the reference first."""
    met = []
    for k in range(1, max(map(len, rankings)) + 1):
        shared = set.intersection(*(set(ranking[:k]) for ranking in rankings))
        met += [name for name in rankings[0] if name in shared and name not in met]
        if len(met) >= n:
            break
    return met[:n]


def in_turn(preferences, allowed, n):
    """Let each label choose its best feature that is still free, again and again."""
    chosen = []
    while len(chosen) < n:
        before = len(chosen)
        for wanted in preferences:
            free = [name for name in wanted if name in allowed and name not in chosen]
            if free and len(chosen) < n:
                chosen.append(free[0])
        if len(chosen) == before:
            break
    return chosen


tasks = st.builds(Task, st.integers(0, 10_000), st.integers(1, 3), st.sampled_from(["rna", "peaks"]))
slow = settings(max_examples=25)


@slow
@given(tasks, st.integers(1, 26))
def test_variable_equals_a_search_that_widens_one_by_one(task, n):
    found = task.search(n, "variable")
    assert found == widening(task.rankings(), n)
    assert len(found) == min(n, len(task.shared))


@slow
@given(tasks, st.integers(1, 26), st.sampled_from(["t-test", "wilcoxon"]))
def test_markers_equals_labels_that_choose_in_turn(task, n, test):
    assert task.search(n, "markers", test) == in_turn(task.markers(test), task.shared, n)


@slow
@given(tasks, st.integers(1, 26) | st.integers(1, 4))
def test_markers_in_variable_equals_a_search_that_widens_n_by_n(task, n):
    rankings, preferences = task.rankings()[1:], task.markers()
    markers = set().union(*preferences)
    allowed, width = set(), 0
    while len(allowed & markers) < n and width < max(map(len, rankings)):
        width += n
        allowed = task.shared & set.intersection(*(set(ranking[:width]) for ranking in rankings))
    assert task.search(n, "markers_in_variable") == in_turn(preferences, allowed, n)


STRATEGIES = ["variable", "markers_in_variable", "markers"]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("n", [1, 7, 15])
def test_exactly_so_many_are_found(strategy, n):
    task = Task(1, n_queries=1, n_features=40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = common_features(task.sets[0], task.sets[1:], n, strategy, RNA, task.labels)
    assert len(set(found)) == len(found) == n
    assert set(found) <= task.shared


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_order_of_columns_and_cells_does_not_matter(strategy, rng):
    task = Task(5, n_queries=2, n_features=40)
    expected = task.search(12, strategy)
    cells = rng.permutation(len(task.codes))
    task.labels = task.labels[cells]
    for i, (matrix, features) in enumerate(task.tables):
        columns = rng.permutation(len(features))
        task.sets[i] = blocks_of(matrix[cells][:, columns], features[columns])
    assert task.search(12, strategy) == expected


def test_the_order_of_queries_does_not_matter():
    task = Task(6, n_queries=3, n_features=40)
    expected = task.search(12, "variable")
    task.sets[1:] = task.sets[:0:-1]
    assert task.search(12, "variable") == expected


@pytest.mark.parametrize("change", [lambda x: x[:1], lambda x: 0 * x], ids=["one cell", "no counts"])
@pytest.mark.parametrize("which", [0, 1])
def test_a_data_set_without_variance_has_no_say_in_the_order(change, which):
    task = Task(4, n_queries=2)
    matrix, features = task.tables[which]
    task.sets[which] = blocks_of(change(matrix), features)
    others = [ranking for i, ranking in enumerate(task.rankings()) if i != which]
    assert task.search(9, "variable") == [name for name in widening(others, 99) if name in task.shared][:9]


@pytest.mark.parametrize("strategy", ["markers_in_variable", "markers"])
def test_every_label_is_served(strategy):
    task = Task(2, n_queries=1, n_features=60, n_cells=240)
    best = [set(wanted[:8]) for wanted in task.markers()]
    found = task.search(9, strategy)
    assert all(len(best[label] & set(found)) >= 1 for label in range(3))


@pytest.mark.parametrize(
    ("strategy", "reason"), [("variable", "no more features are shared"), ("markers", "higher in a label")]
)
def test_where_fewer_exist_all_come_back_with_a_warning(strategy, reason):
    task = Task(3, n_queries=1)
    with pytest.warns(UserWarning, match=rf"Only \d+ features .* of the 500 asked for: .*{reason}") as told:
        found = common_features(task.sets[0], task.sets[1:], 500, strategy, RNA, task.labels)
    assert f"Only {len(found)} " in str(told[0].message)
    assert set(found) == (task.shared if strategy == "variable" else task.shared & set().union(*task.markers()))


def test_names_come_back_as_the_reference_spells_them():
    task = Task(4, n_queries=1)
    matrix, features = task.tables[1]
    expected = task.search(10, "variable")
    task.sets[1] = blocks_of(matrix, np.array([name.lower() for name in features], object))
    assert task.search(10, "variable") == expected


def test_without_a_query_the_reference_alone_is_ranked():
    task = Task(4, n_queries=0)
    assert task.search(10, "variable") == task.rankings()[0][:10]


def test_variable_features_of_no_query_have_no_markers(reference):
    labels = reference.obs["cell_type"].to_numpy(object)
    with pytest.raises(ConfigError) as caught:
        common_features(blocks_of(reference.X), [], 10, "markers_in_variable", RNA, labels)
    assert caught.value.code == "bad_argument"
