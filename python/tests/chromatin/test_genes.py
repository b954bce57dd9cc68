from __future__ import annotations

import gzip
import logging
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepscore.chromatin.genes import TABLE_COLUMNS, gene_ids, gene_types, read_annotation
from deepscore.chromatin.intervals import chromosome_keys
from deepscore.errors import DeepScoreError, InputError

DATA = Path(os.environ.get("DEEPSCORE_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")

GTF = """#!genome-build GRCh38
chr1\tHAVANA\tgene\t11\t20\t.\t+\t.\tgene_id "ENSG01.5"; gene_type "lncRNA"; gene_name "DDX11L1"; level 2;
chr1\tHAVANA\ttranscript\t11\t15\t.\t+\t.\tgene_id "ENSG01.5"; transcript_id "ENST01"; gene_name "DDX11L1";
chr1\tHAVANA\texon\t11\t12\t.\t+\t.\tgene_id "ENSG01.5"; transcript_id "ENST01"; gene_name "DDX11L1";
chr2\tENSEMBL\tgene\t100\t100\t.\t-\t.\tgene_id "ENSG02.1"; gene_type "protein_coding"; note "has # in it; and more";
chrX\tHAVANA\tgene\t5\t9\t.\t+\t.\tgene_id "ENSG03.1"; gene_type "protein_coding"; gene_name "PLCXD1";
chrY\tHAVANA\tgene\t5\t9\t.\t+\t.\tgene_id "ENSG03.1_PAR_Y"; gene_type "protein_coding"; gene_name "PLCXD1";
"""
GFF3 = """##gff-version 3
##sequence-region   1 1 248956422
1\tGRCh38\tchromosome\t1\t248956422\t.\t.\t.\tID=chromosome:1;Alias=CM000663.2
###
1\thavana\tncRNA_gene\t11\t20\t.\t+\t.\tID=gene:ENSG01;Name=A%2CB;biotype=lncRNA;description=x%3B y # z;gene_id=ENSG01
1\thavana\tlnc_RNA\t11\t20\t.\t+\t.\tID=transcript:ENST01;Parent=gene:ENSG01;Name=A-201;transcript_id=ENST01
1\tensembl\tgene\t31\t40\t.\t-\t.\tID=gene:ENSG02;biotype=protein_coding
1\thavana\tpseudogene\t51\t60\t.\t?\t.\tID=gene:ENSG03;Name=WASH7P;biotype=pseudogene
##FASTA
>1
ACGT
"""
BED = """track name="genes" description="some"
#chrom\tstart\tend\tname\tscore\tstrand
chr1\t10\t20\tXkr4\t0\t-
chr1\t30\t40\tRp1\t0\t+
chr2\t0\t5\tSox17\t0\t.
"""


def rows(genes):
    return list(genes.drop(columns="gene_id", errors="ignore").itertuples(index=False, name=None))


def write(folder, name, text, packed=False):
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return path


def table(*loci):
    return pd.DataFrame(loci, columns=["chrom", "start", "end", "gene", "strand"])


def code_of(source, **options):
    with pytest.raises(DeepScoreError) as refused:
        read_annotation(source, **options)
    return refused.value.code


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["a.gtf", "a.gtf.gz", "annotation", "a.txt"])
def test_gtf_gives_genes_from_0_and_half_open(tmp_path, name, packed):
    genes = read_annotation(write(tmp_path, name, GTF, packed))
    assert rows(genes) == [
        ("chr1", 10, 20, "DDX11L1", "+"),
        ("chr2", 99, 100, "ENSG02.1", "-"),
        ("chrX", 4, 9, "PLCXD1", "+"),
    ]
    assert genes.dtypes[["start", "end"]].tolist() == [np.int64, np.int64]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["a.gff3", "a.gff.gz", "annotation"])
