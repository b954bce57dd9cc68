"""Gene annotations: one interval per gene, read from GTF, GFF3 or BED files or from a table."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..data.blocks import Names
from ..errors import ConfigError, InputError, excerpt
from ..support.checks import choice, path_like
from ..support.files import opened
from ..support.notices import logger
from .attributes import is_given, read_attributes
from .intervals import chromosome_keys, is_standard

__all__ = ["NAMES", "TABLE_COLUMNS", "gene_ids", "gene_types", "read_annotation"]

GENE_TYPES = ("gene", "ncRNA_gene", "pseudogene")
PART_TYPES = (("transcript",), ("exon",))
# The attributes that may hold a name, the most readable first, and those that hold a biotype.
NAME_KEYS = ("gene_name", "gene_symbol", "Name", "gene", "gene_id", "ID")
ID_KEYS = ("gene_id", "ID")
BIOTYPE_KEYS = ("gene_type", "gene_biotype", "biotype")
COLUMNS = ("chrom", "start", "end", "gene", "strand", "gene_id")
# What genes may be named by.
NAMES = ("gene_name", "gene_id")
# A table may have the columns of a file; its own word for the name is gene, or name.
TABLE_NAMES = ("gene", "name", *NAME_KEYS)
TABLE_COLUMNS = tuple(
    dict.fromkeys(["chrom", "start", "end", "strand", "type", "gene_id", "transcript_id", *TABLE_NAMES, *BIOTYPE_KEYS])
)
STRANDS = {"+": "+", "-": "-", "1": "+", "-1": "-"} | dict.fromkeys(
    ("", ".", "*", "?", "nan", "NA", "None", "<NA>"), "."
)
EXPECTED = "GTF or GFF3 (nine columns with tabs between) or BED (chromosome, start, end, name, score, strand)"


def read_annotation(
    path_or_table: str | os.PathLike[str] | pd.DataFrame | None,
    *,
    biotypes: Sequence[str] | None = None,
    names: str = "gene_name",
) -> pd.DataFrame:
    """Read where the genes are.

    GTF and GFF3: features of the types gene, ncRNA_gene and pseudogene, named by the first of the attributes
    gene_name, gene_symbol, Name, gene, gene_id and ID that says anything: "." and "NA" do not; types and attributes may
    be in capitals. Where there are none, transcripts (else exons) are joined per gene_id, or per transcript_id where
    the gene_id is nothing but the name (as in files of UCSC). Positions are brought from 1-based closed to 0-based
    half-open. BED: columns 1 to 4 and 6 (strand), as they are.

    One row per gene: loci of one name that overlap on one chromosome, on one strand or partly without one, are one
    gene from the first to the last base. A name on chromosomes and on scaffolds (alternative haplotypes, say) keeps
    the chromosomes; a name on X and on Y (pseudo-autosomal) keeps X. Any other name at several places, or on both
    strands, is ambiguous and left out. Genes without a strand keep ".".

    Parameters
    ----------
    path_or_table
        A file (GTF, GFF3 or BED, plain or gzip), or a table with the columns chrom, start, end (0-based, half-open),
        gene or name (or what a file has for it), and if known strand. A table with the column type is read like a file
        with features of these types; one without is joined per gene_id where that is more than the name.
    biotypes
        Keep only genes with one of these in gene_type, gene_biotype or biotype, such as ``["protein_coding"]``.
    names
        ``"gene_id"`` names genes by gene_id (or the ID of a gene in GFF3); those without one are left out.

    Returns
    -------
    Table with the columns chrom, start, end (0-based, half-open), gene, strand ("+", "-" or ".") and gene_id (of its
    first locus; None where it is not known), in the order of the file.

    Raises
    ------
    InputError
        ``no_annotation`` for None; ``file_not_found``; ``annotation_format`` for other files and for positions that are
        no numbers; ``annotation_without_genes`` where no gene is left, or none has an id and `names` asks for it.
    ConfigError
        ``bad_argument``.
    """
    choice("names", names, NAMES)
    if path_or_table is None:
        raise InputError("no_annotation", "There is no annotation: give a GTF, GFF3 or BED file of genes, or a table.")
    if isinstance(path_or_table, pd.DataFrame):
        loci, source = _from_table(path_or_table), "The table"
    else:
        path = path_like("annotation", path_or_table)
        loci, source = (_from_bed(path) if _is_bed(path) else _from_gff(path)), path.name
    if biotypes is not None:
        wanted = [biotypes] if isinstance(biotypes, str) else biotypes
        if not isinstance(wanted, Iterable):
            raise ConfigError("bad_argument", f"biotypes must be a list of names, not {biotypes!r:.60}.")
        loci = _of_biotypes(loci, list(wanted), source)
    loci = _checked(loci, source)
    if names == "gene_id":
        loci = _by_id(loci, source)
    genes = _one_per_name(loci)
    if genes.empty:
        raise InputError("annotation_without_genes", f"{source}: every gene name is missing or at several places.")
    logger.info("%s: %d genes", source, len(genes))
    return genes


def gene_ids(genes: pd.DataFrame, names: Names) -> Names | None:
    """Return the id of each of some genes of an annotation, empty text where it is not known; None without any id."""
    if not genes["gene_id"].notna().any():
        return None
    found: Names = genes.set_index("gene")["gene_id"].reindex(names).fillna("").to_numpy(object)
    return found


def gene_types(types: Iterable[str]) -> tuple[str, ...]:
    """Choose the types of features by which the genes of an annotation are known.

    Parameters
    ----------
    types
        The types that it has, in small letters or capitals.

    Returns
    -------
    The types of genes, else that of transcripts, else that of exons, also as the annotation spells them; nothing where
    it has none of them.
    """
    there = dict.fromkeys(types)
    for kinds in (GENE_TYPES, *PART_TYPES):
        spelt = _spelt(there, kinds)
        if spelt:
            return tuple(dict.fromkeys([*kinds, *spelt]))
    return ()


def _spelt(types: Iterable[str], kinds: Sequence[str]) -> list[str]:
    """Return which types are of some kinds, in small letters or capitals."""
    folded = {kind.casefold() for kind in kinds}
    return [kind for kind in types if kind.casefold() in folded]


def _are_parts(kinds: Sequence[str]) -> bool:
    """Tell transcripts and exons from genes."""
    return any((kind,) in PART_TYPES for kind in kinds)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the fields of each line that holds data, of a plain or gzip file."""
    try:
        with opened(path) as lines:
            for number, line in enumerate(lines, 1):
                if line.startswith("##FASTA"):
                    return
                if "\0" in line:
                    raise InputError(
                        "annotation_format",
                        f"Line {number} of {path.name} holds a zero byte. Expected text in UTF-8: {EXPECTED}.",
                    )
                if line.strip() and not line.startswith(("#", "track ", "browser ")):
                    yield number, line.rstrip("\n").split("\t")
    except OSError as error:
        raise InputError("annotation_format", str(error)) from error


