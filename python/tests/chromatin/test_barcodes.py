from __future__ import annotations

import pytest

from deepscore.chromatin.barcodes import likely_reason

BASES = ["ACGTACGTACGTACGT", "TTTTACGTACGTACGT", "GGGGACGTACGTACGT"]


@pytest.mark.parametrize("before", ["", "sample1_", "lane#"])
@pytest.mark.parametrize("behind", ["", "-1", "-12", "_2"])
@pytest.mark.parametrize("names", [BASES, ["CELL0", "CELL1", "x9k"], ["AGGTCAAC+ACGTACGT", "AGGTCAAC+TTTTACGT"]])
def test_another_prefix_or_suffix_is_the_reason(before, behind, names):
    cells, in_file = [f"{before}{name}{behind}" for name in names], [f"{name}-1" for name in names]
    for missing, others in ((cells, in_file), (in_file, cells)):
        assert f"{missing[0]} is perhaps {others[0]} there" in likely_reason(missing, others)


def test_other_barcodes_have_no_reason():
    assert likely_reason(["s1_" + BASES[0], "none"], [f"s1_{BASES[1]}-1", f"s1_{BASES[2]}-1"]) == ""
    assert likely_reason(["a", "b"], ["c-1"]) == ""
    assert likely_reason(["a"], []) == ""
    assert likely_reason([f"s_{BASES[0]}", "other1", "other2"], BASES) == ""  # most of them have none