def test_gff3_gives_its_three_types_of_genes_with_decoded_names(tmp_path, name, packed):
    assert rows(read_annotation(str(write(tmp_path, name, GFF3, packed)))) == [
        ("1", 10, 20, "A,B", "+"),
        ("1", 30, 40, "ENSG02", "-"),
        ("1", 50, 60, "WASH7P", "."),
    ]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["a.bed", "a.bed.gz", "annotation"])
def test_bed_is_taken_as_it_is(tmp_path, name, packed):
    expected = [("chr1", 10, 20, "Xkr4", "-"), ("chr1", 30, 40, "Rp1", "+"), ("chr2", 0, 5, "Sox17", ".")]
    assert rows(read_annotation(write(tmp_path, name, BED, packed))) == expected
    wide = "".join(f"{line}\t1\t2\t0,0,0\n" for line in BED.splitlines()[2:])
    assert rows(read_annotation(write(tmp_path, name, wide, packed))) == expected
    windows = BED.replace("\n", "\r\n")
    assert rows(read_annotation(write(tmp_path, name, windows, packed))) == expected
    narrow = "".join("\t".join(line.split("\t")[:4]) + "\n" for line in BED.splitlines()[2:])
    assert rows(read_annotation(write(tmp_path, name, narrow, packed))) == [(*row[:4], ".") for row in expected]


def test_a_table_is_taken_as_it_is():
    expected = [("chr1", 10, 20, "A", "+"), ("2", 0, 5, "B", "-"), ("X", 7, 9, "C", ".")]
    given_ = table(*expected)
    before = given_.copy()
    assert rows(read_annotation(given_)) == expected
    assert rows(read_annotation(given_.rename(columns={"gene": "name"}).set_index(pd.Index([5, 5, 5])))) == expected
    assert rows(read_annotation(given_.assign(strand=[1, -1, 0]).astype({"strand": str}).replace("0", "*"))) == expected
    assert rows(read_annotation(given_.astype({"chrom": "category", "gene": "category"}))) == expected
    assert rows(read_annotation(given_.drop(columns="strand"))) == [(*row[:4], ".") for row in expected]
    pd.testing.assert_frame_equal(given_, before)


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["exon", "exon", "gene", "gene"], [("1", 90, 99, "B", "+"), ("1", 10, 99, "A", "+")]),
        (["exon", "exon", "exon", "CDS"], [("1", 10, 40, "A", "+"), ("1", 90, 99, "B", "+")]),
        (["transcript", "transcript", "exon", "exon"], [("1", 10, 40, "A", "+")]),
        (["ncRNA_gene", None, "pseudogene", "CDS"], [("1", 10, 20, "A", "+"), ("1", 90, 99, "B", "+")]),
        (["cds", "utr", "cds", "gap"], [("1", 10, 99, "A", "+"), ("1", 90, 99, "B", "+")]),
    ],
)
def test_a_table_with_types_is_read_like_a_file(kinds, expected):
    """Of types that are not known, as without any, what has one gene_id is one gene."""
    loci = table(("1", 10, 20, "A", "+"), ("1", 30, 40, "A", "+"), ("1", 90, 99, "B", "+"), ("1", 10, 99, "A", "+"))
    loci = loci.rename(columns={"gene": "gene_name"}).assign(gene_id=["E1", "E1", "E2", "E1"])
    assert rows(read_annotation(loci.assign(type=kinds))) == expected
    if kinds[0] == "cds":
        assert rows(read_annotation(loci)) == expected


def test_copies_in_a_table_whose_gene_id_is_the_name_are_no_gene_across_them():
    loci = table(("1", 10, 20, "MIR1", "+"), ("1", 9010, 9020, "MIR1", "+"), ("1", 100, 120, "SOX2", "+"))
    loci["gene_id"] = loci["gene"]
    assert rows(read_annotation(loci)) == [("1", 100, 120, "SOX2", "+")]
    exons = loci.assign(type="exon", transcript_id=["NR_1", "NR_1_dup1", "NM_1"])
    assert rows(read_annotation(exons)) == [("1", 100, 120, "SOX2", "+")]


