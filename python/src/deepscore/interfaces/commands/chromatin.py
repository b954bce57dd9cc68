"""Commands of chromatin: ``bridge``, ``activity``, ``peaks``, ``embed``."""

from __future__ import annotations

from typing import Any

import click

from .transfer import ADDED, write_lines
from .verb import (
    INPUT,
    READING,
    Output,
    Verb,
    Verbs,
    conclude,
    given,
    lines_of,
    manifest_in,
    modality,
    names_of,
    reading,
    say,
    setting,
    spoken,
    words,
)

__all__ = ["activity", "bridge", "embed", "peaks"]

BRIDGE, ACTIVITY = "workflows.train_bridge:BridgeRequest", "workflows.gene_activity:ActivityRequest"
COMMON, MATCH = "workflows.peaks:CommonPeaksRequest", "workflows.peaks:MatchRequest"
EMBED, FRAGMENTS = "workflows.embed:EmbedRequest", "workflows.peaks:FragmentsRequest"
WANTED = "PEAKS is a BED file, a data set of peaks, a model file, or a text file with names of peaks in its lines."
COUNTING = words("fragments", "insertions")
STORE = click.option(
    "-o", "--output", required=True, type=Output(stores=True), metavar="OUT", help=".h5ad or .zarr to write."
)


@click.command(cls=Verb)
@click.argument("rna_model", metavar="RNA", type=INPUT)
@click.argument("multiome", metavar="MULTIOME", type=INPUT)
@click.option("--labels", metavar="COL", help="Column of obs with the labels of the reference.")
@spoken
@setting("--modality", request=BRIDGE, type=words("peaks", "activity"), help="peaks or activity.")
@click.option("--annotation", type=INPUT, metavar="GENES", help="GTF, GFF3 or BED file, for activity.")
@setting("--upstream", request=BRIDGE, type=int, metavar="N", help="Bases of promoter, for activity.")
@click.option("--features", type=INPUT, metavar="FILE", help="Peaks (or genes) to use, one in a line.")
@reading(of="the multiome's RNA")
@reading("atac", "the multiome's ATAC")
@reading("reference", "RNA where it is a reference")
@click.option("--batch", metavar="COL", help="Column of obs with the batches of the multiome.")
@setting("--threshold", request=BRIDGE, type=float, metavar="SCORE", help="Lowest score to learn from.")
@setting("--seed", request=BRIDGE, type=int, help="Seed of every random choice.")
@click.option("-o", "--output", required=True, type=Output(), metavar="MODEL", help="Model file to write.")
def bridge(output: str, features: str | None, **options: Any) -> None:
    """Train a model of chromatin through a multiome.

    RNA is a model file, or an annotated RNA reference with --labels; MULTIOME an .h5mu with the modalities rna and
    atac.
    """
    from ..python_chromatin import train_bridge

    of_others = [f"{data}_{name}" for data in ("reference", "atac") for name in READING]
    names = ("modality", "labels", "annotation", "upstream", "batch", "threshold", "seed", "missing")
    how = given(options, *names, *READING, *of_others)
    if features is not None:
        how["common_features"] = lines_of(features)
    model = train_bridge(options["rna_model"], options["multiome"], **how)
    model.save(output)
    conclude(f"{model!r}\n-> {output}")


@click.command(cls=Verb)
@click.argument("x", metavar="X", type=INPUT)
@click.argument("annotation", metavar="GENES", type=INPUT)
@modality
@reading()
@click.option("--cells", type=INPUT, metavar="FILE", help="Barcodes to count in fragments, one in a line.")
@setting("--upstream", request=ACTIVITY, type=int, metavar="N", help="Bases of promoter.")
@setting("--downstream", request=ACTIVITY, type=int, metavar="N", help="Bases after the end of a gene.")
@setting("--weighting", request=ACTIVITY, type=words("none", "distance"), help="none, or distance (of peaks).")
@click.option("--biotypes", multiple=True, metavar="TYPE", help="Keep only such genes (may be repeated).")
@setting("--counting", request=ACTIVITY, type=COUNTING, help="Of fragments: fragments or insertions.")
@setting("--names", request=ACTIVITY, type=words("gene_name", "gene_id"), help="gene_name or gene_id.")
@STORE
def activity(output: str, **options: Any) -> None:
    """Compute gene activity from peaks or fragments.

    X is an .h5ad or .zarr of peaks, or a fragments file; GENES a GTF, GFF3 or BED file.
    """
    from ..python_chromatin import gene_activity
    from ..writers import write_result

    how = given(options, "upstream", "downstream", "weighting", "counting", *READING, "modality", "names")
    if options["cells"] is not None:
        how["cells"] = names_of(options["cells"])
    if options["biotypes"]:
        how["biotypes"] = options["biotypes"]
    found = gene_activity(options["x"], options["annotation"], **how)
    write_result(found, None, None, output)
    conclude(f"{found.n_obs} cells x {found.n_vars} genes -> {output}")


@click.group(cls=Verbs)
def peaks() -> None:
    """Bring data sets to one set of peaks."""