def _is_bed(path: Path) -> bool:
    """Tell BED from GTF and GFF3, by the end of the name or else by the first line with data."""
    suffix = Path(path.name.lower().removesuffix(".gz").removesuffix(".bgz")).suffix
    if suffix in (".bed", ".gtf", ".gff", ".gff3"):
        return suffix == ".bed"
    _, fields = next(_lines(path), (0, [""]))
    for bed, positions, fewest in ((True, fields[1:3], 4), (False, fields[3:5], 9)):
        if len(fields) >= fewest and all(text.isdecimal() for text in positions):
            return bed
    raise InputError("annotation_format", f"{path.name} is not an annotation. Expected {EXPECTED}.")


def _table(rows: Sequence[Sequence[str | None]], columns: Sequence[str], path: Path) -> pd.DataFrame:
    if not rows:
        raise InputError("annotation_without_genes", f"{path.name} holds no genes: it has no lines with data.")
    return pd.DataFrame(rows, columns=list(columns), dtype=object)


def _from_bed(path: Path) -> pd.DataFrame:
    rows: list[list[str | None]] = []
    for number, fields in _lines(path):
        if len(fields) < 4:
            raise _too_few(path, number, fields)
        rows.append([*fields[:4], fields[5] if len(fields) > 5 else ".", None])
    return _table(rows, COLUMNS, path)


def _from_gff(path: Path) -> pd.DataFrame:
    types: Counter[str] = Counter()
    genes = _features(path, GENE_TYPES, types)
    kinds = gene_types(types)
    if _are_parts(kinds):
        return _joined(_described(_features(path, kinds), path, ["gene_id"]), path.name)
    if not kinds:
        found = ", ".join(f"{count} {kind}" for kind, count in types.most_common(5)) or "no features at all"
        raise InputError(
            "annotation_without_genes",
            f"{path.name} holds no features of type gene, transcript or exon, but {found}. Give the full annotation.",
        )
    return _described(genes, path, ID_KEYS)


