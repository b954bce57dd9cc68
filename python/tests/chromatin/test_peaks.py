"""Common peaks and matched counts against plain loops."""

from __future__ import annotations

import logging
import time
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from deepscore.chromatin.peaks import common_peaks, match, matched_blocks
from deepscore.errors import ConfigError, InputError
from synthetic import blocks_of


def names(*peaks):
    return np.array(peaks, dtype=object)


def random_peaks(rng, n, length=10**8, chromosomes=22):
    start = rng.integers(0, length, n)
    chrom, end = rng.integers(1, chromosomes + 1, n), start + rng.integers(200, 900, n)
    return np.array([f"chr{c}:{s}-{e}" for c, s, e in zip(chrom, start, end, strict=True)], dtype=object)


def positions(peak):
    chrom, _, rest = peak.partition(":")
    start, end = map(int, rest.split("-"))
    return chrom, start, end


def touch(a, b):
    (c1, s1, e1), (c2, s2, e2) = positions(a), positions(b)
    return c1 == c2 and s1 <= e2 and s2 <= e1


def share_a_base(a, b):
    (c1, s1, e1), (c2, s2, e2) = positions(a), positions(b)
    return c1 == c2 and bool(set(range(s1, e1)) & set(range(s2, e2)))


def components(sets):
    """Follow touching peaks from one to the next: the groups are the merged peaks."""
    left = [(peak, i) for i, peaks in enumerate(sets) for peak in peaks]
    while left:
        group, todo = [], [left.pop(0)]
        while todo:
            current = todo.pop()
            group.append(current)
            near = [item for item in left if touch(item[0], current[0])]
            left = [item for item in left if item not in near]
            todo += near
        where = [positions(peak) for peak, _ in group]
        yield where[0][0], min(s for _, s, _ in where), max(e for _, _, e in where), len({i for _, i in group})


PEAK = st.builds(lambda c, s, w: f"chr{c}:{s}-{s + w}", st.integers(1, 2), st.integers(0, 60), st.integers(1, 12))
PEAKS = st.lists(PEAK, min_size=1, max_size=10).map(lambda peaks: names(*peaks))


