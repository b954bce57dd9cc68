from __future__ import annotations

import numpy as np
import pytest

from deepscore.errors import ConfigError, InputError
from deepscore.workflows.peaks import (
    CommonPeaksRequest,
    FragmentsRequest,
    MatchRequest,
    count_fragments,
    find_common_peaks,
    match_peaks,
)
from synthetic import blocks_of


def array(*values):
    return np.array(values, dtype=object)


def test_peaks_of_two_sets_are_merged():
    sets = [array("chr1:10-20", "chr2:5-9"), array("chr1:18-30")]
    assert find_common_peaks(sets, CommonPeaksRequest()) == ["chr1:10-30"]
    assert find_common_peaks(sets, CommonPeaksRequest(how="union", max_width=4)) == ["chr2:5-9"]


def test_a_query_is_counted_by_overlap_or_from_its_fragments(tmp_path):
    query = blocks_of([[1, 2], [0, 4]], array("chr1:10-20", "chr1:15-40"), array("a", "b"))
    counts, covered = match_peaks(query, array("chr1:18-25", "chr1:90-99"), MatchRequest())
    assert counts.toarray().tolist() == [[3, 0], [4, 0]]
    assert covered.tolist() == [True, False]
    (tmp_path / "fragments.tsv").write_text("chr1\t19\t95\ta\t1\nchr1\t91\t95\tb\t1\n")
    counts, covered = match_peaks(query, array("chr1:18-25", "chr1:90-99"), MatchRequest(), tmp_path / "fragments.tsv")
    assert counts.toarray().tolist() == [[1, 1], [0, 1]]
    assert covered.all()


def test_fragments_are_not_counted_without_barcodes(tmp_path):
    with pytest.raises(InputError) as caught:
        count_fragments(tmp_path / "fragments.tsv", array("chr1:1-2"), None, FragmentsRequest())
    assert caught.value.code == "no_cells"


@pytest.mark.parametrize(
    ("kind", "options"),
    [(MatchRequest, {"counting": "reads"}), (MatchRequest, {"min_overlap": 2}), (FragmentsRequest, {"progress": 1})],
)
def test_options_that_make_no_sense_are_refused(kind, options):
    with pytest.raises(ConfigError):
        kind(**options)