def _features(path: Path, wanted: Sequence[str], types: Counter[str] | None = None) -> list[list[str]]:
    """Return chromosome, start, end, strand and attributes of the wanted features; count the types of all."""
    rows, folded = [], {kind.casefold() for kind in wanted}
    for number, fields in _lines(path):
        if len(fields) < 9:
            raise _too_few(path, number, fields)
        if types is not None:
            types[fields[2]] += 1
        if fields[2].casefold() in folded:
            rows.append([fields[0], fields[3], fields[4], fields[6], " ".join(fields[8:])])
    return rows


def _too_few(path: Path, number: int, fields: list[str]) -> InputError:
    return InputError(
        "annotation_format",
        f"Line {number} of {path.name} has {len(fields)} columns ({excerpt(' '.join(fields))}). Expected {EXPECTED}.",
    )


def _described(rows: list[list[str]], path: Path, id_keys: Sequence[str]) -> pd.DataFrame:
    """Read the attributes, of which some may hold the id of a gene, and make positions 0-based."""
    loci = _table(rows, ("chrom", "start", "end", "strand", "text"), path)
    wanted = {*NAME_KEYS, *BIOTYPE_KEYS, "transcript_id"}
    attributes = [read_attributes(text, wanted) for text in loci.pop("text")]

    def first(keys: Sequence[str]) -> pd.Series:
        values = [next((found[key] for key in keys if key in found), None) for found in attributes]
        return pd.Series(values, index=loci.index, dtype=object)

    loci["start"] = pd.to_numeric(loci["start"], errors="coerce") - 1
    loci["gene"] = first(NAME_KEYS).str.removeprefix("gene:")
    loci["biotype"] = first(BIOTYPE_KEYS)
    loci["id"], loci["transcript"] = first(["gene_id"]), first(["transcript_id"])
    loci["gene_id"] = first(id_keys).str.replace("^gene[:-]", "", regex=True)
    odd = loci["gene"].str.contains('"', regex=False, na=False)
    if odd.any():
        raise InputError(
            "annotation_format",
            f"{path.name}: the attributes of {int(odd.sum())} genes cannot be told apart (the first: "
            f'{excerpt(loci.loc[odd, "gene"].iloc[0])}). Expected key "value"; (GTF) or key=value; (GFF3).',
        )
    return loci


def _joined(parts: pd.DataFrame, source: str) -> pd.DataFrame:
    """Join transcripts or exons into genes; what does not join here may still overlap and be joined by its name."""
    parts = _checked(parts, source)
    parts["id"] = parts["id"].where(parts["id"] != parts["gene"], parts["transcript"])
    parts["id"] = parts["id"].where(parts["id"].notna(), parts["gene"])
    return (
        parts.groupby(["id", "chrom", "strand", "gene"], sort=False)
        .agg({"start": "min", "end": "max", "biotype": "first", "gene_id": "first"})
        .reset_index()
    )


def _from_table(table: pd.DataFrame) -> pd.DataFrame:
    name = next((key for key in TABLE_NAMES if key in table), "gene")
    missing = [column for column in ("chrom", "start", "end", name) if column not in table]
    if missing:
        raise InputError(
            "annotation_format",
            f"The table has no column {', '.join(missing)} (it has {', '.join(map(str, table.columns))}). Expected "
            "chrom, start, end (0-based, half-open), gene (or name) and strand.",
        )
    kinds = gene_types(table["type"].dropna()) if "type" in table else ()
    table = (table[table["type"].isin(kinds)] if kinds else table).reset_index(drop=True)

    def first(keys: Sequence[str]) -> pd.Series:
        found = np.full(len(table), None, dtype=object)
        for key in keys:
            missing = pd.isna(found)
            if key in table and missing.any():
                values = table[key].to_numpy(object)
                found[missing] = [value if is_given(value) else None for value in values[missing]]
        return pd.Series(found, dtype=object)

    loci = table[["chrom", "start", "end"]].assign(
        strand=table.get("strand", "."),
        gene=first(TABLE_NAMES).map(lambda name: str(name).removeprefix("gene:"), na_action="ignore"),
        biotype=first(BIOTYPE_KEYS),
        id=first(["gene_id"]),
        transcript=first(["transcript_id"]),
        gene_id=first(ID_KEYS),
    )
    id_says_more = (loci["id"].notna() & loci["id"].ne(loci["gene"])).any()
    are_parts = id_says_more if not kinds else _are_parts(kinds)
    return _joined(loci, "The table") if are_parts else loci


