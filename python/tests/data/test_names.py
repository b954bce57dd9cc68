from __future__ import annotations

import numpy as np
import pytest

from deepscore.errors import ConfigError, InputError
from deepscore.data.names import canonical, is_peak, match_names, select_modality
from synthetic import blocks_of


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


GENES, PEAKS = ["CD3D", "MS4A1", "NKG7"], ["chr1:10-20", "chr1:30-40"]


@pytest.mark.parametrize(
    ("features", "asked", "kind", "kept"),
    [
        (GENES, None, "rna", GENES),
        (PEAKS, None, "peaks", PEAKS),
        (GENES, "protein", "protein", GENES),
        ([*GENES, *PEAKS], "rna", "rna", GENES),
        ([*PEAKS, *GENES], "peaks", "peaks", PEAKS),
    ],
)
def test_modality_is_told_or_chosen(features, asked, kind, kept):
    matrix = np.arange(2.0 * len(features)).reshape(2, -1)
    part, found = select_modality(blocks_of(matrix, array(*features)), asked)
    assert found == kind
    assert part.feature_names.tolist() == kept
    np.testing.assert_array_equal(part.read(0, 2).toarray(), matrix[:, [features.index(name) for name in kept]])


@pytest.mark.parametrize(
    ("features", "asked", "kind", "code"),
    [
        ([*GENES, *PEAKS], None, InputError, "modality_required"),
        (GENES, "peaks", InputError, "modality_mismatch"),
        (PEAKS, "rna", InputError, "modality_mismatch"),
        (GENES, "atac", ConfigError, "bad_argument"),
    ],
)
def test_a_modality_that_cannot_be_is_refused(features, asked, kind, code):
    with pytest.raises(kind) as caught:
        select_modality(blocks_of(np.ones((2, len(features))), array(*features)), asked)
    assert caught.value.code == code


def test_a_gene_named_like_a_peak_does_not_make_a_data_set_mixed():
    features = array(*[f"GENE{i}" for i in range(99)], "TRNA-1-2")
    part, kind = select_modality(blocks_of(np.ones((2, 100)), features), None)
    assert (kind, part.n_features) == ("rna", 100)


@pytest.mark.parametrize("modality", [None, "rna"])
def test_a_gene_that_is_named_like_a_peak_stays_among_genes(modality):
    names = np.array(["TRNA-1-2", *(f"GENE{i}" for i in range(30))], object)
    kept, kind = select_modality(blocks_of(np.ones((2, 31)), names), modality)
    assert kept.feature_names.tolist() == names.tolist()
    assert kind == "rna"