@peaks.command(cls=Verb)
@click.argument("datasets", metavar="DATA...", nargs=-1, required=True, type=INPUT)
@setting("--how", request=COMMON, type=words("intersection", "union"), help="intersection or union.")
@setting("--min-width", request=COMMON, type=int, metavar="N", help="Least width in bases.")
@setting("--max-width", request=COMMON, type=int, metavar="N", help="Greatest width in bases.")
@setting("--standard-chromosomes/--all-chromosomes", request=COMMON, help="Leave out peaks on scaffolds, or do not.")
@click.option("--feature-names", metavar="COL", help="Column of var that names the peaks.")
@click.option(
    "-o", "--output", type=Output(), metavar="FILE", help=".bed: a BED file; else the names of peaks, one in a line."
)
def common(datasets: tuple[str, ...], output: str | None, **options: Any) -> None:
    """Merge the peaks of several data sets into one set for all of them.

    DATA are .h5ad, .zarr or BED files, or text files with names of peaks in their lines. Without an output the names
    are printed.
    """
    from ...chromatin.intervals import parse_peaks
    from ..python_chromatin import find_common_peaks

    how = given(options, "how", "min_width", "max_width", "standard_chromosomes", "feature_names")
    found = find_common_peaks([_peaks(path) for path in datasets], **how)
    if output is None:
        say("\n".join(found))
        return
    lines: list[str] = list(found)
    if output.lower().endswith(".bed"):
        table = parse_peaks(found)
        lines = [f"{c}\t{a}\t{b}" for c, a, b in zip(table.chrom, table.start, table.end, strict=True)]
    write_lines(output, lines)
    conclude(f"{len(found)} peaks -> {output}")


@peaks.command(cls=Verb, epilog=WANTED)
@click.argument("query", metavar="QUERY", type=INPUT)
@click.argument("wanted", metavar="PEAKS", type=INPUT)
@click.option("--fragments", type=INPUT, metavar="FILE", help="Fragments file of the query: exact counts.")
@modality
@reading()
@setting("--min-overlap", request=MATCH, type=float, metavar="SHARE", help="Least share of PEAKS to cover.")
@setting("--counting", request=MATCH, type=COUNTING, help="Of fragments: fragments or insertions.")
@STORE
def match(query: str, wanted: str, output: str, **options: Any) -> None:
    """Count a query over another set of peaks: by overlap, or exactly with --fragments."""
    from ..python_chromatin import match_peaks
    from ..writers import write_result

    how = given(options, "fragments", *READING, "modality", "min_overlap", "counting")
    found = match_peaks(query, _peaks(wanted), **how)
    write_result(found, None, None, output)
    covered = int(found.var["covered"].sum())
    conclude(f"{found.n_obs} cells x {found.n_vars} peaks ({covered} covered) -> {output}")


@peaks.command(cls=Verb, epilog=WANTED)
@click.argument("fragments", metavar="FRAGMENTS", type=INPUT)
@click.argument("wanted", metavar="PEAKS", type=INPUT)
@click.option(
    "--cells",
    type=INPUT,
    metavar="FILE",
    help="Barcodes to count, one in a line, or a data set with these cells, whose obs is kept.",
)
@setting("--counting", request=FRAGMENTS, type=COUNTING, help="fragments or insertions.")
@STORE
def count(fragments: str, wanted: str, cells: str | None, output: str, **options: Any) -> None:
    """Count a 10x fragments file in peaks."""
    from ..python_chromatin import count_fragments
    from ..writers import write_result

    found = count_fragments(fragments, _peaks(wanted), _cells(cells), **given(options, "counting"))
    write_result(found, None, None, output)
    conclude(f"{found.n_obs} cells x {found.n_vars} peaks -> {output}")


def _cells(path: str | None) -> Any:
    """Return the names of cells in a text file, or the table of cells of a data set."""
    from ..readers import open_source
    from ..stores import MATRICES, suffix_of

    if path is None:
        return None
    return open_source(path).obs if suffix_of(path) in MATRICES else names_of(path)


def _peaks(path: str) -> Any:
    """Return what has the peaks: those of a model file, names in the lines of a text file, or the path itself."""
    from ...data.names import is_peak
    from ..python_chromatin import is_file

    if (manifest := manifest_in(path)) is not None:
        return manifest["features"]
    if not is_file(path):
        return path
    lines = [line.strip() for line in lines_of(path)]
    return lines if lines and is_peak(lines[0]) and "\t" not in lines[0] else path


@click.command(cls=Verb)
@click.argument("model", metavar="MODEL", type=INPUT)
@click.argument("query", metavar="QUERY", type=INPUT)
@click.option("-o", "--output", required=True, type=Output(adds_to="query"), metavar="OUT", help=ADDED)
@modality
@reading()
@setting("--min-overlap", request=EMBED, type=float, metavar="SHARE", help="Least share of peaks to have.")
def embed(model: str, query: str, output: str, **options: Any) -> None:
    """Project a query to the LSI of a model of peaks.

    QUERY holds cells x peaks.
    """
    import pandas as pd

    from ...workflows import embed as embedding
    from ..python import load
    from ..readers import open_source
    from ..writers import add_embedding, write_result

    source = open_source(query, **given(options, *READING, "modality"))
    request = embedding.EmbedRequest(modality=source.modality, **given(options, "min_overlap"))
    found = embedding.embed(load(model).model, source.blocks, request)
    table = pd.DataFrame(found, pd.Index(source.blocks.cell_names, name="cell"))
    table.columns = [f"LSI_{i + 1}" for i in range(table.shape[1])]
    write_result(add_embedding(source, found), source.key, query, output, table)
    conclude(f"{len(found)} cells x {found.shape[1]} components -> {output}")