def test_a_name_in_a_table_is_taken_from_where_it_is():
    loci = pd.DataFrame({"chrom": "1", "start": [0, 20, 40, 60], "end": [9, 29, 49, 69]})
    loci = loci.assign(Name=["A", None, "", pd.NA], gene_id=["E1", "E2", "E3", None], ID=["gene:E9"] * 4)
    assert read_annotation(loci)["gene"].tolist() == ["A", "E2", "E3", "E9"]
    loci = loci.assign(gene_type=[None, "x", "y", "y"], biotype="x")
    assert read_annotation(loci, biotypes=["x"])["gene"].tolist() == ["A", "E2"]


def test_the_types_that_tell_genes():
    assert gene_types(["exon", "pseudogene", "transcript"]) == ("gene", "ncRNA_gene", "pseudogene")
    assert gene_types(["exon", "CDS", "transcript"]) == ("transcript",)
    assert gene_types(iter(["exon", "CDS"])) == ("exon",)
    assert gene_types(["cds"]) == gene_types([]) == ()


@pytest.mark.parametrize("kind", ["gene", "Gene", "PSEUDOGENE", "NCRNA_gene", "Transcript", "EXON"])
@pytest.mark.parametrize("key", ["gene_symbol", "GENE_SYMBOL", "GENE_NAME", "gene_name"])
@pytest.mark.parametrize("quote", ["'", '"'])
def test_types_and_keys_may_be_in_capitals_and_genes_have_symbols(tmp_path, kind, key, quote):
    text = f"2L\tFlyBase\t{kind}\t11\t20\t.\t+\t.\tgene_id {quote}FBgn1{quote}; {key} {quote}dpp{quote};\n"
    found = read_annotation(write(tmp_path, "fly.gtf", text))
    assert rows(found) == [("2L", 10, 20, "dpp", "+")]
    assert found["gene_id"].tolist() == ["FBgn1"]
    table = pd.DataFrame({"chrom": "2L", "start": [10], "end": [20], "strand": "+", "type": kind, "gene_symbol": "dpp"})
    assert rows(read_annotation(table)) == [("2L", 10, 20, "dpp", "+")]


def test_every_column_that_a_table_may_have_is_listed_once():
    assert len(set(TABLE_COLUMNS)) == len(TABLE_COLUMNS)
    assert {"chrom", "start", "end", "strand", "type", "gene", "gene_id", "biotype"} < set(TABLE_COLUMNS)


@pytest.mark.parametrize("kind", ["transcript", "exon"])
def test_without_genes_transcripts_or_exons_are_joined_per_gene_id(tmp_path, kind):
    text = "".join(
        f'chr1\tx\t{kind}\t{start}\t{end}\t.\t-\t.\tgene_id "{gene}"; transcript_id "t{start}"; gene_name "N{gene}";\n'
        for start, end, gene in [(11, 20, "g1"), (101, 120, "g1"), (51, 60, "g2"), (55, 58, "g2")]
    )
    text += 'chr1\tx\tCDS\t1\t5\t.\t-\t0\tgene_id "g1"; gene_name "Ng1";\n'
    found = read_annotation(write(tmp_path, "a.gtf", text))
    assert rows(found) == [("chr1", 10, 120, "Ng1", "-"), ("chr1", 50, 60, "Ng2", "-")]


def test_exons_of_far_copies_that_share_their_gene_id_are_no_gene_across_them(tmp_path):
    """In GTF files of UCSC the gene_id is the name, and copies of a gene share it."""
    text = "".join(
        f'chr1\tx\texon\t{start}\t{end}\t.\t+\t.\tgene_id "{g}"; transcript_id "{t}"; gene_name "{g}";\n'
        for start, end, g, t in [
            (11, 20, "MIR1", "NR_1"),
            (9011, 9020, "MIR1", "NR_1_dup1"),
            (101, 120, "SOX2", "NM_1"),
            (301, 320, "SOX2", "NM_1"),
            (201, 250, "SOX2", "NM_2"),
        ]
    )
    assert rows(read_annotation(write(tmp_path, "a.gtf", text))) == [("chr1", 100, 320, "SOX2", "+")]


