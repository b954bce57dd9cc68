from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deepscore.data.blocks import row_ranges
from deepscore.errors import DeepScoreError
from deepscore.query.settings import SETTINGS
from deepscore.workflows.annotate import AnnotateRequest, annotate
from deepscore.workflows.annotate_ranges import LargeQuery, annotate_by_ranges
from synthetic import blocks_of, counts, full_model

SMALL = replace(SETTINGS, whole=100, sample=80, cells_per_batch=10)
N_CELLS, N_FEATURES = 400, 30


@pytest.fixture
def model():
    return full_model()


@pytest.fixture
def query(rng):
    return blocks_of(counts(rng, np.arange(N_CELLS) % 3, N_FEATURES), rows=37)


@pytest.fixture
def batch(rng):
    return rng.choice(["a", "b"], N_CELLS).astype(object)


def elsewhere(blocks):
    """Let ranges be worked on by a stand-in for a cluster, which has opened the data set itself."""

    def over(function, shared, ranges):
        whole = [(start, stop, each) for start, stop, each in ranges]
        return (function(blocks.between(start, stop), start, each, shared) for start, stop, each in whole)

    return replace(blocks, elsewhere=over)


def same(found, expected):
    assert found.calls.tolist() == expected.calls.tolist()
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=1e-6)
    assert found.raw.tolist() == expected.raw.tolist()
    assert found.reasons.tolist() == expected.reasons.tolist()
    assert found.verdict == expected.verdict
    assert (found.probabilities is None) == (expected.probabilities is None)
    for name in ("group_calls", "group_shares"):
        one, other = getattr(found, name), getattr(expected, name)
        assert (one is None and other is None) or one.tolist() == other.tolist()


@pytest.mark.parametrize("options", [{}, {"probabilities": True, "threshold": 0.8}, {"refine": False}])
@pytest.mark.parametrize("batched", [False, True])
def test_ranges_elsewhere_get_the_calls_of_all_cells_here(model, query, batch, options, batched):
    request, batch = AnnotateRequest(**options), batch if batched else None
    groups = np.resize(["x", "y", "x"], N_CELLS).astype(object)
    expected = annotate(model, query, request, batch=batch, groups=groups, settings=SMALL)
    large = LargeQuery.of(model, elsewhere(query), request, batch=batch, settings=SMALL)
    same(annotate_by_ranges(large, groups), expected)


def test_a_range_is_called_by_a_frozen_look_as_in_the_whole(model, query, batch):
    request = AnnotateRequest(probabilities=True)
    expected = annotate(model, query, request, batch=batch, settings=SMALL)
    large = LargeQuery.of(model, query, request, batch=batch, settings=SMALL)
    view = large.thawed(large.frozen(large.look()[0]))
    batches = large.aligned.batches
    for start, stop in ((0, 50), (333, 400), (120, 121), (0, N_CELLS)):
        found = large.caller(view).call(query.between(start, stop), batches[start:stop])
        same(found, expected.of_cells(slice(start, stop)))


def test_a_look_is_of_one_model_query_and_options(model, query, batch, rng):
    asked = AnnotateRequest()

    def large(blocks=query, request=asked, batch=batch, settings=SMALL, model=model):
        return LargeQuery.of(model, blocks, request, batch=batch, settings=settings)

    content = large().frozen(large().look()[0])
    assert large().thawed(content) is not None
    others = [
        large(blocks_of(counts(rng, np.arange(N_CELLS) % 3, N_FEATURES))),
        large(request=AnnotateRequest(threshold=0.4)),
        large(request=AnnotateRequest(refine=False)),
        large(batch=None),
        large(batch=batch[::-1]),
        large(settings=replace(SMALL, sample=81)),
        large(model=replace(model, temperature=model.temperature * 1.5)),
    ]
    assert [one.thawed(content) for one in others] == [None] * len(others)


def test_a_small_query_and_one_of_few_different_cells_are_looked_at_in_full(model, query, rng):
    assert LargeQuery.of(model, query.between(0, 100), AnnotateRequest(), settings=SMALL) is None
    raw = query.between(0, 90).to_csr()
    copies = blocks_of(raw[rng.integers(0, 90, 300)])
    large = LargeQuery.of(model, copies, AnnotateRequest(), settings=SMALL)
    assert large.look() is None
    assert annotate_by_ranges(large) is None


def test_groups_of_another_length_are_refused(model, query):
    large = LargeQuery.of(model, query, AnnotateRequest(), settings=SMALL)
    with pytest.raises(DeepScoreError) as error:
        annotate_by_ranges(large, np.array(["x"] * 7, object))
    assert error.value.code == "groups_length"


@pytest.mark.parametrize("n", [1, 49_999, 50_000, 50_001, 150_000])
def test_ranges_hold_every_row_once(n):
    ranges = row_ranges(n)
    assert [row for start, stop in ranges for row in range(start, stop)] == list(range(n))
    assert max(stop - start for start, stop in ranges) <= 50_000