@settings(deadline=None, max_examples=60)
@given(st.lists(PEAKS, min_size=2, max_size=3), st.sampled_from(["union", "intersection"]))
def test_common_peaks_equal_the_loop(sets, how):
    merged = sorted(components(sets))
    expected = [f"{c}:{s}-{e}" for c, s, e, n in merged if how == "union" or n == len(sets)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few peaks may overlap here
        try:
            found = common_peaks(sets, how).tolist()
        except InputError as error:
            found = [] if error.code in ("no_shared_features", "no_common_chromosomes") else [error.code]
    assert found == expected


def test_touching_nested_and_mixed_spellings():
    a = names("chr10:5-9", "chr1:10-20", "chr1:10-20", "chr1:40-50", "chrX:1-2", "chrY:7-9")
    b = names("1-20-30", "1_42_43", "X:1-3", "10:5-6", "2:3-4", "Y:9-10")
    assert common_peaks([a, b]).tolist() == ["chr1:10-30", "chr1:40-50", "chr10:5-9", "chrX:1-3", "chrY:7-10"]
    union = common_peaks([a, b], "union").tolist()
    assert union == ["chr1:10-30", "chr1:40-50", "2:3-4", "chr10:5-9", "chrX:1-3", "chrY:7-10"]
    assert common_peaks([b, a])[0] == "1:10-30"
    assert common_peaks([a[:1]], "union").tolist() == ["chr10:5-9"]


def test_filters_of_width_and_scaffolds():
    peaks = names("chr1:0-10", "chr1:20-40", "chr1:40-60", "chrUn_x:0-20")
    assert common_peaks([peaks, peaks], min_width=11).tolist() == ["chr1:20-60", "chrUn_x:0-20"]
    assert common_peaks([peaks, peaks], max_width=20).tolist() == ["chr1:0-10", "chrUn_x:0-20"]
    assert common_peaks([peaks, peaks], standard_chromosomes=True).tolist() == ["chr1:0-10", "chr1:20-60"]
    assert common_peaks([peaks, peaks], min_width=20, max_width=20).tolist() == ["chrUn_x:0-20"]


@pytest.mark.parametrize(
    "sets, arguments",
    [
        ([names("chr1:1-2")] * 2, {"how": "both"}),
        ([names("chr1:1-2")], {}),
        ([], {"how": "union"}),
        ([names("chr1:1-2")] * 2, {"min_width": 0}),
        ([names("chr1:1-2")] * 2, {"max_width": 2.5}),
        ([names("chr1:1-2")] * 2, {"min_width": 9, "max_width": 8}),
    ],
)
def test_bad_arguments(sets, arguments):
    with pytest.raises(ConfigError) as caught:
        common_peaks(sets, **arguments)
    assert caught.value.code == "bad_argument"


@pytest.mark.parametrize(
    "sets, arguments, code, words",
    [
        ([names("chr1:1-2"), names("CD3E")], {}, "invalid_peaks", "CD3E"),
        ([names("chr1:1-2"), names("chr2:1-2")], {}, "no_common_chromosomes", "chr1 against chr2"),
        ([names("chr1:1-9"), names("chr1:2-9")], {"max_width": 5}, "no_shared_features", "0 have an allowed width"),
        ([names("chrUn_x:1-9")], {"how": "union", "standard_chromosomes": True}, "no_shared_features", "0 are on"),
    ],
)
def test_bad_input(sets, arguments, code, words):
    with pytest.raises(InputError, match=words) as caught:
        common_peaks(sets, **arguments)
    assert caught.value.code == code


def human_and_mouse():
    """Return peaks that only hg19, and only mouse genomes, have room for, and that hardly overlap."""
    human = [f"chr1:{s}-{s + 5}" for s in range(0, 1000, 10)] + ["chr1:249250600-249250621"]
    mouse = [f"chr1:{s + 5}-{s + 10}" for s in range(3, 1003, 1000)] + ["chr14:107400000-107400001"]
    mouse += [f"chr1:{s + 5}-{s + 9}" for s in range(2000, 3000, 10)]
    return names(*human), names(*mouse)


def test_two_genome_builds_are_named():
    human, mouse = human_and_mouse()
    with pytest.raises(InputError, match=r"Data set 1 and data set 3 .*hg19 against mm9 or mm10 or mm39") as caught:
        common_peaks([human, human, mouse])
    assert caught.value.code == "genome_build"
    with pytest.raises(InputError, match=r"hg19 against mm9 or mm10 or mm39") as caught:
        match(human, mouse)
    assert caught.value.code == "genome_build"
    assert len(common_peaks([human, mouse], "union")) > 200


def test_few_overlaps_of_unknown_builds_are_a_warning():
    a = names(*[f"chr1:{s}-{s + 5}" for s in range(0, 1000, 10)])
    b = names("chr1:2-3", *[f"chr1:{s + 5}-{s + 9}" for s in range(2000, 3000, 10)])
    with pytest.warns(UserWarning, match=r"Only 1\.0% .* different genome builds"):
        assert common_peaks([a, b]).tolist() == ["chr1:0-5"]


def test_peaks_that_touch_are_of_one_genome():
    a = names(*[f"chr1:{s}-{s + 5}" for s in range(0, 1000, 10)])
    b = names(*[f"chr1:{s + 5}-{s + 9}" for s in range(0, 1000, 10)])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert len(common_peaks([a, b])) == len(common_peaks([b, a])) == 100


def test_match_tells_what_is_covered(caplog):
    available = names("CD3E", "chr1:0-10", "chr1:10-20", "MS4A1", "chr2:5-6")
    wanted = names("1:5-15", "1:15-16", "1:20-30", "2-0-9")
    with caplog.at_level(logging.INFO, "deepscore"):
        found = match(available, wanted)
    assert "75.0% of the 4 wanted peaks are covered by 100.0% of the data's 3" in caplog.text
    assert found.overlap.toarray().tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert found.overlap.dtype == np.float32
    assert found.covered.tolist() == [True, True, False, True]
    assert found.share == 0.75


@pytest.mark.parametrize(
    "available, wanted, least, error, code",
    [
        (["chr1:0-9"], ["gene"], 0.1, InputError, "invalid_peaks"),
        (["gene"], ["chr1:0-9"], 0.1, InputError, "modality_mismatch"),
        (["chr1:0-9"], ["chr2:0-9"], 0.1, InputError, "no_common_chromosomes"),
        (["chr1:0-9"], ["chr1:9-20"], 0.1, InputError, "low_overlap"),
        (["chr1:0-9"], ["chr1:8-20", "chr1:30-31"], 0.6, InputError, "low_overlap"),
        (["chr1:0-9"], ["chr1:8-20"], 1.5, ConfigError, "bad_argument"),
    ],
)
def test_match_refuses(available, wanted, least, error, code):
    with pytest.raises(error) as caught:
        match(names(*available), names(*wanted), least)
    assert caught.value.code == code


def test_low_overlap_names_both_shares_and_the_limit():
    with pytest.raises(InputError, match=r"Only 25\.0% .* 50\.0% of the data's 2; at least 30%"):
        match(names("chr1:0-9", "chr1:50-60"), names("chr1:5-6", "chr1:10-11", "chr1:12-13", "chr1:14-15"), 0.3)


def test_a_floor_of_zero_admits_peaks_without_overlap():
    assert match(names("chr1:0-9"), names("chr1:9-20"), 0).share == 0


@settings(deadline=None, max_examples=40)
@given(
    st.lists(PEAK, min_size=1, max_size=10, unique=True),
    st.lists(PEAK, min_size=1, max_size=10, unique=True),
    st.integers(0, 2**32 - 1),
)
def test_matched_counts_equal_the_loop(own, wanted, seed):
    own, wanted = names("gene", "chr1:0-5", "chr2:0-5", *(p for p in own if p[4:] != ":0-5")), names(*wanted)
    counts = np.random.default_rng(seed).poisson(0.7, (7, len(own))).astype(np.int32)
    found = matched_blocks(blocks_of(counts, features=own, rows=3), match(own, wanted, 0), wanted)
    expected = np.zeros((7, len(wanted)))
    for cell in range(7):
        for i, peak in enumerate(own[1:], 1):
            for j, other in enumerate(wanted):
                expected[cell, j] += counts[cell, i] * share_a_base(peak, other)
    assert found.feature_names.tolist() == wanted.tolist()
    starts, blocks = zip(*found, strict=True)
    assert starts == (0, 3, 6)
    assert all(isinstance(block, sp.csr_matrix) and block.has_canonical_format for block in blocks)
    assert all(block.dtype == np.float32 for block in blocks)
    np.testing.assert_array_equal(sp.vstack(blocks).toarray(), expected)


def test_speed_of_three_large_sets():
    rng = np.random.default_rng(0)
    shared = random_peaks(rng, 100_000)
    sets = [np.concatenate([shared, random_peaks(rng, 100_000)]) for _ in range(3)]
    start = time.process_time()
    found = common_peaks(sets)
    assert len(found) > 90_000
    assert time.process_time() - start < 5 * 2  # twice the aim, for slow machines