def test_names_of_ncbi_and_gencode_gff3(tmp_path):
    text = (
        "chr1\tx\tgene\t1\t9\t.\t+\t.\tID=gene-TP53;Dbxref=GeneID:1;Name=TP53;gbkey=Gene;gene=TP53;gene_biotype=y\n"
        "chr1\tx\tgene\t21\t29\t.\t+\t.\tID=ENSG1.4;gene_id=ENSG1.4;gene_type=y;gene_name=MYC\n"
        "chr1\tx\tgene\t31\t39\t.\t+\t.\tID=only-this\n"
        "chr1\tx\tgene\t41\t49\t.\t+\t.\tnote=nameless\n"
    )
    path = write(tmp_path, "a.gff3", text)
    assert list(read_annotation(path)["gene"]) == ["TP53", "MYC", "only-this"]
    assert list(read_annotation(path, biotypes=["y"])["gene"]) == ["TP53", "MYC"]


def test_only_the_wanted_biotypes_are_kept(tmp_path):
    for name, text, wanted, genes in [
        ("a.gtf", GTF, ["protein_coding"], ["ENSG02.1", "PLCXD1"]),
        ("a.gtf", GTF, "protein_coding", ["ENSG02.1", "PLCXD1"]),
        ("a.gff3", GFF3, ["lncRNA", "pseudogene"], ["A,B", "WASH7P"]),
    ]:
        assert list(read_annotation(write(tmp_path, name, text), biotypes=wanted)["gene"]) == genes
    some = table(("1", 1, 2, "A", "+"), ("1", 4, 5, "B", "+")).assign(gene_type=["x", "y"])
    assert list(read_annotation(some, biotypes=["y"])["gene"]) == ["B"]


@pytest.mark.parametrize(
    ("loci", "expected"),
    [
        ([("1", 0, 10, "A", "+"), ("1", 5, 20, "A", "+")], [("1", 0, 20, "A", "+")]),
        ([("1", 0, 10, "A", "."), ("1", 5, 20, "A", "-")], [("1", 0, 20, "A", "-")]),
        ([("1", 0, 50, "A", "+"), ("1", 5, 8, "A", "+"), ("1", 40, 60, "A", "+")], [("1", 0, 60, "A", "+")]),
        ([("1", 0, 10, "A", "+"), ("1", 10, 20, "A", "+")], []),  # touching is not overlapping
        ([("1", 0, 10, "A", "+"), ("1", 5, 20, "A", "-")], []),  # both strands
        ([("1", 0, 10, "A", "+"), ("2", 5, 20, "A", "+")], []),
        ([("chrX", 0, 10, "A", "+"), ("chrY", 5, 20, "A", "-")], [("chrX", 0, 10, "A", "+")]),
        ([("Y", 5, 20, "A", "+"), ("X", 0, 10, "A", "+")], [("X", 0, 10, "A", "+")]),
        ([("X", 0, 10, "A", "+"), ("X", 20, 30, "A", "+"), ("Y", 5, 20, "A", "+")], []),
        ([("X", 0, 10, "A", "+"), ("1", 20, 30, "A", "+"), ("Y", 5, 20, "A", "+")], []),
        ([("chr6_GL000250v2_alt", 0, 9, "A", "+"), ("chr6", 5, 20, "A", "+")], [("chr6", 5, 20, "A", "+")]),
        ([("GL000192.1", 0, 9, "A", "+"), ("KI270713.1", 5, 20, "A", "+")], []),
        ([("GL000192.1", 3, 9, "A", "+")], [("GL000192.1", 3, 9, "A", "+")]),
    ],
)
def test_one_row_per_gene(loci, expected):
    other = ("7", 1, 2, "other", ".")
    assert rows(read_annotation(table(*loci, other))) == [*expected, other]


