"""Counts from fragments against plain loops and against pysam, which reads the same file through its index."""

from __future__ import annotations

import gzip
import os
import time
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from deepscore.chromatin import fragments as module
from deepscore.chromatin.fragments import count_fragments
from deepscore.chromatin.intervals import parse_peaks
from deepscore.errors import ConfigError, InputError

SHARED = Path(os.environ.get("DEEPSCORE_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data") / "fragments"
CELLS = ["AAA-1", "CCC-1", "GGG-1"]
PEAKS = parse_peaks(["chr1:10-20", "chr1:15-40", "chr1:100-101", "chr2:0-50", "chr9:0-50"])
# Each line with the intervals (their numbers) it overlaps, and those in which its first and last base lie.
LINES = [
    ("chr1\t2\t10\tAAA-1\t1", [], []),  # touching is not overlapping
    ("chr1\t3\t11\tAAA-1\t7", [0], [0]),  # the number of read pairs is not used
    ("chr1\t5\t60\tCCC-1\t1", [0, 1], []),  # over two peaks, no end in either
    ("chr1\t12\t14\tCCC-1\t2", [0], [0, 0]),  # inside
    ("chr1\t12\t14\tCCC-1\t2", [0], [0, 0]),  # once more
    ("chr1\t16\t17\tAAA-1\t1", [0, 1], [0, 0, 1, 1]),  # one base, in intervals that overlap
    ("chr1\t20\t90\tGGG-1\t1", [1], [1]),
    ("chr1\t40\t100\tGGG-1\t1", [], []),
    ("chr1\t100\t101\tTTT-1\t1", [2], [2, 2]),  # not one of the cells
    ("chr2\t1\t200\tAAA-1\t1", [3], [3]),
    ("chr3\t1\t200\tAAA-1\t1", [], []),
]
TEXT = "".join(f"{line}\n" for line, _, _ in LINES).encode()


def expected(which):
    counts = np.zeros((len(CELLS), len(PEAKS)))
    for line in LINES:
        cell = line[0].split("\t")[3]
        for peak in line[which] if cell in CELLS else ():
            counts[CELLS.index(cell), peak] += 1
    return counts


def write(path, text, how="plain"):
    if how == "bgzip":
        with pysam.BGZFile(str(path), "wb") as file:
            file.write(text)
    else:
        path.write_bytes(gzip.compress(text, 1) if how == "gzip" else text)
    return path


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 50)


@pytest.mark.parametrize("how", ["plain", "gzip", "bgzip"])
@pytest.mark.parametrize("count, which", [("fragments", 1), ("insertions", 2)])
def test_counts_written_by_hand(tmp_path, how, count, which):
    path = write(tmp_path / "fragments.tsv", b"# id=x\n#\tchrom\n" + TEXT, how)
    found = count_fragments(path, PEAKS, CELLS, counting=count)
    assert isinstance(found, sp.csr_matrix)
    assert found.has_canonical_format
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.toarray(), expected(which))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("how", ["plain", "gzip", "bgzip"])
@pytest.mark.parametrize("count, which", [("fragments", 1), ("insertions", 2)])
def test_blocks_of_two_lines_change_nothing(tmp_path, how, count, which):
    path = write(tmp_path / "fragments.tsv", b"# id=x\n#\tchrom\n" + TEXT, how)
    found = count_fragments(str(path), PEAKS, CELLS, counting=count, progress=False)
    assert found.has_canonical_format
    np.testing.assert_array_equal(found.toarray(), expected(which))


def test_several_gzip_files_in_one(tmp_path):
    path = tmp_path / "fragments.tsv.gz"
    path.write_bytes(gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:]))
    np.testing.assert_array_equal(count_fragments(path, PEAKS, CELLS).toarray(), expected(1))


def test_four_columns_windows_lines_and_other_names_of_chromosomes(tmp_path):
    text = "".join(line.rpartition("\t")[0].removeprefix("chr") + "\r\n" for line, _, _ in LINES).encode()
    found = count_fragments(write(tmp_path / "fragments.tsv", text), PEAKS, CELLS)
    np.testing.assert_array_equal(found.toarray(), expected(1))


def test_barcodes_are_plain_text(tmp_path):
    text = b'chr1\t10\t12\t"a#1\t1\nchr1\t10\t12\tNA\t1\nchr1\t10\t12\t007\t1\n'
    found = count_fragments(write(tmp_path / "fragments.tsv", text), PEAKS, ["007", "NA", '"a#1'])
    assert found[:, 0].toarray().ravel().tolist() == [1, 1, 1]


