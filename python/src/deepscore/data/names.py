"""Feature names: which are peaks, which are mere numbers, and which two spellings mean the same feature."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import takewhile

import numpy as np
import numpy.typing as npt

from ..support.notices import logger
from .blocks import Names

__all__ = [
    "are_ids",
    "as_peak",
    "canonical",
    "is_numbered",
    "is_peak",
    "is_place",
    "match_names",
    "may_be_positions",
    "parts_of",
    "split_genome",
]

# What Cell Ranger puts before the names of a reference of several genomes: GRCh38_TP53, mm10___Trp53; also with the
# version of the reference (GRCh38-2020-A_, hg19-3.0.0_premrna_).
_GENOME = (
    r"(?:(?:GRC[A-Z]\d+|hg\d+|mm\d+|rn\d+|human|mouse)(?:\.p\d+)?(?:-\d{4}-[A-Z]|-\d+\.\d+(?:\.\d+)?)?"
    r"(?:[_-]pre-?mRNA)?[:_-]+)?"
)
# No chromosome is longer than 12 digits can say.
_NUMBER = r"(\d{1,12}|\d{1,3}(?:,\d{3}){1,3})"
_STRAND_OR_MORE = r"(?:[:_\s]?[+*-]|\([+*-]\)|\.{1,2}|:\.|\t.*)?"
_PEAK = re.compile(
    rf"{_GENOME}(.*?[^:_\s-])([:_.\s-]){_NUMBER}(\.\.|[-_.\s]){_NUMBER}{_STRAND_OR_MORE}", re.ASCII | re.IGNORECASE
)
_GENOME_IN_FRONT = re.compile(_GENOME, re.ASCII | re.IGNORECASE)
# Two names of one genome.
_GENOMES = {"hg19": "grch37", "hg38": "grch38", "mm10": "grcm38", "mm39": "grcm39"}
# What every peak has; looking for it first is quick.
_TWO_NUMBERS = re.compile(r"\d[-_.\s]+\d", re.ASCII)
_CHROMOSOME = r"(?:\d{1,2}[AB]?|[WXYZM]|MT|Un\w*|[IVX]+)"
_PLACE = re.compile(
    rf"[\"']?{_GENOME}(?:chr{_CHROMOSOME}[^0-9A-Z].*|{_CHROMOSOME}[:;|/\t])\d.*", re.ASCII | re.IGNORECASE
)
# Stable id; version; mapping version of a lift-over; the copy on Y of a pseudoautosomal gene.
_ENSEMBL_ID = r"ENS[A-Z]*\d{6,}(?:\.\d+)?(?:[_-]\d+)?"
_ENSEMBL = re.compile(r"(ENS[A-Z]*\d{6,})(?:\.\d+)?(?:[_-]\d+)?([_-]PAR[_-]Y)?", re.ASCII | re.IGNORECASE)
_ID_FIRST = re.compile(
    rf"{_GENOME}(?P<id>{_ENSEMBL_ID})(?:[_|:;,/-]|\.(?=[A-Z])|\s*(?P<open>\()|\s+)(?!PAR[_-]Y$)(?P<symbol>.*\D.*?)(?(open)\))",
    re.ASCII | re.IGNORECASE,
)
# make.names() of R turns "A (B)" into "A..B.".
_ID_LAST = re.compile(
    rf"{_GENOME}(?P<symbol>.*[^_|:;.(\s-])(?:[_|:;.-]{{1,2}}|\s*(?P<open>\()|\s+)(?P<id>{_ENSEMBL_ID})(?(open)\)|\.?)",
    re.ASCII | re.IGNORECASE,
)
# Also without the key that Seurat puts before the name of a feature of an assay, and without that of a GFF file.
_WITHOUT_GENOME = re.compile(rf"(?:gene:|(?:rna|sct|adt)_)?{_GENOME}(.+)", re.ASCII | re.IGNORECASE)
# What str() of Python makes of bytes, and what quotes are left where a table is read without them.
_BYTES = re.compile(r"b?(['\"])(.+)\1", re.DOTALL)
# Seurat writes "-" for "_" and "|", make.names() of R writes "." for all of them.
_ONE_SEPARATOR = str.maketrans("_|.", "---")
# make.names() puts an X before a number.
_X_BEFORE_NUMBER = re.compile(r"[xX](?=\d)")
# As R and pandas number columns; numbers that once were floats end with ".0".
_NUMBERED = re.compile(r"(?:V|[Xx]|Var)?(\d{1,12})(?:\.0)?", re.ASCII)
# Words that say of a feature no more than that it is one.
_WORD_WITH_NUMBER = re.compile(
    r"((?:features?|genes?|peaks?|var|col|column|[fgvx])[\s_.-]*)(0|[1-9]\d{0,11})", re.ASCII | re.IGNORECASE
)
# "All" where a few may be called otherwise.
NEARLY_ALL = 0.95
# No genome has so many genes; Entrez ids, which are numbers too, go far beyond.
MOST_POSITIONS = 100_000


def as_peak(name: str) -> tuple[str, int, int] | None:
    """Return chromosome, start and end of a genomic interval, or None for another name.

    Read are chr1:10-20, chr1-10-20 and chr1_10_20, also with commas in numbers, a strand behind and the name of a
    genome in front; chr1:10..20; and what make.names() of R (chr1.10.20) or a line of a BED file makes of it.
    """
    match = _PEAK.fullmatch(name) if _TWO_NUMBERS.search(name) else None
    if match is None:
        return None
    chromosome, first, second = match[1], match[2], match[4]
    if first == "." or first.isspace() or second == "." or second.isspace():
        if first != second and not (first.isspace() and second.isspace()):
            return None
        if first == "." and _ENSEMBL.fullmatch(chromosome):
            return None
    start, end = (int(match[i].replace(",", "")) for i in (3, 5))
    if first == "." and chromosome[1:].isdecimal():
        chromosome = _X_BEFORE_NUMBER.sub("", chromosome)
    return (chromosome, start, end) if start < end else None


def split_genome(name: str) -> tuple[str, str, str]:
    """Return the genome in front of a name in one spelling ("" where there is none), as it is written, and the rest."""
    match = _GENOME_IN_FRONT.match(name)
    front = match[0] if match else ""
    genome = re.split(r"[^a-z0-9]", front.lower())[0]
    return _GENOMES.get(genome, genome), front, name[len(front) :]


def is_peak(name: str) -> bool:
    """Tell whether a name is that of a genomic interval."""
    return as_peak(name) is not None


def is_place(name: str) -> bool:
    """Tell whether a name begins with a chromosome and a position, as hardly a gene does, be it a peak or not."""
    return _PLACE.fullmatch(name) is not None


def are_ids(names: Names) -> bool:
    """Tell whether most of the names that there are hold an Ensembl id, by itself or beside a symbol."""
    some = [_bare(name) for name in names if name is not None]
    patterns = (_ENSEMBL, _ID_FIRST, _ID_LAST)
    return 2 * sum(any(one.fullmatch(name) for one in patterns) for name in some) > len(some)


def is_numbered(names: Names) -> bool:
    """Tell names that only say where a feature stands: 0, 1, 2, ... or 0.0, V1, X1, x1; also some of them.

    Entrez ids are numbers, too, but larger.
    """
    matches = list(takewhile(bool, map(_NUMBERED.fullmatch, names)))  # to the first name that is none
    numbers = [int(match[1]) for match in matches if match]
    return len(names) == len(numbers) > 1 and max(numbers) < max(MOST_POSITIONS, 2 * len(names))


def may_be_positions(wanted: Names, available: Names) -> bool:
    """Tell whether the names of both sides may say where a feature stands, such as gene_0, gene_1, ...

    Those of the data set are numbered in its order, from 0 or 1; those that are wanted may be some of such names.
    """
    sides = [[_WORD_WITH_NUMBER.fullmatch(name or "") for name in names] for names in (available, wanted)]
    words = Counter(match[1] for match in sides[0] if match)
    if not words:
        return False
    word = words.most_common(1)[0][0]
    numbers, others = ([int(match[2]) if match and match[1] == word else -1 for match in side] for side in sides)
    in_order = max(sum(number == i + first for i, number in enumerate(numbers)) for first in (0, 1))
    alike = sum(number >= 0 for number in others)
    return in_order >= NEARLY_ALL * len(numbers) and alike >= NEARLY_ALL * len(others)


def parts_of(names: Names) -> dict[str, Names]:
    """Return id and symbol apart where most names hold both, as ENSG00000141510_TP53 or TP53|ENSG00000141510 do.

    Returns
    -------
    ``ids`` and ``symbols``, None where a name does not hold both; nothing where few do.
    """
    ids, symbols = np.full(len(names), None), np.full(len(names), None)
    for i, name in enumerate(names):
        if name is None or "ens" not in name.lower():  # quick to see
            continue
        if (match := _ID_FIRST.fullmatch(bare := _bare(name)) or _ID_LAST.fullmatch(bare)) is None:
            continue
        ids[i], symbols[i] = match["id"], match["symbol"]
    most = 2 * np.sum(ids != None) > len(names)  # noqa: E711
    return {"ids": ids, "symbols": symbols} if most else {}


def canonical(name: str) -> str:
    """Return one spelling for all spellings of a name that mean the same feature.

    Peaks get one separator and lose a "chr", Ensembl ids lose their version and that of a lift-over, case, blanks
    around it and the name of a genome or assay in front no longer matter, ``_``, ``|`` and ``.`` are ``-``, as Seurat
    or R may write them, and the X is gone that R puts before numbers. Nothing else is taken to be equal: a
    symbol never matches an Ensembl id.
    """
    return _with_case(name).casefold()


def _bare(name: str) -> str:
    """Return a name without blanks or quotes around it, and without the b'' of bytes."""
    name = name.strip()
    match = _BYTES.fullmatch(name) if name.endswith(("'", '"')) else None
    return match[2].strip() if match else name


def _with_case(name: str) -> str:
    """Return what :func:`canonical` does, before case is folded; human and mouse genes differ by it."""
    name = _bare(name)
    peak = as_peak(name)
    if peak is not None:
        return f"{peak[0].lower().removeprefix('chr').translate(_ONE_SEPARATOR)}:{peak[1]}-{peak[2]}"
    bare = _WITHOUT_GENOME.fullmatch(name)
    name = bare[1] if bare else name
    ensembl = _ENSEMBL.fullmatch(name)
    if ensembl is not None:
        return ensembl[1].upper() + ("-PAR-Y" if ensembl[2] else "")
    return name.translate(_ONE_SEPARATOR)[_X_BEFORE_NUMBER.match(name) is not None :]


def match_names(wanted: Names, available: Names) -> npt.NDArray[np.intp]:
    """Find each wanted feature among the available ones.

    An equal name wins where only one of the available ones is equal. What is left is compared in its canonical
    spelling, at first with its case, and matched only where exactly one name on either side has that spelling. None is
    the name of nothing.

    Returns
    -------
    Position in `available` for each wanted name, -1 where there is none.
    """
    times = Counter(available)
    position = {name: i for i, name in enumerate(available) if name is not None and times[name] == 1}
    found = np.array([position.get(name, -1) for name in wanted], dtype=np.intp)
    n_equal = int((found >= 0).sum())
    for spelling in (_with_case, canonical):
        if (found < 0).any():
            _match_spelling(wanted, available, spelling, found)
    respelt = int((found >= 0).sum()) - n_equal
    if respelt:
        logger.info("%d features matched by another spelling (version suffix, case or separator)", respelt)
    return found


def _match_spelling(
    wanted: Names, available: Names, spelling: Callable[[str], str], found: npt.NDArray[np.intp]
) -> None:
    """Fill in what is not found yet by names that have one spelling."""
    wanted_keys = [None if name is None else spelling(name) for name in wanted]
    taken = set(found.tolist())
    free = [(spelling(name), i) for i, name in enumerate(available) if name is not None and i not in taken]
    # A spelling that an equal name has used already is counted too: "ACTB" found leaves "Actb" ambiguous.
    times_wanted, times_free = Counter(wanted_keys), Counter(key for key, _ in free)
    other = {key: i for key, i in free if times_free[key] == 1}
    for i in np.flatnonzero(found < 0):
        key = wanted_keys[i]
        if key is not None and times_wanted[key] == 1:
            found[i] = other.get(key, -1)
