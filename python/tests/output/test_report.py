from __future__ import annotations

from dataclasses import replace

import numpy as np

from deepscore.output.colours import GREY
from reported import CELLS, REPORT


def test_each_label_has_a_verdict_and_a_colour_and_the_most_frequent_comes_first():
    assert [verdict.level for verdict in REPORT.verdicts] == ["check", "unseen", "doubt"]
    assert [one.label for one, _ in REPORT.ranked] == ["T cell", "B cell", "NK cell"]
    assert REPORT.ranked[0][1] is REPORT.verdicts[2]
    assert list(REPORT.colours) == ["B cell", "NK cell", "T cell", "Unclassified"]
    assert REPORT.colours["Unclassified"] == GREY
    assert len(set(REPORT.colours.values())) == 4


def test_clusters_of_outliers_are_strange():
    outlier = np.array(["outlier"] * 3 + [""] * 7)
    groups = np.array(["a", "a", "b", "b", "b", "b", "b", "a", None, None], object)
    found = replace(REPORT, cells=CELLS.assign(reason=outlier), groups=groups)
    assert found.strange == ["a"]
    assert replace(found, groups=None).strange == []
