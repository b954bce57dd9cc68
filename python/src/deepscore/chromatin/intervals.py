"""Genomic intervals: reading their names, comparing their chromosomes, overlaps, merging and genome builds.

An interval table is a DataFrame with the columns ``chrom`` (text), ``start`` and ``end`` (whole numbers, 0-based and
half-open as in BED, start < end). The peak name ``chr1:10-20`` means start 10 and end 20; Signac reads names as 1-based
and closed, which is a difference of one base. The set operations are those of bioframe (Open2C, Bioinformatics 2024).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from ..data.blocks import Names
from ..data.names import as_peak, split_genome
from ..errors import EngineError, InputError
from ..support.files import opened, require_file

__all__ = [
    "bioframe",
    "chromosome_keys",
    "is_standard",
    "merge",
    "overlaps",
    "parse_peaks",
    "peak_names",
    "possible_builds",
    "read_bed",
    "require_common_chromosomes",
]

BUILDS = ("hg19", "hg38", "hs1", "mm9", "mm10", "mm39")
# How lines before the first peak of a BED file begin.
HEADERS = ("#", "track", "browser")
# A line of names, as pandas and R write it.
_HEADING = re.compile(r"[^\t]*\t[A-Za-z_. \"]+\t[A-Za-z_. \"]+\s")
_PREFIX = re.compile(r"^CHR(?=.)")
_FROM_SEURAT = str.maketrans("-|", "__")  # which writes "-" for both of the others
_MITOCHONDRIAL = ("M", "MITO", "MTDNA", "MITOCHONDRION_GENOME")
_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII", "XIII", "XIV", "XV", "XVI")
_NUMBERED = re.compile(r"(\d{1,2})([LRAB]?)", re.ASCII)
_OTHERS = ("X", "Y", "Z", "W", "MT")


def bioframe() -> ModuleType:
    """Return the module bioframe.

    Raises
    ------
    EngineError
        ``missing_package`` where it is not installed.
    """
    try:
        import bioframe as module
    except ImportError as error:
        raise EngineError("missing_package", "Peaks and fragments need bioframe: pip install bioframe.") from error
    return module


def parse_peaks(names: Sequence[str] | Names) -> pd.DataFrame:
    """Read peak names: chr1:10-20, chr1-10-20, chr1_10_20, 1:10-20 and more; see :func:`~deepscore.data.names.as_peak`.

    Returns
    -------
    The interval table, one row per name in the same order; the genome in front of a name is in front of its chromosome.

    Raises
    ------
    InputError
        ``invalid_peaks`` lists up to five names that are no peaks, and says how many there are.
    """
    matches = [as_peak(name) if isinstance(name, str) else None for name in names]
    invalid = [str(name) for name, match in zip(names, matches, strict=True) if match is None]
    if invalid:
        raise InputError(
            "invalid_peaks",
            f"{len(invalid)} of {len(matches)} names are no peaks ({', '.join(invalid[:5])}). Expected a chromosome, a "
            "start and a larger end, as in chr1:10-20, chr1-10-20 or chr1_10_20.",
        )
    found = [match for match in matches if match is not None]
    fronts = [split_genome(name)[1] for name in names]
    return pd.DataFrame(
        {
            "chrom": np.array([front + match[0] for front, match in zip(fronts, found, strict=True)], dtype=object),
            "start": np.array([match[1] for match in found], dtype=np.int64),
            "end": np.array([match[2] for match in found], dtype=np.int64),
        }
    )


def peak_names(intervals: pd.DataFrame) -> Names:
    """Return the name of each interval, as in ``chr1:10-20``; ``invalid_peaks`` where a column is not there."""
    missing = {"chrom", "start", "end"} - set(intervals)
    if missing:
        raise InputError(
            "invalid_peaks", f"A table of peaks has the columns chrom, start and end; without: {', '.join(missing)}."
        )
    bounds = intervals[["start", "end"]].apply(pd.to_numeric, errors="coerce")
    if intervals["chrom"].isna().any() or bounds.isna().any(axis=None) or (bounds % 1 != 0).any(axis=None):
        raise InputError("invalid_peaks", "Peaks have a chromosome, and whole numbers as start and end.")
    columns = (intervals["chrom"].tolist(), *(bounds[name].astype(np.int64).tolist() for name in bounds))
    return np.array([f"{chrom}:{start}-{end}" for chrom, start, end in zip(*columns, strict=True)], dtype=object)


def read_bed(path: Path) -> pd.DataFrame:
    """Read the first three columns of a BED file, plain or gzip; or names of peaks (chr1:10-20), one in a line.

    Raises
    ------
    InputError
        ``file_not_found``; ``invalid_peaks`` where a line holds no interval.
    """
    require_file(path)
    try:
        with opened(path) as file:
            first = next(((i, line) for i, line in enumerate(file) if not _is_heading(line)), None)
            if first is None:
                raise ValueError("it holds no intervals")
            n_header, some = first
            file.seek(0)
            if "\t" not in some:
                return parse_peaks([line.strip().strip('"') for line in file if not _is_heading(line)])
            table = pd.read_csv(
                file, sep="\t", header=None, usecols=[0, 1, 2], skiprows=n_header, comment="#", dtype={0: str}
            )
        found = table.set_axis(["chrom", "start", "end"], axis=1)
        return parse_peaks(peak_names(found)) if len(found) else found
    except (ValueError, OSError) as error:  # an InputError is a ValueError
        raise InputError("invalid_peaks", f"{path} is no BED file of peaks: {str(error).rstrip('.')}.") from error


def _is_heading(line: str) -> bool:
    return not line.strip() or line.startswith(HEADERS) or _HEADING.match(line) is not None


def chromosome_keys(chrom: pd.Series, beside: pd.Series | None = None) -> pd.Series:
    """Return one key for all spellings of a chromosome: chr1, Chr1 and 1 give "1"; chrM, M and MT give "MT".

    The prefix "chr", case, and ``_``, ``-`` or ``|`` do not matter; scaffolds keep the rest of their name. The genome
    in front, as in GRCh38_chr1, matters where there are several, also in the chromosomes that are compared (`beside`).
    """
    codes, names = pd.factorize(chrom)
    others = [] if beside is None else beside.unique().tolist()
    apart = len({split_genome(str(name))[0] for name in [*names, *others]} - {""}) > 1
    keys = np.array([_key(str(name), apart) for name in names], dtype=object)
    return pd.Series(keys[codes], index=chrom.index, name=chrom.name, dtype=object)


def _key(name: str, apart: bool = False) -> str:
    genome, _, name = split_genome(name)
    key = _PREFIX.sub("", name.upper().translate(_FROM_SEURAT))
    key = "MT" if key in _MITOCHONDRIAL else key
    return f"{genome}:{key}" if apart and genome else key


def is_standard(chrom: pd.Series) -> npt.NDArray[np.bool_]:
    """Tell chromosomes from scaffolds such as chrUn_*, *_random and GL000220.1.

    Chromosomes are those with a number of one or two digits (also 2L, 2R, 2A, 2B), I to XVI, X, Y, Z, W and M or MT.
    """
    keys = {name: _key(str(name)) for name in chrom.unique()}
    standard = [name for name, key in keys.items() if key in _OTHERS or key in _ROMAN or _NUMBERED.fullmatch(key)]
    return chrom.isin(standard).to_numpy()


def overlaps(a: pd.DataFrame, b: pd.DataFrame) -> sp.csr_array:
    """Find which intervals of two tables share at least one base; chromosomes are compared by their keys.

    Returns
    -------
    A matrix of float32, ``len(a)`` x ``len(b)``: 1 where two intervals overlap.
    """
    shape = (len(a), len(b))
    if not all(shape):
        return sp.csr_array(shape, dtype=np.float32)
    pairs = bioframe().overlap(_keyed(a, b), _keyed(b, a), how="inner", return_index=True, return_input=False)
    rows, columns = pairs["index"].to_numpy(np.intp), pairs["index_"].to_numpy(np.intp)
    found = sp.csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
    found.sort_indices()
    return found


def _keyed(intervals: pd.DataFrame, beside: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the bare table with keys for chromosomes and rows numbered from 0."""
    keys = chromosome_keys(intervals["chrom"], None if beside is None else beside["chrom"])
    return intervals[["start", "end"]].assign(chrom=keys)[["chrom", "start", "end"]].reset_index(drop=True)