def test_order_of_cells_and_intervals_is_kept(tmp_path):
    path = write(tmp_path / "fragments.tsv", TEXT)
    found = count_fragments(path, PEAKS[::-1], CELLS[::-1], counting="insertions")
    np.testing.assert_array_equal(found.toarray(), expected(2)[::-1, ::-1])


FRAGMENT = st.tuples(st.sampled_from("12"), st.integers(0, 50), st.integers(1, 20), st.sampled_from("abcd"))
INTERVAL = st.tuples(st.sampled_from("12"), st.integers(0, 60), st.integers(1, 15))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(FRAGMENT, min_size=1, max_size=30),
    st.lists(INTERVAL, min_size=1, max_size=8),
    st.sampled_from(["fragments", "insertions"]),
    st.integers(40, 400),
)
def test_counts_equal_the_loop(tmp_path_factory, fragments, intervals, count, size):
    fragments = sorted([*fragments, ("1", 0, 1, "a"), ("2", 0, 1, "b"), ("2", 0, 1, "c")])
    text = "".join(f"chr{c}\t{s}\t{s + w}\t{b}\t1\n" for c, s, w, b in fragments).encode()
    path = write(tmp_path_factory.mktemp("f") / "fragments.tsv", text)
    want = np.zeros((3, len(intervals)))
    for c, s, w, b in fragments:
        for i, (chrom, start, width) in enumerate(intervals):
            if b != "d" and c == chrom:
                inside = set(range(start, start + width))
                ends = (s in inside) + (s + w - 1 in inside)
                want["abc".index(b), i] += ends if count == "insertions" else bool(inside & set(range(s, s + w)))
    table = parse_peaks([f"{c}:{s}-{s + w}" for c, s, w in intervals])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_BYTES", size)
        found = count_fragments(path, table, list("abc"), counting=count)
    np.testing.assert_array_equal(found.toarray(), want)


def fetched(path, intervals, cells, count):
    """Count with pysam, interval by interval."""
    counts = np.zeros((len(cells), len(intervals)), np.float32)
    row = {cell: i for i, cell in enumerate(cells)}
    with pysam.TabixFile(str(path)) as file:
        for i, (chrom, start, end) in enumerate(intervals.values.tolist()):
            for line in file.fetch(chrom, start, end):
                _, first, last, cell, *_ = line.split("\t")
                ends = (start <= int(first) < end) + (start <= int(last) - 1 < end)
                if cell in row:
                    counts[row[cell], i] += 1 if count == "fragments" else ends
    return counts


def random_intervals(rng, chromosomes, low, high, n):
    start = rng.integers(low, high, n)
    return pd.DataFrame({"chrom": rng.choice(chromosomes, n), "start": start, "end": start + rng.integers(1, 5000, n)})


@pytest.mark.parametrize("count", ["fragments", "insertions"])
def test_counts_equal_pysam_on_generated_data(tmp_path, count):
    rng = np.random.default_rng(1)
    n = 4000
    lines = pd.DataFrame({"chrom": rng.choice(["chr1", "chr2"], n), "start": rng.integers(0, 100_000, n)})
    lines = lines.assign(end=lines["start"] + rng.integers(1, 900, n), cell=rng.choice(list("abcdef"), n), pairs=1)
    text = lines.sort_values(["chrom", "start"]).to_csv(sep="\t", header=False, index=False)
    plain = write(tmp_path / "fragments.tsv", text.encode())
    pysam.tabix_compress(str(plain), f"{plain}.gz")
    path = pysam.tabix_index(f"{plain}.gz", preset="bed")
    intervals = random_intervals(rng, ["chr1", "chr2"], 0, 100_000, 200)
    found = count_fragments(path, intervals, list("fbd"), counting=count)
    np.testing.assert_array_equal(found.toarray(), fetched(path, intervals, list("fbd"), count))


@pytest.mark.parametrize("count", ["fragments", "insertions"])
def test_counts_equal_pysam_on_real_fragments(count):
    path = SHARED / "fragments_hg19_chr5_chr11.tsv.gz"
    if not path.is_file():
        pytest.skip(f"{path.name} is not there (DEEPSCORE_TEST_DATA)")
    cells = pd.read_csv(SHARED / "cells.csv")["barcode"].tolist()
    with pysam.TabixFile(str(path)) as file:
        chromosomes = file.contigs
        starts = [int(line.split("\t")[1]) for chrom in chromosomes for line in file.fetch(chrom)]
    rng = np.random.default_rng(2)
    near = rng.choice(starts, 500) - rng.integers(0, 2000, 500)  # most of the genome has no fragment
    intervals = random_intervals(rng, chromosomes, 0, max(starts), 1000)
    intervals.loc[:499, "end"] = near.clip(0) + (intervals["end"] - intervals["start"])[:500]
    intervals.loc[:499, "start"] = near.clip(0)
    found = count_fragments(path, intervals, cells, counting=count)
    assert found.sum() > 500
    np.testing.assert_array_equal(found.toarray(), fetched(path, intervals, cells, count))