def by_pairs(loci):
    """Apply the rules pair by pair, name by name."""
    names = list(dict.fromkeys(name for *_, name, _ in loci))
    found = []
    for name in names:
        groups = [[locus] for locus in loci if locus[3] == name]
        joined = True
        while joined:
            joined = False
            for i, one in enumerate(groups):
                for other in groups[i + 1 :]:
                    if any(a[0] == b[0] and a[1] < b[2] and b[1] < a[2] for a in one for b in other):
                        groups.remove(other)
                        one.extend(other)
                        joined = True
                        break
                if joined:
                    break
        if sorted(group[0][0] for group in groups) == ["chrX", "chrY"]:
            groups = [group for group in groups if group[0][0] == "chrX"]
        strands = {locus[4] for locus in groups[0]} - {"."}
        if len(groups) == 1 and len(strands) < 2:
            (group,) = groups
            ends = min(locus[1] for locus in group), max(locus[2] for locus in group)
            found.append((group[0][0], *ends, name, strands.pop() if strands else "."))
    return found


LOCUS = st.tuples(
    st.sampled_from(["chr1", "chrX", "chrY"]),
    st.integers(0, 25),
    st.integers(1, 12),
    st.sampled_from(["A", "B", "C"]),
    st.sampled_from(["+", "+", "-", "."]),
).map(lambda locus: (locus[0], locus[1], locus[1] + locus[2], *locus[3:]))


@given(st.lists(LOCUS, min_size=1, max_size=10))
def test_any_loci_are_joined_as_pair_by_pair(loci):
    anchor = ("chr9", 0, 1, "anchor", "+")
    assert sorted(rows(read_annotation(table(*loci, anchor)))) == sorted([*by_pairs(loci), anchor])


UNNAMED = "".join(
    f'chr1\tx\tgene\t{start}\t{start + 9}\t.\t+\t.\tgene_id "E{start}"; gene_name "{name}"; gene_type "x";\n'
    for start, name in [(11, "."), (31, "NA"), (51, "nan"), (71, ""), (91, "NAT1"), (111, "-"), (131, "A; gene_name B")]
)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", ["a.gtf", "a.gtf.bgz", "annotation.bgz"])
def test_genes_without_a_name_go_by_their_id(tmp_path, name, end, packed):
    found = read_annotation(write(tmp_path, name, UNNAMED.replace("\n", end), packed))
    assert found["gene"].tolist() == ["E11", "E31", "E51", "E71", "NAT1", "E111", "A; gene_name B"]
    assert found["gene_id"].tolist() == ["E11", "E31", "E51", "E71", "E91", "E111", "E131"]


def test_genes_without_a_name_in_tables_and_bed_files(tmp_path):
    loci = table(("1", 10, 20, ".", "+"), ("1", 30, 40, "NA", "+"), ("1", 50, 60, "C", "+"), ("1", 70, 80, None, "+"))
    assert read_annotation(loci)["gene"].tolist() == ["C"]
    ids = ["E1", "E2", "E3", "NA"]
    assert read_annotation(loci.assign(gene_id=ids, type="gene"))["gene"].tolist() == ["E1", "E2", "C"]
    text = "".join(f"{row[0]}\t{row[1]}\t{row[2]}\t{row[3] or '.'}\n" for row in loci.itertuples(index=False))
    assert read_annotation(write(tmp_path, "a.bed", text))["gene"].tolist() == ["C"]


