from __future__ import annotations

import numpy as np
import pytest

from deepscore.data.names import (
    are_ids,
    as_peak,
    canonical,
    is_numbered,
    is_peak,
    is_place,
    match_names,
    may_be_positions,
    parts_of,
    split_genome,
)


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
    "name",
    [
        "chr1:1000-2000",
        "GRCh38_chr1:1000-2000",
        "hg38_chr1-1000-2000",
        "hg19-chr1-1000-2000",
        "mm10___chr1:1000-2000",
        "grch38_chr1_1000_2000",
        "chr1:1,000-2,000",
        "chr1:1000-2000:+",
        "chr1:1000-2000(-)",
        "chr1_1000_2000_+",
        "chr1:1000-2000:*",
        "chr1\t1000\t2000",
        "chr1\t1000\t2000\tpeak_1",
        "chr1 1000 2000",
        "chr1:1000..2000",
        "chr1.1000.2000",
        "chr1.1000.2000..",
    ],
)
def test_a_peak_may_be_written_in_many_ways(name):
    assert as_peak(name) == ("chr1", 1000, 2000)
    assert canonical(name) == "1:1000-2000"


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("GL000194.1.10.20", ("GL000194.1", 10, 20)),
        ("X1.10.20", ("1", 10, 20)),  # make.names("1:10-20")
        ("chr1:1,000,000-1,000,500", ("chr1", 1_000_000, 1_000_500)),
        ("X:10-20", ("X", 10, 20)),
        ("chr1:1,0000-2,000", None),
        ("chr1.10-20", None),
        ("ENSG00000000003.1_4", None),
        ("ENSG00000000003.14.15", None),
        ("HLA.DRB1", None),
        ("AC012345.1", None),
    ],
)
def test_a_peak_is_read_or_is_none(name, peak):
    assert as_peak(name) == peak


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chr1:10:20", True),
        ("chr1|10|20", True),
        ("chr1:20-10", True),
        ("chrX;5", True),
        ("1:10:20", True),
        ("hg38_chrM/5", True),
        ('"chr1:10-20"', True),
        ("1/10/20", True),
        ("CHRM1", False),
        ("CHRNA7", False),
        ("TRNA-1-2", False),
        ("7SK", False),
    ],
)
def test_places_are_told_from_genes(name, expected):
    assert is_place(name) is expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["0", "1", "2"], True),
        (["V1", "V2"], True),
        (["x0", "x1", "x2"], True),
        (["0.0", "1.0", "2.0"], True),  # once floats
        (["0.5", "1.0"], False),
        (["17", "3", "900"], True),  # some of them
        ([str(i) for i in range(200_000)], True),
        (["7157", "100287102"], False),  # Entrez ids
        (["0", "CD3D"], False),
        (["GENE1", "GENE2"], False),
        (["1"], False),
    ],
)
def test_numbers_are_told_from_names(names, expected):
    assert is_numbered(array(*names)) is expected


@pytest.mark.parametrize(
    "form",
    [
        "feature_{}",
        "gene_{}",
        "Gene{}",
        "g{}",
        "f_{}",
        "x_{}",
        "var_{}",
        "peak_{}",
        "Feature {}",
        "GENE.{}",
        "Column{}",
    ],
)
@pytest.mark.parametrize("first", [0, 1])
def test_one_word_with_numbers_in_order_may_say_only_positions(form, first):
    called = array(*[form.format(i + first) for i in range(50)])
    assert may_be_positions(called, called)
    assert may_be_positions(called[[7, 3, 20]], called)  # the features of a model
    almost = called.copy()
    almost[4] = "MT-CO1"
    assert may_be_positions(called, almost)
    assert not may_be_positions(called, called[::-1])  # another order than by position
    assert not may_be_positions(called, called[::3])
    assert not may_be_positions(array("CD3D", "CD8A"), called)


@pytest.mark.parametrize("form", ["GENE{:03d}", "CD{}", "gene_{}_a", "LOC{}", "KRT{}"])
def test_names_with_numbers_are_names(form):
    called = array(*[form.format(i) for i in range(50)])
    assert not may_be_positions(called, called)