def refused(code, path, intervals=PEAKS, cells=CELLS, match=None):
    with pytest.raises(InputError, match=match) as caught:
        count_fragments(path, intervals, cells, progress=False)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "line, text",
    [
        (3, b"chr1\t20\t19\tAAA-1\t1"),
        (3, b"chr1\t-2\t19\tAAA-1\t1"),
        (3, b"chr1\t2.5\t19\tAAA-1\t1"),
        (3, b"chr1\tx\t19\tAAA-1\t1"),
        (3, b"chr1\t2\t99999999999999999999\tAAA-1\t1"),
        (3, b"chr1\t2\t19\tAAA-1"),
        (3, b"chr1\t2\t19\t\t1"),
        (3, b"\t2\t19\tAAA-1\t1"),
        (3, b"chr1\t2\t19\tAAA-1\t1\t+"),
        (3, b"chr1 2 19 AAA-1 1"),
        (3, b"chr1\t2\t19\tAAA-1\0\t1"),
        (3, b"\t"),
        (3, b"chrom\tstart\tend\tbarcode\tcount"),
        (3, b"chr1\t2\t19\t\xff\t1"),
        (3, b"chr1\t2\t19\tAAA-1\nchr1\t2\t19\tAAA-1\t1\t+"),  # one column too few, then one too many
    ],
)
@pytest.mark.parametrize("size", [2**25, 50])
def test_a_line_that_is_no_fragment_is_named(tmp_path, monkeypatch, line, text, size):
    monkeypatch.setattr(module, "BLOCK_BYTES", size)
    good = b"chr1\t1\t5\tAAA-1\t1\n"
    path = write(tmp_path / "fragments.tsv", b"# top\n" + good + text + b"\n" + good)
    refused("fragments_format", path, match=f"Line {line} of ")


@pytest.mark.parametrize("text", [b"", b"# only this\n", b"\r\n\n", b"chr1\t1\t5\n" * 3, b"\x00\n\xff\x01\n" * 9])
def test_files_of_another_kind(tmp_path, text):
    refused("fragments_format", write(tmp_path / "fragments.tsv", text))


@pytest.mark.usefixtures("small_blocks")
def test_a_file_without_lines(tmp_path):
    refused("fragments_format", write(tmp_path / "fragments.tsv", b"x" * 200 + b"\n"), match="Line 1")


@pytest.mark.parametrize("size", [2**25, 40])
@pytest.mark.parametrize(
    "starts, line, words",
    [
        ([("chr1", 5), ("chr1", 4), ("chr2", 1)], 2, "start 4"),
        ([("chr1", 5), ("chr2", 1), ("chr2", 2), ("chr1", 9)], 4, "chr1 comes a second time"),
        ([("chr2", 5), ("chr2", 5), ("chr1", 1), ("chr1", 2), ("chr1", 1)], 5, "start 1"),
    ],
)
def test_files_that_are_not_sorted(tmp_path, monkeypatch, size, starts, line, words):
    monkeypatch.setattr(module, "BLOCK_BYTES", size)
    text = "".join(f"{chrom}\t{start}\t50\tAAA-1\t1\n" for chrom, start in starts).encode()
    path = write(tmp_path / "fragments.tsv", text)
    refused("fragments_unsorted", path, match=rf"line {line}, {words}.*sort -k1,1 -k2,2n \| bgzip")


@pytest.mark.parametrize("size", [2**25, 50])
@pytest.mark.parametrize(
    "end", [b"chr3\t5", b"chr3\t5\n", b"chr3\t5\t9\tAAA-1\n", b"chr3\t5\t9\tAAA-1", b"chr3\t5\t9\t\t"]
)
def test_a_last_line_that_is_cut_short(tmp_path, monkeypatch, end, size):
    monkeypatch.setattr(module, "BLOCK_BYTES", size)
    refused("fragments_truncated", write(tmp_path / "fragments.tsv", TEXT + end), match="cut short")