def merge(sets: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join overlapping and touching intervals of all sets into one.

    Returns
    -------
    A table with ``chrom`` (spelt as in the first set that has it), ``start``, ``end`` and ``sets`` (how many different
    sets have an interval in it), in the natural order of chromosomes (1, 2, 10, X, Y, others), then by start.
    """
    if not sum(map(len, sets)):
        return pd.DataFrame({"chrom": [], "start": [], "end": [], "sets": []}).astype(
            {"chrom": object, "start": np.int64, "end": np.int64, "sets": np.int64}
        )
    spelling = pd.concat([table["chrom"] for table in sets], ignore_index=True)
    every = _keyed(pd.concat(sets, ignore_index=True))
    spelt = dict(zip(every["chrom"].tolist()[::-1], spelling.tolist()[::-1], strict=True))  # the first one stays
    joined = bioframe().cluster(every, min_dist=0)
    joined["set"] = np.repeat(np.arange(len(sets)), [len(table) for table in sets])
    joined = joined.drop_duplicates(["cluster", "set"])
    n_sets = joined["cluster"].value_counts()
    joined = joined.drop_duplicates("cluster")
    rank = {key: i for i, key in enumerate(_natural_order(spelt))}
    merged = pd.DataFrame(
        {
            "chrom": joined["chrom"].map(spelt).astype(object),
            "start": joined["cluster_start"].astype(np.int64),
            "end": joined["cluster_end"].astype(np.int64),
            "sets": joined["cluster"].map(n_sets).astype(np.int64),
        }
    )
    order = np.lexsort((merged["start"], joined["chrom"].map(rank)))
    return merged.iloc[order].reset_index(drop=True)


def _natural_order(keys: Sequence[str] | dict[str, str]) -> list[str]:
    """Sort keys of chromosomes: numbers, X, Y, the other chromosomes, then scaffolds by name."""
    roman = not {"II", "III"}.isdisjoint(keys)  # then X is a number too

    def rank(key: str) -> tuple[int, int, str]:
        if roman and key in _ROMAN:
            return 0, _ROMAN.index(key) + 1, ""
        numbered = _NUMBERED.fullmatch(key)
        if numbered:
            return 0, int(numbered[1]), numbered[2]
        return (1, _OTHERS.index(key), "") if key in _OTHERS else (2, 0, key)

    return sorted(keys, key=rank)


def possible_builds(intervals: pd.DataFrame) -> list[str]:
    """Return the genome builds whose chromosomes are long enough for all intervals; scaffolds are not looked at.

    Only hg19, hg38, hs1, mm9, mm10 and mm39 are known. Where the chromosomes fit none of them, nothing is returned.
    """
    usual = _keyed(intervals[is_standard(intervals["chrom"])])
    ends = usual.groupby("chrom")["end"].max()
    possible = []
    for build in BUILDS if len(ends) else ():
        sizes = bioframe().assembly_info(build).chromsizes
        sizes.index = chromosome_keys(sizes.index.to_series()).to_numpy()
        if (ends <= sizes.reindex(ends.index, fill_value=0)).all():
            possible.append(build)
    return possible


def require_common_chromosomes(a: pd.DataFrame, b: pd.DataFrame, what_a: str, what_b: str) -> None:
    """Refuse two interval tables that have no chromosome in common; `what_a` and `what_b` name them in the message.

    Raises
    ------
    InputError
        ``no_common_chromosomes`` shows names of both.
    """
    one, other = (pd.Series(table["chrom"].astype(str).unique(), dtype=object) for table in (a, b))
    if set(chromosome_keys(one, other)).isdisjoint(chromosome_keys(other, one)):
        shown = [", ".join(some[:3]) or "none" for some in (one, other)]
        raise InputError(
            "no_common_chromosomes",
            f"{what_a} and {what_b} have no chromosome in common: {shown[0]} against {shown[1]}. Check that both are "
            "of one species and name their chromosomes in one way; where one of them has the genome in front "
            "(GRCh38_chr1) and others beside it, keep those of one genome there, or put it in front in both.",
        )
