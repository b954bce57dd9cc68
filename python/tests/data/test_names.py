from __future__ import annotations

import numpy as np
import pytest

from deepscore.data.names import canonical, is_peak, match_names


def array(*values):
    return np.array(values, dtype=object)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chr1:10-20", True),
        ("chr1-10-20", True),
        ("chr1_10_20", True),
        ("chrX:0-500", True),
        ("1:100-200", True),
        ("GL000194.1-55758-56597", True),
        ("chrUn_KI270442v1-380608-381209", True),
        ("chr1:20-10", False),
        ("chr1:10-1234567890123", False),
        ("chr1:10", False),
        ("CD3D", False),
        ("HLA-DRB1", False),
        ("NKX2-1", False),
        ("RP11-206L10.2", False),
        ("ENSG00000141510.16", False),
        ("", False),
    ],
)
def test_peaks_are_told_by_their_name(name, expected):
    assert is_peak(name) is expected


@pytest.mark.parametrize(
    "spellings",
    [
        ["chr1:10-20", "chr1-10-20", "chr1_10_20", "CHR1:10-20", "1:10-20"],
        ["chrUn_KI270442v1:10-20", "chrUn_KI270442v1-10-20"],
        ["ENSG00000141510", "ENSG00000141510.16", "ensg00000141510.2"],
        ["ENSMUSG00000059552.8", "ENSMUSG00000059552"],
        ["TP53", "tp53", "Tp53"],
        ["AC_000123", "AC-000123"],
        ["chrUn_KI270442v1_10_20", "chrUn-KI270442v1-10-20"],
        ["NC_000001.11:1000-1500", "NC-000001.11-1000-1500"],
        ["scaffold_12:10-20", "scaffold-12-10-20"],
        ["CD4:SK3|CD4|AHS0032", "CD4:SK3-CD4-AHS0032"],
    ],
)
def test_spellings_of_one_feature(spellings):
    assert len({canonical(name) for name in spellings}) == 1


@pytest.mark.parametrize(
    "different",
    [
        ["ENSG00000002586.20", "ENSG00000002586.20_PAR_Y"],
        ["AC012345.1", "AC012345.2", "AC012345"],  # clone names: the number is no version
        ["chr1:10-20", "chr1:10-21", "chr11:0-20"],
        ["TP53", "ENSG00000141510"],
        ["H2-K1", "H2K1"],
        ["ENSG00000141510.16", "ENST00000141510.16"],
    ],
)
def test_different_features_stay_different(different):
    assert len({canonical(name) for name in different}) == len(different)


@pytest.mark.parametrize(
    ("wanted", "available", "expected"),
    [
        (["a", "b", "c"], ["c", "a", "d"], [1, -1, 0]),
        (["TP53"], ["Tp53"], [0]),
        (["ENSG00000141510"], ["x", "ENSG00000141510.16"], [1]),
        (["ENSG00000141510.3"], ["ENSG00000141510.16"], [0]),
        (["chr1:10-20"], ["chr1-10-20"], [0]),
        (["TP53"], ["tp53", "Tp53"], [-1]),  # two candidates: neither
        (["TP53", "tp53"], ["Tp53"], [-1, -1]),  # two that want it: neither
        (["TP53", "tp53"], ["TP53", "Tp53"], [0, -1]),
        (["TP53"], ["tp53", "TP53"], [1]),  # the equal name wins
        (["ENSG00000002586.20"], ["ENSG00000002586.20_PAR_Y"], [-1]),
        (["ENSG00000002586.20", "ENSG00000002586.20_PAR_Y"], ["ENSG00000002586.19"], [0, -1]),
        (["TP53"], ["ENSG00000141510"], [-1]),
    ],
)
def test_names_are_matched_and_never_guessed(wanted, available, expected):
    assert match_names(array(*wanted), array(*available)).tolist() == expected


def test_another_spelling_is_told(caplog):
    with caplog.at_level("INFO", logger="deepscore"):
        match_names(array("TP53", "CD3D", "MS4A1"), array("tp53", "CD3D", "ms4a1"))
    assert [record.getMessage().split(" ")[0] for record in caplog.records] == ["2"]


def test_equal_names_need_no_line_in_the_log(caplog):
    with caplog.at_level("INFO", logger="deepscore"):
        match_names(array("TP53"), array("TP53"))
    assert not caplog.records