@pytest.mark.parametrize("size", [2**25, 50, len(TEXT), len(TEXT) - 1])
@pytest.mark.parametrize("packed", [False, True])
def test_a_whole_last_line_without_its_end_is_counted(tmp_path, monkeypatch, size, packed):
    monkeypatch.setattr(module, "BLOCK_BYTES", size)
    text = TEXT.removesuffix(b"\n")
    path = write(tmp_path / "fragments.tsv", gzip.compress(text) if packed else text)
    with pytest.warns(UserWarning, match=r"last line of fragments.tsv lacks its end.*check that it is complete"):
        found = count_fragments(path, PEAKS, CELLS)
    np.testing.assert_array_equal(found.toarray(), expected(1))
    commented = write(tmp_path / "commented.tsv", TEXT + b"# made by hand")
    np.testing.assert_array_equal(count_fragments(commented, PEAKS, CELLS).toarray(), expected(1))


@pytest.mark.parametrize("size", [2**25, 50, len(TEXT)])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_an_empty_last_line_is_no_line(tmp_path, monkeypatch, end, size):
    monkeypatch.setattr(module, "BLOCK_BYTES", size)
    found = count_fragments(write(tmp_path / "fragments.tsv", TEXT.replace(b"\n", end) + end), PEAKS, CELLS)
    np.testing.assert_array_equal(found.toarray(), expected(1))


def test_compressed_data_that_end_early_or_are_damaged(tmp_path):
    rng = np.random.default_rng(0)
    lines = [f"chr1\t{i}\t{i + 9}\t{''.join(rng.choice(list('ACGT'), 16))}\t1\n" for i in range(5000)]
    text = "".join(lines).encode()
    whole = gzip.compress(text)
    path = tmp_path / "fragments.tsv.gz"
    for cut in (
        whole[:-1],
        whole[: len(whole) // 2],
        whole[:-8] + b"\0" * 8,
        whole[:500] + b"\xff" * 500 + whole[1000:],
    ):
        refused("fragments_truncated", write(path, cut))
    packer = zlib.compressobj(wbits=31)
    refused("fragments_truncated", write(path, packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH)))


def test_bgzip_without_its_last_block(tmp_path):
    path = write(tmp_path / "fragments.tsv.gz", TEXT, "bgzip")
    data = path.read_bytes()
    assert data.endswith(module.BGZIP_END)
    refused("fragments_truncated", write(path, data[: -len(module.BGZIP_END)]), match="block that ends")


def test_cells_that_do_not_occur(tmp_path):
    path = write(tmp_path / "fragments.tsv", TEXT)
    refused("no_barcodes_matched", path, cells=["AAA", "s1_AAA-1"], match=r"AAA, s1_AAA-1.*look like AAA-1, CCC-1.*-1")
    with pytest.warns(UserWarning, match=r"1 of 4 cells do not occur in fragments.tsv .* such as none") as told:
        found = count_fragments(path, PEAKS, ["none", *CELLS])
    assert "perhaps" not in str(told[0].message)
    np.testing.assert_array_equal(found.toarray(), np.vstack([np.zeros(len(PEAKS)), expected(1)]))


def test_cells_of_a_second_sample_are_told_with_the_reason(tmp_path):
    path = write(tmp_path / "fragments.tsv", TEXT)
    cells = [*CELLS, *(f"s2_{cell}" for cell in CELLS)]
    with pytest.warns(UserWarning, match=r"3 of 6 cells .* s2_AAA-1 is perhaps AAA-1 there.*sample by sample"):
        found = count_fragments(path, PEAKS, cells)
    np.testing.assert_array_equal(found.toarray(), np.vstack([expected(1), np.zeros((3, len(PEAKS)))]))


@pytest.mark.parametrize("n_columns", [4, 5, 6, 9])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("size", [2**25, 60])
def test_columns_behind_the_fourth_are_not_read(tmp_path, monkeypatch, n_columns, end, size):
    monkeypatch.setattr(module, "BLOCK_BYTES", size)
    more = ["x", "+", "", "7", "a b"]
    lines = ["\t".join([*line.split("\t")[:4], *more[: n_columns - 4]]) + end for line, _, _ in LINES]
    path = write(tmp_path / "fragments.tsv", "".join(lines).encode())
    np.testing.assert_array_equal(count_fragments(path, PEAKS, CELLS).toarray(), expected(1))