def _of_biotypes(loci: pd.DataFrame, biotypes: list[str], source: str) -> pd.DataFrame:
    there = loci["biotype"] if "biotype" in loci else pd.Series(np.nan, index=loci.index, dtype=object)
    kept = there.isin(biotypes)
    if not kept.any():
        found = ", ".join(map(str, there.value_counts().index[:5])) or "no biotypes"
        raise InputError(
            "annotation_without_genes",
            f"{source} holds no gene of the biotypes {', '.join(biotypes)}, but {found}. Leave out biotypes= for all.",
        )
    return loci[kept]


def _by_id(loci: pd.DataFrame, source: str) -> pd.DataFrame:
    """Name genes by their ids; what has none is left out."""
    known = loci["gene_id"].notna()
    if not known.any():
        raise InputError(
            "annotation_without_genes",
            f"{source} holds no ids of genes (gene_id, or in GFF3 ID): give an annotation that does, or leave out "
            "names='gene_id'.",
        )
    if not known.all():
        logger.info("%s: %d of %d loci have no gene_id and are left out", source, (~known).sum(), len(loci))
    return loci[known].assign(gene=loci["gene_id"])


def _checked(loci: pd.DataFrame, source: str) -> pd.DataFrame:
    """Return positions as whole numbers and strands in one spelling; refuse what is neither."""
    chrom, strand = (loci[column].astype(object).map(str) for column in ("chrom", "strand"))  # astype(str) may keep NaN
    strand = strand.str.strip().map(STRANDS)
    start, end = (pd.to_numeric(loci[column], errors="coerce") for column in ("start", "end"))
    wrong = ~((start >= 0) & (start < end) & (start % 1 == 0) & (end % 1 == 0)) | strand.isna()
    if wrong.any():
        first = " ".join(map(str, loci.loc[wrong, ["chrom", "start", "end", "gene", "strand"]].iloc[0]))
        raise InputError(
            "annotation_format",
            f"{source}: {int(wrong.sum())} genes have no valid start, end or strand (the first: {first}). Expected "
            f"whole numbers with start < end and a strand + - or . in {EXPECTED}.",
        )
    positions = {"start": start.astype(np.int64), "end": end.astype(np.int64)}
    return loci.assign(chrom=chrom, strand=strand, **positions)


def _one_per_name(loci: pd.DataFrame) -> pd.DataFrame:
    """Join the overlapping loci of each name, and leave out names that are still at several places."""
    named = loci[loci["gene"].map(is_given).astype(bool)]
    named = named.assign(
        gene=named["gene"].astype(str),
        key=chromosome_keys(named["chrom"]),
        plus=named["strand"].eq("+"),
        minus=named["strand"].eq("-"),
        rank=np.arange(len(named)),
    ).sort_values(["gene", "key", "start"], kind="stable", ignore_index=True)
    place = named.groupby(["gene", "key"], sort=False)
    reached = place["end"].cummax().shift(fill_value=-1)
    named["locus"] = (place.cumcount().eq(0) | named["start"].ge(reached)).cumsum()
    how = {"chrom": "first", "start": "min", "end": "max", "gene": "first", "key": "first", "rank": "min"}
    how |= {"gene_id": "first"}
    genes = named.groupby("locus", sort=False).agg({**how, "plus": "any", "minus": "any"})
    genes["strand"] = np.select([genes["plus"], genes["minus"]], ["+", "-"], ".").astype(object)
    genes = genes[~_elsewhere(genes)]
    clear = ~genes["gene"].duplicated(keep=False) & ~(genes["plus"] & genes["minus"])
    if not clear.all():
        left_out = genes.loc[~clear, "gene"].unique()
        shown = ", ".join(left_out[:5])
        logger.info("%d gene names are left out: at several places, or on both strands (%s)", len(left_out), shown)
    return genes[clear].sort_values("rank", ignore_index=True)[[*COLUMNS]]


def _elsewhere(genes: pd.DataFrame) -> pd.Series:
    """Tell the loci that are no places of their own: scaffolds besides chromosomes, and Y besides X."""
    usual = pd.Series(is_standard(genes["chrom"]), index=genes.index)
    on_scaffold = ~usual & usual.groupby(genes["gene"]).transform("any")
    seen = genes[~on_scaffold]
    keys = seen.groupby("gene")["key"]
    both = keys.transform("nunique").eq(2) & keys.transform("size").eq(2)
    on_x = seen["key"].eq("X").groupby(seen["gene"]).transform("any")
    on_y = both & on_x & seen["key"].eq("Y")
    return on_scaffold | on_y.reindex(genes.index, fill_value=False)