def test_ids_and_symbols_in_one_name_come_apart():
    names = array("ENSG00000000003.14_TSPAN6", "HLA-A|ENSG00000206503", "ENSG00000002586.20_PAR_Y", None, "x")
    parts = {where: some.tolist() for where, some in parts_of(names[:3]).items()}
    assert parts == {"ids": ["ENSG00000000003.14", "ENSG00000206503", None], "symbols": ["TSPAN6", "HLA-A", None]}
    assert parts_of(names) == {}  # less than half


@pytest.mark.parametrize(
    "name",
    [
        "TP53 (ENSG00000141510)",
        "TP53(ENSG00000141510)",
        "TP53..ENSG00000141510",
        "TP53..ENSG00000141510.",  # make.names() of R
        "TP53 ENSG00000141510",
        "ENSG00000141510 (TP53)",
        " ENSG00000141510|TP53 ",
        "b'TP53_ENSG00000141510'",
    ],
)
def test_ids_and_symbols_may_be_joined_in_many_ways(name):
    assert {where: some.tolist() for where, some in parts_of(array(name)).items()} == {
        "ids": ["ENSG00000141510"],
        "symbols": ["TP53"],
    }


@pytest.mark.parametrize(
    "spellings",
    [
        ["ENSG00000000003", "ENSG00000000003.14_4", "ENSG00000000003.14-4", "GRCh38_ENSG00000000003.2"],
        ["ENSG00000002586.20_PAR_Y", "ENSG00000002586_PAR_Y", "ENSG00000002586.18-PAR-Y"],
        ["HLA-A", "HLA.A", "hla-a"],  # make.names() of R
        ["7SK", "X7SK"],
        ["RP11-34P13.7", "RP11.34P13.7"],
        ["TP53", "GRCh38_TP53", "hg19-TP53", "human_TP53", "GRCH38___TP53"],
        ["TP53", "GRCh38-2020-A_TP53", "hg19-3.0.0_premrna_TP53", "GRCh38_premrna-TP53", "GRCh38-1.2.0_TP53"],
        ["chr1:10-20", "chr1-10-20", "chr1_10_20", "CHR1:10-20", "1:10-20"],
        ["chrUn_KI270442v1:10-20", "chrUn_KI270442v1-10-20"],
        ["ENSG00000141510", "ENSG00000141510.16", "ensg00000141510.2"],
        ["ENSMUSG00000059552.8", "ENSMUSG00000059552"],
        ["TP53", "tp53", "Tp53", " TP53 ", "rna_TP53", "sct_TP53", "b'TP53'", 'b"TP53"', '"TP53"'],
        ["ENSG00000141510", "gene:ENSG00000141510", "rna_ENSG00000141510.3", "ENSG00000141510 "],
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
        (["ACTB", "Actb"], ["mm10___Actb", "GRCh38_ACTB"], [1, 0]),  # of two genomes, by case
        (["HLA-A", "HLA.A"], ["HLA_A"], [-1, -1]),
        (["TP53", None], [None, "TP53"], [1, -1]),  # None is no name
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


@pytest.mark.parametrize(
    "name, expected",
    [
        ("GRCh38_chr1", ("grch38", "GRCh38_", "chr1")),
        ("hg38-chr1-10-20", ("grch38", "hg38-", "chr1-10-20")),
        ("mm10___Trp53", ("grcm38", "mm10___", "Trp53")),
        ("hg19-3.0.0_premrna_TP53", ("grch37", "hg19-3.0.0_premrna_", "TP53")),
        ("chr1:10-20", ("", "", "chr1:10-20")),
        ("MM1", ("", "", "MM1")),
    ],
)
def test_the_genome_in_front_is_split_off(name, expected):
    assert split_genome(name) == expected


@pytest.mark.parametrize("between", [".", "/", ",", ".7."])
def test_id_and_symbol_with_any_sign_between(between):
    names = np.array([f"ENSG0000014151{i}{between}GENE{i}" for i in range(3)], object)
    assert {key: part.tolist() for key, part in parts_of(names).items()}["symbols"] == ["GENE0", "GENE1", "GENE2"]


def test_ids_are_told_from_symbols():
    ids = np.array(["ENSG00000141510.12", "GRCh38_ENSG00000141510", "ENSG00000012048_BRCA1", None, "MT-CO1"], object)
    assert are_ids(ids)
    assert not are_ids(np.array(["TP53", "BRCA1", "ENSG00000141510"], object))