@pytest.mark.parametrize("how", ["plain", "gzip", "bgzip"])
@pytest.mark.parametrize("size", [2**25, 60])
def test_comments_and_empty_lines_are_passed_over_wherever_they_are(tmp_path, monkeypatch, how, size):
    monkeypatch.setattr(module, "BLOCK_BYTES", size)
    between = ["# id=two\n", "\n", "\r\n", "#\n# primary_contig=chr1\n", "  \n", "# chr1\t9\t5\tAAA-1\t1\n"]
    text = "\ufeff" + "".join(f"{between[i % 6]}{line}\n" for i, (line, _, _) in enumerate(LINES)) + "# end\n\n"
    path = write(tmp_path / "fragments.tsv", text.encode(), how)
    np.testing.assert_array_equal(count_fragments(path, PEAKS, CELLS).toarray(), expected(1))
    lines = text.splitlines(keepends=True)
    lines.insert(9, "chr1\t5\tx\tAAA-1\t1\n")  # of what is passed over, the lines are counted all the same
    refused("fragments_format", write(path, "".join(lines).encode(), how), match="Line 10 of ")
    lines[9] = "chr1\t0\t9\tAAA-1\t1\n"
    refused("fragments_unsorted", write(path, "".join(lines).encode(), how), match="line 10, start 0")


def test_parts_that_were_packed_one_by_one(tmp_path):
    parts = [b"".join(line for line in TEXT.splitlines(True) if line.startswith(f"chr{i}".encode())) for i in (1, 2, 3)]
    packed = [write(tmp_path / "part.gz", b"# part\n" + part, "bgzip").read_bytes() for part in parts]
    path = write(tmp_path / "fragments.tsv.gz", b"".join(packed))
    np.testing.assert_array_equal(count_fragments(path, PEAKS, CELLS).toarray(), expected(1))


@pytest.mark.parametrize("size", [2**25, 60])
def test_fragments_of_no_length_are_left_out_and_told(tmp_path, monkeypatch, size):
    monkeypatch.setattr(module, "BLOCK_BYTES", size)
    lines = TEXT.splitlines(keepends=True)
    for at, start in ((3, 10), (6, 16)):
        lines.insert(at, f"chr1\t{start}\t{start}\tAAA-1\t1\n".encode())
    path = write(tmp_path / "fragments.tsv", b"# top\n" + b"".join(lines))
    for counting, which in (("fragments", 1), ("insertions", 2)):
        with pytest.warns(UserWarning, match=r"^2 fragments of fragments.tsv have no length.*line 5"):
            found = count_fragments(path, PEAKS, CELLS, counting=counting)
        np.testing.assert_array_equal(found.toarray(), expected(which))


def test_a_line_of_column_names_is_refused_by_name(tmp_path):
    path = write(tmp_path / "fragments.tsv", b"# x\nchrom\tchromStart\tchromEnd\tbarcode\treadSupport\n" + TEXT)
    refused("fragments_format", path, match=r"Line 2 of .* names of columns.*chromStart.*put # in front")


def test_what_a_line_holds_is_quoted_in_short_and_cannot_command_a_terminal(tmp_path):
    path = write(tmp_path / "fragments.tsv", b"\x1b[2Jchr1\tx\t5\t" + b"a" * 10**6 + b"\n")
    with pytest.raises(InputError, match=r"\\x1b\[2Jchr1") as caught:
        count_fragments(path, PEAKS, CELLS, progress=False)
    assert len(str(caught.value)) < 1000
    assert "\x1b" not in str(caught.value)


def test_other_bad_input(tmp_path):
    path = write(tmp_path / "fragments.tsv", TEXT)
    refused("file_not_found", tmp_path / "none.tsv")
    refused("file_not_found", tmp_path)
    refused("no_common_chromosomes", path, intervals=parse_peaks(["NC_1:1-9"]), match=r"chr1, chr2, chr3 against NC_1")
    refused("empty_data", path, cells=[])
    refused("empty_data", path, intervals=PEAKS[:0])
    refused("duplicate_cells", path, cells=["AAA-1", "AAA-1"])
    with pytest.raises(ConfigError) as caught:
        count_fragments(path, PEAKS, CELLS, counting="reads")
    assert caught.value.code == "bad_argument"


def test_speed(tmp_path):
    rng = np.random.default_rng(3)
    n = 500_000
    cells = [f"{''.join(letters)}-1" for letters in rng.choice(list("ACGT"), (5000, 16))]
    lines = pd.DataFrame({"chrom": np.sort(rng.integers(1, 6, n)), "start": np.sort(rng.integers(0, 10**8, n))})
    lines = lines.assign(chrom="chr" + lines["chrom"].astype(str), end=lines["start"] + 300)
    lines = lines.assign(cell=rng.choice(cells, n), pairs=1)
    path = write(tmp_path / "fragments.tsv.gz", lines.to_csv(sep="\t", header=False, index=False).encode(), "gzip")
    intervals = random_intervals(rng, lines["chrom"].unique(), 0, 10**8, 100_000)
    start = time.process_time()
    assert count_fragments(path, intervals, cells).sum() > 0
    assert n / (time.process_time() - start) * 60 > 2_000_000
