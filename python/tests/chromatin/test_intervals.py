"""Interval tables against plain loops over single bases and pairs."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepscore.chromatin import intervals as iv
from deepscore.errors import EngineError, InputError

SPELLINGS = {"1": ["chr1", "1", "Chr1", "CHR1"], "X": ["chrX", "X"], "MT": ["chrM", "MT", "M", "chrMT"]}


def table(*rows):
    chrom, start, end = zip(*rows, strict=True) if rows else ((), (), ())
    return pd.DataFrame(
        {"chrom": np.array(chrom, object), "start": np.array(start, np.int64), "end": np.array(end, np.int64)}
    )


@st.composite
def tables(draw, least=0):
    interval = st.tuples(
        st.sampled_from([name for names in SPELLINGS.values() for name in names]), st.integers(0, 40), st.integers(1, 9)
    )
    rows = draw(st.lists(interval, min_size=least, max_size=12))
    return table(*[(chrom, start, start + width) for chrom, start, width in rows])


def key(name):
    return next(key for key, names in SPELLINGS.items() if name in names)


def rows_of(intervals):
    return [(key(chrom), start, end) for chrom, start, end in intervals[["chrom", "start", "end"]].values.tolist()]


def merged_by_bases(sets):
    """Join intervals base by base: two neighbouring bases belong together unless only borders lie between them."""
    found = []
    for chrom in SPELLINGS:
        groups = []  # of (start, end, sets), joined until nothing changes
        for i, one in enumerate(sets):
            groups += [(start, end, {i}) for name, start, end in rows_of(one) if name == chrom]
        changed = True
        while changed:
            changed = False
            for a in range(len(groups)):
                for b in range(a + 1, len(groups)):
                    (s1, e1, i1), (s2, e2, i2) = groups[a], groups[b]
                    if s1 <= e2 and s2 <= e1:
                        groups[a] = (min(s1, s2), max(e1, e2), i1 | i2)
                        del groups[b]
                        changed = True
                        break
                if changed:
                    break
        found += [(chrom, start, end, len(members)) for start, end, members in sorted(groups, key=lambda g: g[0])]
    return found


@settings(deadline=None, max_examples=60)
@given(tables(), tables())
def test_overlaps_equal_the_loop_over_pairs(a, b):
    expected = [
        [c1 == c2 and bool(set(range(s1, e1)) & set(range(s2, e2))) for c2, s2, e2 in rows_of(b)]
        for c1, s1, e1 in rows_of(a)
    ]
    found = iv.overlaps(a, b)
    assert found.shape == (len(a), len(b))
    assert found.dtype == np.float32
    assert found.has_canonical_format
    assert found.toarray().tolist() == np.array(expected, float).reshape(found.shape).tolist()


@settings(deadline=None, max_examples=60)
@given(st.lists(tables(), min_size=1, max_size=3))
def test_merge_equals_the_loop(sets):
    found = iv.merge(sets)
    assert list(found.columns) == ["chrom", "start", "end", "sets"]
    assert [(*row, n) for row, n in zip(rows_of(found), found["sets"], strict=True)] == merged_by_bases(sets)
    first = {}
    for one in sets:
        for name in one["chrom"]:
            first.setdefault(key(name), name)
    assert all(first[key(name)] == name for name in found["chrom"])


def test_touching_nested_and_repeated_intervals():
    a = table(("chr1", 10, 20), ("chr1", 10, 20), ("chr1", 12, 15), ("chr1", 30, 31))
    b = table(("1", 20, 25), ("1", 26, 28), ("2", 10, 20))
    assert iv.merge([a, b]).values.tolist() == [
        ["chr1", 10, 25, 2],
        ["chr1", 26, 28, 1],
        ["chr1", 30, 31, 1],
        ["2", 10, 20, 1],
    ]
    assert iv.overlaps(a, b).nnz == 0  # touching shares no base
    assert iv.overlaps(a, a).toarray().tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]]


def test_overlaps_ignores_the_index_of_a_table():
    a = table(("chr1", 0, 5), ("chr1", 10, 20))
    assert iv.overlaps(a[1:], a).toarray().tolist() == [[0, 1]]


@pytest.mark.parametrize(
    "name, expected",
    [
        ("chr1:10-20", ("chr1", 10, 20)),
        ("chr1-10-20", ("chr1", 10, 20)),
        ("chr1_10_20", ("chr1", 10, 20)),
        ("1:10-20", ("1", 10, 20)),
        ("chrUn_GL000220v1:1-5", ("chrUn_GL000220v1", 1, 5)),
        ("chr1_KI270706v1_random-7-9", ("chr1_KI270706v1_random", 7, 9)),
        ("GL000220.1-0-9", ("GL000220.1", 0, 9)),
        ("HLA-A_3_4", ("HLA-A", 3, 4)),
    ],
)
def test_spellings_of_peaks(name, expected):
    found = iv.parse_peaks([name])
    assert tuple(found.loc[0]) == expected
    assert found.dtypes[["start", "end"]].tolist() == [np.int64, np.int64]
    assert iv.peak_names(found).tolist() == [f"{expected[0]}:{expected[1]}-{expected[2]}"]


def test_invalid_peaks_are_listed():
    bad = ["CD3E", "chr1:20-10", "chr1:5-5", "chr1", "chr1:1-1e3", "", f"chr1:1-{10**20}"]
    with pytest.raises(InputError, match=r"7 of 8 .*CD3E, chr1:20-10, chr1:5-5, chr1, chr1:1-1e3\)") as caught:
        iv.parse_peaks(["chr1:1-2", *bad])
    assert caught.value.code == "invalid_peaks"


def test_no_peaks_are_an_empty_table():
    assert iv.parse_peaks([]).shape == (0, 3)
    assert iv.merge([iv.parse_peaks([])]).shape == (0, 4)


def test_keys_and_standard_chromosomes():
    standard = ["chr1", "Chr22", "X", "chrY", "chrM", "MT", "2L", "chr3R", "chrIV", "XVI", "chrZ", "W", "chr2A", "38"]
    scaffolds = ["chrUn_GL000220v1", "chr1_KI270706v1_random", "GL000220.1", "chrEBV", "JH584304.1", "KI270728.1"]
    assert iv.is_standard(pd.Series(standard)).all()
    assert not iv.is_standard(pd.Series(scaffolds)).any()
    for expected, names in SPELLINGS.items():
        assert set(iv.chromosome_keys(pd.Series(names))) == {expected}
    keys = iv.chromosome_keys(pd.Series(["chr2", "2"], index=[5, 7], dtype="category"))
    assert keys.to_dict() == {5: "2", 7: "2"}
    assert iv.chromosome_keys(pd.Series(["chrUn_KI270742v1", "chrUn-KI270742v1"])).nunique() == 1  # Seurat's spelling


def test_natural_order_of_chromosomes():
    human = ["chrUn_b", "chrY", "chr10", "chrM", "chrX", "chr2", "chr1", "chrUn_a"]
    merged = iv.merge([table(*[(name, 1, 2) for name in human])])
    assert merged["chrom"].tolist() == ["chr1", "chr2", "chr10", "chrX", "chrY", "chrM", "chrUn_a", "chrUn_b"]
    yeast = ["chrX", "chrIX", "chrV", "chrI", "chrII", "chrXI", "chrM"]
    merged = iv.merge([table(*[(name, 1, 2) for name in yeast])])
    assert merged["chrom"].tolist() == ["chrI", "chrII", "chrV", "chrIX", "chrX", "chrXI", "chrM"]


# The lengths are those that UCSC publishes for chromosome 1 and for chrM.
@pytest.mark.parametrize(
    "names, expected",
    [
        (["chr1:249250600-249250621"], ["hg19"]),
        (["1:248956400-248956422"], ["hg19", "hg38"]),
        (["chr1:1-248956423"], ["hg19"]),
        (["chr1:1-10", "chr22:1-10"], ["hg19", "hg38", "hs1"]),
        (["chr14:125194000-125194864"], ["mm9"]),
        (["chr14:107400000-107400001", "MT:1-16299"], ["mm9", "mm10", "mm39"]),
        (["chr1:1-10", "chrUn_x:1-999999999"], ["hg19", "hg38", "hs1", "mm9", "mm10", "mm39"]),
        (["chr40:1-10"], []),
        (["chrUn_x:1-10"], []),
    ],
)
def test_possible_builds(names, expected):
    assert iv.possible_builds(iv.parse_peaks(names)) == expected


def test_chromosomes_of_several_genomes_are_apart():
    both, bare = iv.parse_peaks(["GRCh38_chr1:10-20", "mm10-chr1-15-30"]), table(("chr1", 12, 18))
    assert iv.peak_names(both).tolist() == ["GRCh38_chr1:10-20", "mm10-chr1:15-30"]
    assert iv.overlaps(both, both).toarray().tolist() == [[1, 0], [0, 1]]
    assert len(iv.merge([both, both])) == 2
    human = table(("hg38_1", 12, 18))
    assert iv.overlaps(both, human).toarray().tolist() == [[1], [0]]
    iv.require_common_chromosomes(both, human, "A", "B")
    assert iv.overlaps(human, bare).toarray().tolist() == [[1]]  # of one genome
    with pytest.raises(InputError, match=r"GRCh38_chr1, mm10-chr1 against chr1.*keep those of one genome") as caught:
        iv.require_common_chromosomes(both, bare, "A", "B")
    assert caught.value.code == "no_common_chromosomes"
    assert iv.is_standard(both["chrom"]).tolist() == [True, True]


@pytest.mark.parametrize(
    "text",
    [
        "chr1\t5\t9\nchr2\t1\t2\n",
        "# id=sample\n\nseqnames\tstart\tend\twidth\nchr1\t5\t9\t4\nchr2\t1\t2\t1\n",
        '"chr"\t"start"\t"end"\n"chr1"\t5\t9\n"chr2"\t1\t2\n',
        "chr1:5-9\n\nchr2:1-2\n",
        '"chr1-5-9"\n"chr2-1-2"\n',
        "chr1 5 9\nchr2 1 2",
    ],
)
def test_files_of_peaks_in_several_forms(tmp_path, text):
    (tmp_path / "peaks.bed").write_text(text)
    assert iv.peak_names(iv.read_bed(tmp_path / "peaks.bed")).tolist() == ["chr1:5-9", "chr2:1-2"]


@pytest.mark.parametrize(
    ("text", "told"), [("", "holds no intervals"), ("# a\n", "holds no intervals"), ("chr1,5,9\n", "chr1,5,9")]
)
def test_files_that_hold_no_peaks(tmp_path, text, told):
    (tmp_path / "peaks.bed").write_text(text)
    with pytest.raises(InputError, match=told) as caught:
        iv.read_bed(tmp_path / "peaks.bed")
    assert caught.value.code == "invalid_peaks"


def test_tables_without_a_common_chromosome():
    a, b = table(("chr1", 1, 2), ("chr2", 1, 2)), table(("NC_1", 1, 2))
    iv.require_common_chromosomes(a, table(("2", 1, 2)), "A", "B")
    with pytest.raises(InputError, match=r"A and B .*chr1, chr2 against NC_1") as caught:
        iv.require_common_chromosomes(a, b, "A", "B")
    assert caught.value.code == "no_common_chromosomes"


def test_bioframe_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "bioframe", None)
    with pytest.raises(EngineError, match=r"pip install bioframe\.") as caught:
        iv.overlaps(table(("1", 1, 2)), table(("1", 1, 2)))
    assert caught.value.code == "missing_package"