def test_genes_by_their_ids(tmp_path):
    found = read_annotation(write(tmp_path, "a.gtf", GTF), names="gene_id")
    assert found["gene"].tolist() == ["ENSG01.5", "ENSG02.1", "ENSG03.1", "ENSG03.1_PAR_Y"]
    assert found["gene_id"].tolist() == found["gene"].tolist()
    found = read_annotation(write(tmp_path, "a.gff3", GFF3), names="gene_id")
    assert found["gene"].tolist() == ["ENSG01", "ENSG02", "ENSG03"]  # one has a gene_id, the others an ID
    exons = GTF.replace("\tgene\t", "\tCDS\t").replace("\ttranscript\t", "\tCDS\t")
    found = read_annotation(write(tmp_path, "b.gtf", exons), names="gene_id")
    assert rows(found) == [("chr1", 10, 12, "ENSG01.5", "+")]
    loci = table(("1", 10, 20, "A", "+"), ("2", 30, 40, "A", "+"), ("3", 1, 9, "B", "+"))
    assert read_annotation(loci.assign(gene_id=["E1", "E2", None]), names="gene_id")["gene"].tolist() == ["E1", "E2"]
    assert code_of(loci, names="gene_id") == "annotation_without_genes"
    assert code_of(write(tmp_path, "c.bed", BED), names="gene_id") == "annotation_without_genes"
    assert code_of(loci, names="id") == "bad_argument"


def test_ids_beside_names(tmp_path):
    genes = read_annotation(write(tmp_path, "a.gtf", GTF))
    assert gene_ids(genes, np.array(["PLCXD1", "DDX11L1"], dtype=object)).tolist() == ["ENSG03.1", "ENSG01.5"]
    loci = table(("1", 10, 20, "A", "+"), ("1", 30, 40, "B", "+"))
    assert gene_ids(read_annotation(loci), np.array(["A"], dtype=object)) is None
    some = read_annotation(loci.assign(gene_id=["E1", None], type="gene"))
    assert gene_ids(some, np.array(["B", "A"], dtype=object)).tolist() == ["", "E1"]


def test_attributes_that_cannot_be_told_apart_are_refused(tmp_path):
    text = 'chr1\tx\tgene\t11\t20\t.\t+\t.\tgene_id "E1" gene_name "A"\n'
    assert code_of(write(tmp_path, "a.gtf", text)) == "annotation_format"


@pytest.mark.parametrize(("name", "text"), [("a.gtf", GTF), ("a.gff3", GFF3), ("a.bed", BED), ("a", GTF)])
def test_files_with_zero_bytes_are_refused(tmp_path, name, text):
    assert code_of(write(tmp_path, name, text[:90] + "\0" + text[90:])) == "annotation_format"
    (tmp_path / name).write_bytes(text.encode("utf-16"))
    assert code_of(tmp_path / name) == "annotation_format"


def test_a_long_line_is_quoted_in_short(tmp_path):
    with pytest.raises(InputError) as refused:
        read_annotation(write(tmp_path, "a.gtf", "\x1b[2J" + "x" * 10**6))
    assert len(str(refused.value)) < 500
    assert "\x1b" not in str(refused.value)


def test_what_is_left_out_is_logged(caplog):
    with caplog.at_level(logging.INFO, "deepscore"):
        read_annotation(table(("1", 0, 9, "A", "+"), ("2", 0, 9, "A", "+"), ("3", 0, 9, "B", "+")))
    assert "1 gene names are left out" in caplog.text
    assert "(A)" in caplog.text


def test_a_missing_file_is_refused(tmp_path):
    assert code_of(tmp_path / "none.gtf") == "file_not_found"
    assert code_of(tmp_path) == "file_not_found"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.gtf", "chr1\tx\tgene\t10\t20\n"),  # columns are missing
        ("a.bed", "chr1\t10\t20\n"),  # no names
        ("a.bed", "chr1 10 20 A 0 +\n"),
        ("a.bed", "chrom\tstart\tend\tname\n"),
        ("a.bed", "chr1\t10\t10\tA\n"),
        ("a.bed", "chr1\t1\t10\tA\t0\tforward\n"),
        ("a.gtf", GTF.replace("\t11\t20", "\tten\t20")),
        ("a.gtf", GTF.replace("\tgene\t", "\tCDS\t").replace("\t11\t15", "\tten\t15")),
        ("a.txt", "This is\ta letter\tto a friend\tof mine\n"),
        ("a.bed", "chr1\t-5\t10\tA\n"),
    ],
)
def test_other_formats_are_refused(tmp_path, name, text):
    assert code_of(write(tmp_path, name, text)) == "annotation_format"


