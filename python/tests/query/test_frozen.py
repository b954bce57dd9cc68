from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import scipy.sparse as sp

from deepscore.data.standardise import Scale
from deepscore.query.frozen import view_from_bytes, view_to_bytes
from deepscore.query.neighbours import Axes, Neighbourhoods
from deepscore.query.scales import CellByCell, SecondReading
from deepscore.query.settings import SETTINGS
from deepscore.query.verdict import Verdict
from deepscore.query.view import View
from synthetic import full_model

N_FEATURES, IDENTITY = 30, {"model": "abc", "cells": 5, "limits": [0.5, 0.25]}


@pytest.fixture
def view(rng):
    """Return a view of two batches in which everything has a weight."""

    def scale():
        return Scale(*rng.uniform(0.5, 2, (2, 2, N_FEATURES)).astype(np.float32), np.zeros(9, np.intp))

    axes = Axes(rng.normal(size=(N_FEATURES, 4)), *rng.uniform(0.5, 2, (2, 2, N_FEATURES)))
    means = rng.dirichlet([1, 1, 1], 6)
    near = Neighbourhoods(means, means.mean(axis=0), rng.random(6), axes, rng.normal(size=(6, 4)))
    verdict = Verdict(0.9, float(np.float64(0.4)), 0.8, False, ("GENE001", "GENE002"), ())
    measured = rng.random((2, N_FEATURES)) < 0.9
    second, alone = SecondReading(scale(), np.array([0.1, 0.2])), CellByCell(np.array([0.0, 0.7]), 0.5)
    return View(full_model(), measured, scale(), second, near, alone, verdict=verdict)


def predicted(view, rng):
    x = sp.csr_matrix(rng.gamma(1, 1, (40, N_FEATURES)) * (rng.random((40, N_FEATURES)) < 0.4), dtype=np.float32)
    return view.predict(x, np.arange(40) % 2)


@pytest.mark.parametrize("left_out", [(), ("second",), ("neighbours", "verdict"), ("by_itself",)])
def test_a_view_that_was_frozen_calls_cells_as_it_did(view, left_out):
    view = replace(view, **dict.fromkeys(left_out))
    found = view_from_bytes(view_to_bytes(view, IDENTITY), view.model, IDENTITY)
    one, other = (predicted(x, np.random.default_rng(1)) for x in (view, found))
    assert [x.tolist() for x in one] == [x.tolist() for x in other]
    assert found.verdict == view.verdict
    assert {x.name for x in fields(View) if getattr(found, x.name) is None} == {"peaks", *left_out}


def test_the_file_of_a_view_is_small_and_always_the_same(view):
    content = view_to_bytes(view, IDENTITY)
    assert content == view_to_bytes(view, IDENTITY)
    assert len(content) < 10_000
    assert (
        view_from_bytes(content, view.model, IDENTITY, replace(SETTINGS, neighbours=3)).neighbours.settings != SETTINGS
    )


def test_a_view_of_something_else_is_not_read(view):
    content = view_to_bytes(view, IDENTITY)
    for other in ({}, IDENTITY | {"model": "abd"}, IDENTITY | {"limits": [0.5, 0.26]}):
        assert view_from_bytes(content, view.model, other) is None


def test_a_file_that_is_damaged_anywhere_is_not_read(view):
    content = view_to_bytes(view, IDENTITY)
    for at in [*range(0, 300, 7), *range(300, len(content), 97)]:
        spoilt = bytearray(content)
        spoilt[at] ^= 0x55
        found = view_from_bytes(bytes(spoilt), view.model, IDENTITY)
        if found is not None:  # a byte that tells nothing, such as a blank
            assert view_to_bytes(found, IDENTITY) == content
    for length in (0, 7, 8, 100, len(content) // 2, len(content) - 1):
        assert view_from_bytes(content[:length], view.model, IDENTITY) is None
