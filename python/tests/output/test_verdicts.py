from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deepscore.output.verdicts import BELIEVE, CHECK, DOUBT, UNSEEN, Query, Standing, of_label, of_query, steps

QUERY = Query(
    cells=1000,
    unclassified=50,
    reasons={"low confidence": 50},
    features=2000,
    found=1900,
    noun="genes",
    native=0.97,
    checked=False,
    samples=True,
    clusters=True,
)
GOOD = Standing(
    label="B",
    cells=300,
    closest=320,
    score=0.93,
    reference_cells=400,
    held_out=40,
    recall=0.95,
    markers=20,
    raised=19,
)
UNKNOWN = Standing(label="B", cells=300, closest=300, score=0.9)


def kinds(standing, query=QUERY):
    return [reason.kind for reason in of_label(standing, query).reasons]


def test_a_label_that_nothing_speaks_against_is_believed():
    assert of_label(GOOD, QUERY).level == BELIEVE
    assert not kinds(GOOD)


@pytest.mark.parametrize(
    ("changes", "level", "kind"),
    [
        ({"check": "its recall is 0.40"}, DOUBT, "reference check"),
        ({"reference_cells": 9}, DOUBT, "few reference cells"),
        ({"recall": 0.69}, DOUBT, "low recall"),
        ({"raised": 9}, DOUBT, "markers not raised"),
        ({"raised": 13}, CHECK, "few markers raised"),
        ({"held_out": 9}, CHECK, "recall hardly known"),
        ({"score": 0.6}, CHECK, "low scores"),
        ({"closest": 601}, CHECK, "mostly withheld"),
        ({"cells": 9, "closest": 9}, CHECK, "few cells"),
    ],
)
def test_each_reason_alone_is_told(changes, level, kind):
    assert of_label(replace(GOOD, **changes), QUERY).level == level
    assert kinds(replace(GOOD, **changes)) == [kind]


def test_the_limits_are_still_good():
    at_limits = replace(GOOD, reference_cells=10, held_out=10, recall=0.7, raised=14, score=0.7, closest=600, cells=300)
    assert of_label(at_limits, QUERY).level == BELIEVE
    assert kinds(replace(at_limits, raised=10)) == ["few markers raised"]  # a half is what chance gives


def test_a_check_counts_more_than_held_out_cells():
    checked = replace(GOOD, held_out=3, recall=0.33, checked_recall=0.9, checked_precision=0.9)
    assert of_label(checked, QUERY).level == BELIEVE
    told = replace(GOOD, reference_cells=4, recall=0.3, check="it has too few cells (4, fewer than 10)")
    assert kinds(told) == ["reference check"]  # once, not three times


def test_what_is_not_known_is_not_held_against_a_label():
    assert kinds(UNKNOWN) == ["recall hardly known"]
    assert "Only 0 cells" in of_label(UNKNOWN, QUERY).reasons[0].text
    assert np.isnan(replace(GOOD, markers=4, raised=0).agreement)
    assert of_label(replace(GOOD, markers=4, raised=0), QUERY).level == BELIEVE


def test_a_label_without_cells_is_not_judged():
    verdict = of_label(replace(GOOD, cells=0, closest=12, score=np.nan, check="no"), QUERY)
    assert verdict.level == UNSEEN
    assert "12 cells" in verdict.reasons[0].text


def test_nothing_of_a_foreign_query_is_believed():
    foreign = replace(QUERY, native=0.03)
    assert of_label(GOOD, foreign).level == DOUBT
    assert of_query(foreign)[0][0] == DOUBT
    assert "use none of these labels" in steps(foreign, [GOOD], [DOUBT], [])[0]


@pytest.mark.parametrize(
    ("changes", "levels", "words"),
    [
        ({}, [BELIEVE, BELIEVE, BELIEVE], "chance 97%"),
        ({"native": 0.999}, [BELIEVE, BELIEVE, BELIEVE], "above 99%"),
        ({"told": ("It is odd.",)}, [BELIEVE, BELIEVE, BELIEVE, BELIEVE], "It is odd."),
        ({"native": 0.001}, [DOUBT, BELIEVE, BELIEVE], "below 1%"),
        ({"native": None}, [CHECK, BELIEVE, BELIEVE], "was not looked at"),
        ({"found": 900}, [BELIEVE, CHECK, BELIEVE], "900 of the model's 2,000 genes (45%)"),
        ({"found": None}, [BELIEVE, BELIEVE], "5.0% of its cells"),
        ({"unclassified": 300}, [BELIEVE, BELIEVE, CHECK], "30.0% of its cells"),
    ],
)
def test_the_query_as_a_whole_is_judged(changes, levels, words):
    said = of_query(replace(QUERY, **changes))
    assert [level for level, _ in said] == levels
    assert words in " ".join(text for _, text in said)


def test_few_features_make_every_label_one_to_check():
    assert kinds(GOOD, replace(QUERY, found=900)) == ["few genes found"]


def test_what_to_do_follows_from_what_was_found():
    assert len(steps(QUERY, [GOOD], [BELIEVE], [])) == 1  # the reference was not checked
    assert not steps(replace(QUERY, checked=True), [GOOD], [BELIEVE], [])
    unsure = replace(QUERY, samples=False, clusters=False, reasons={"outlier": 7}, found=800)
    said = " ".join(steps(unsure, [replace(GOOD, confusable=(("T", 0.2),))], [DOUBT], ["cluster 4"]))
    for wanted in ("find_common_features", "7 cells", "cluster 4", "'B' and 'T'", "batch", "groups", "merge"):
        assert wanted in said


def test_a_pair_that_is_confused_both_ways_is_told_once():
    both = [replace(GOOD, confusable=(("T", 0.2),)), replace(GOOD, label="T", confusable=(("B", 0.3),))]
    assert sum("difference between" in one for one in steps(QUERY, both, [CHECK, CHECK], [])) == 1