def test_a_damaged_file_is_refused(tmp_path):
    packed = gzip.compress(GTF.encode() * 50)
    (tmp_path / "short.gtf.gz").write_bytes(packed[: len(packed) // 2])
    assert code_of(tmp_path / "short.gtf.gz") == "annotation_format"
    (tmp_path / "wrong.gtf.gz").write_bytes(packed[:-8] + b"\0" * 8)
    assert code_of(tmp_path / "wrong.gtf.gz") == "annotation_format"


def test_a_strand_that_pandas_says_is_missing_is_none():
    found = read_annotation(table(("1", 0, 9, "A", None), ("1", 20, 29, "B", "+")).convert_dtypes())
    assert found["strand"].tolist() == [".", "+"]


@pytest.mark.parametrize("missing", [None, np.nan])
def test_a_gene_whose_chromosome_is_missing_is_on_no_other(missing):
    found = read_annotation(table(("1", 0, 9, "A", "+"), (missing, 0, 9, "B", "+"), ("X", 0, 9, "C", "+")))
    assert found["gene"].tolist() == ["A", "B", "C"]
    assert found["chrom"].notna().all()
    assert chromosome_keys(found["chrom"]).is_unique


@pytest.mark.parametrize("given", [["a.gtf"], 5])
def test_what_is_no_annotation_is_refused(given):
    assert code_of(given) == "bad_argument"


def test_tables_with_other_columns_or_values_are_refused():
    good = table(("1", 0, 9, "A", "+"))
    assert code_of(good.drop(columns="gene")) == "annotation_format"
    assert code_of(good.assign(start="x")) == "annotation_format"
    assert code_of(good.assign(start=0.5)) == "annotation_format"
    assert code_of(good.assign(start=np.nan)) == "annotation_format"
    assert code_of(good.iloc[:0]) == "annotation_without_genes"
    assert code_of(good.assign(gene=np.nan)) == "annotation_without_genes"


def test_files_without_genes_are_refused_and_say_what_they_hold(tmp_path):
    cds = write(tmp_path, "a.gtf", 'chr1\tx\tCDS\t1\t9\t.\t+\t0\tgene_id "g"; gene_name "A";\n' * 3)
    with pytest.raises(InputError, match="3 CDS") as refused:
        read_annotation(cds)
    assert refused.value.code == "annotation_without_genes"
    assert code_of(write(tmp_path, "b.gtf", "# nothing\n")) == "annotation_without_genes"
    assert code_of(write(tmp_path, "b.bed", "")) == "annotation_without_genes"
    assert code_of(write(tmp_path, "c.gtf", GTF), biotypes=["snoRNA"]) == "annotation_without_genes"
    with pytest.raises(InputError, match="no biotypes"):
        read_annotation(write(tmp_path, "c.bed", BED), biotypes=["snoRNA"])


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_an_empty_file_of_unknown_kind_is_refused(tmp_path, text):
    assert code_of(write(tmp_path, "annotation", text)) in ("annotation_format", "annotation_without_genes")


@pytest.mark.parametrize(
    ("name", "n_genes", "strandless"),
    [("mm10_genes", 24_367, 0), ("hg19_genes_archr", 23_179, 0), ("hg38_genes_gencode27", 56_609, 34_399)],
)
def test_real_annotations_are_read_line_by_line(name, n_genes, strandless):
    path = DATA / f"{name}.bed.gz"
    if not path.exists():
        pytest.skip(f"{path.name} is not there (DEEPSCORE_TEST_DATA)")
    genes = read_annotation(path)
    with gzip.open(path, "rt") as lines:
        expected = [line.rstrip("\n").split("\t") for line in lines]
    assert len(genes) == n_genes
    assert (genes["strand"] == ".").sum() == strandless
    assert rows(genes) == [(f[0], int(f[1]), int(f[2]), f[3], f[5]) for f in expected]
