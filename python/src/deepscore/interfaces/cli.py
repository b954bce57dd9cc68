"""The command line: ``deepscore check``, ``train``, ``bridge``, ``activity``, ``annotate``, ``embed``, ``inspect``."""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from ..errors import DeepScoreError, InputError, printable
from ..support.files import opened, replacing, require_writable
from ..support.notices import telling_once
from ..support.progress import progress_shown
from ..version import CREATED_WITH

if TYPE_CHECKING:
    from ..data.modality import Modality

__all__ = ["main"]

# Arguments that name files to read, and files to write.
INPUTS = ("reference", "query", "rna_model", "multiome", "x", "annotation", "cells", "model", "peaks", "peaks_model")
OUTPUTS = ("output", "report")
# How a data set is read, and how a query is.
READING = ("layer", "values", "feature_names")
OF_QUERY = tuple(f"query_{name}" for name in READING)
OUT_HELP = (
    ".h5ad, .zarr or .h5mu: the whole query with what is new (named as the query, it takes its place once it is "
    "complete); .csv, .tsv (.gz) or .parquet: a table of what is new"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return 0, or 1 after an error that is printed with its code."""
    _require_streams()
    arguments = _parser().parse_args(argv)
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("deepscore").setLevel(logging.WARNING if arguments.quiet else logging.INFO)
    logging.captureWarnings(capture=True)
    warnings.formatwarning = lambda message, *where: f"warning: {message}"
    try:
        _require_outputs(arguments)
        with _stopped_by_signals(), progress_shown(not arguments.quiet):
            telling_once(arguments.run)(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads the output, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at the end
        return 1
    except KeyboardInterrupt as stop:
        number = stop.args[0] if stop.args else signal.SIGINT
        print(f"deepscore: stopped ({signal.Signals(number).name}); no output was changed [stopped]", file=sys.stderr)
        return 128 + number
    except (DeepScoreError, OSError) as error:
        print(printable(f"deepscore: {error} [{getattr(error, 'code', 'os_error')}]"), file=sys.stderr)
        return 1
    return 0


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does: what was half written is removed."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _require_streams() -> None:
    """Print to nowhere where output is closed, and what the terminal cannot show by its number."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _require_outputs(arguments: argparse.Namespace) -> None:
    """Refuse outputs that cannot be written, and one that would replace an input or another output.

    A store may be annotated or embedded in place.
    """
    in_place: tuple[str, ...] = ("no such",)
    if arguments.run in (_annotate, _activity, _embed):
        from .writers import STORES, require_output

        if arguments.run is _activity:
            require_output(arguments.output, None, STORES)
        else:
            require_output(arguments.output, arguments.query)
            in_place = STORES
    elif getattr(arguments, "output", None) is not None:
        require_writable(arguments.output)
    if getattr(arguments, "report", None) is not None:
        require_writable(arguments.report)
    given = [getattr(arguments, name, None) or [] for name in INPUTS]
    taken = [path for paths in given for path in ([paths] if isinstance(paths, str) else paths)]
    for name in OUTPUTS:
        path = getattr(arguments, name, None)
        if path is None:
            continue
        own = arguments.query if name == "output" and path.lower().endswith(in_place) else None
        if os.path.realpath(path) in [os.path.realpath(other) for other in taken if other != own]:
            raise InputError("path_not_writable", f"{path} is read or written by this command already: name another.")
        taken.append(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="deepscore", description="Label transfer for single-cell data.")
    parser.add_argument("--version", action="version", version=CREATED_WITH)
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

    check = verbs.add_parser("check", help="tell which labels can be trusted with a reference")
    check.add_argument(
        "reference",
        metavar="REF",
        help="cells x features: .h5ad, .zarr, .h5mu, .h5 or folder of Cell Ranger, .loom, .csv",
    )
    check.add_argument("--labels", required=True, metavar="COL", help="column of obs with the labels")
    _add_missing(check)
    check.add_argument("--query", help="the data set to annotate: tell which features it has, too")
    _add_matrix(check)
    _add_reading(check, "query")
    check.add_argument("--batch", metavar="COL", help="column of obs with the batches: leave out whole ones")
    check.add_argument("--folds", type=int, default=5, metavar="N", help="times to leave cells out (default: 5)")
    check.add_argument("--seed", type=int, default=0)
    check.set_defaults(run=_check)

    train = verbs.add_parser("train", help="train a model on an annotated reference")
    train.add_argument(
        "reference",
        metavar="REF",
        help="cells x features: .h5ad, .zarr, .h5mu, .h5 or folder of Cell Ranger, .loom, .csv",
    )
    train.add_argument("--labels", required=True, metavar="COL", help="column of obs with the labels")
    _add_missing(train)
    train.add_argument("--query", action="append", default=[], help="choose features shared with it (may be repeated)")
    train.add_argument(
        "--n-features", type=int, metavar="N", help="features to use (default: 2000 genes or 10000 peaks)"
    )
    train.add_argument("--strategy", default="variable", help="variable, markers_in_variable or markers")
    _add_matrix(train)
    _add_reading(train, "query")
    train.add_argument("--batch", metavar="COL", help="column of obs with the batches of the reference")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("-o", "--output", required=True, metavar="MODEL", help="model file to write")
    train.set_defaults(run=_train)

    bridge = verbs.add_parser("bridge", help="train a model of chromatin through a multiome")
    bridge.add_argument("rna_model", metavar="RNA", help="model file, or annotated RNA reference with --labels")
    bridge.add_argument("multiome", metavar="MULTIOME", help=".h5mu with the modalities rna and atac")
    bridge.add_argument("--labels", metavar="COL", help="column of obs with the labels of the reference")
    _add_missing(bridge)
    bridge.add_argument("--modality", default="peaks", help="peaks or activity (default: peaks)")
    bridge.add_argument("--annotation", metavar="GENES", help="GTF, GFF3 or BED file, for activity")
    _add_reading(bridge, of="the multiome's RNA")
    _add_reading(bridge, "atac", "the multiome's ATAC")
    _add_reading(bridge, "reference", "RNA where it is a reference")
    bridge.add_argument("--batch", metavar="COL", help="column of obs with the batches of the multiome")
    bridge.add_argument("--threshold", type=float, default=0.5, help="lowest score to learn from (default: 0.5)")
    bridge.add_argument("--seed", type=int, default=0)
    bridge.add_argument("-o", "--output", required=True, metavar="MODEL", help="model file to write")
    bridge.set_defaults(run=_bridge)

    activity = verbs.add_parser("activity", help="compute gene activity from peaks or fragments")
    activity.add_argument("x", metavar="X", help=".h5ad or .zarr of peaks, or a fragments file")
    activity.add_argument("annotation", metavar="GENES", help="GTF, GFF3 or BED file")
    _add_matrix(activity)
    activity.add_argument("--cells", metavar="FILE", help="barcodes to count in fragments, one in a line")
    activity.add_argument("--upstream", type=int, default=2000, metavar="N", help="bases of promoter (default: 2000)")
    activity.add_argument("--weighting", default="none", help="none, or distance (of peaks)")
    activity.add_argument("--names", default="gene_name", help="gene_name, or gene_id (default: gene_name)")
    activity.add_argument("-o", "--output", required=True, metavar="OUT", help=".h5ad or .zarr to write")
    activity.set_defaults(run=_activity)

    annotate = verbs.add_parser("annotate", help="annotate a query with a model file")
    annotate.add_argument("model", metavar="MODEL")
    annotate.add_argument("query", metavar="QUERY", help="as REF of train")
    annotate.add_argument("-o", "--output", required=True, metavar="OUT", help=OUT_HELP)
    annotate.add_argument("--threshold", type=float, default=0.5, help="lowest score of a label (default: 0.5)")
    _add_matrix(annotate)
    annotate.add_argument("--batch", metavar="COL", help="column of obs with the batches of the query")
    annotate.add_argument(
        "--min-overlap", type=float, default=0.1, metavar="SHARE", help="least share of features to have (default: 0.1)"
    )
    annotate.add_argument("--groups", metavar="COL", help="column of obs with clusters: a call for each, by vote")
    annotate.add_argument("--peaks", help="for gene activity: .h5ad with the raw peaks of the same cells")
    _add_reading(annotate, "peaks")
    annotate.add_argument("--peaks-model", metavar="MODEL", help="a model of peaks that calls them, such as a bridge")
    annotate.add_argument("--no-refine", action="store_true", help="call each cell by itself")
    annotate.add_argument("--probabilities", action="store_true", help="add the table of all probabilities")
    annotate.add_argument("--report", metavar="HTML", help="write a report as an HTML page")
    annotate.set_defaults(run=_annotate)

    embed = verbs.add_parser("embed", help="project a query to the LSI components of a model of peaks")
    embed.add_argument("model", metavar="MODEL")
    embed.add_argument("query", metavar="QUERY", help=".h5ad, .zarr or .h5mu, cells x peaks")
    embed.add_argument("-o", "--output", required=True, metavar="OUT", help=OUT_HELP)
    _add_matrix(embed)
    embed.set_defaults(run=_embed)

    inspect = verbs.add_parser("inspect", help="print the manifest of a model file as JSON")
    inspect.add_argument("model", metavar="MODEL")
    inspect.set_defaults(run=_inspect)
    quiet: dict[str, Any] = {"action": "store_true", "help": "print warnings and errors only, and what was asked for"}
    parser.add_argument("-q", "--quiet", **quiet)
    for command in verbs.choices.values():  # behind the command, too
        command.add_argument("-q", "--quiet", default=argparse.SUPPRESS, **quiet)
    return parser


def _add_matrix(command: argparse.ArgumentParser) -> None:
    _add_reading(command)
    command.add_argument("--modality", help="modality of an .h5mu file, or of a matrix of genes and peaks")


def _add_reading(command: argparse.ArgumentParser, data: str | None = None, of: str | None = None) -> None:
    """Add what says how to read a data set; other ones than the first have their name in front."""
    before, of = ("--", of or "X") if data is None else (f"--{data}-", of or f"--{data}")
    command.add_argument(f"{before}layer", metavar="LAYER", help=f"layer to read in place of X; raw is .raw ({of})")
    command.add_argument(f"{before}values", metavar="VALUES", help=f"what the values are: counts or lognorm ({of})")
    command.add_argument(f"{before}feature-names", metavar="COL", help=f"column of var with names, or index ({of})")


def _add_missing(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--missing",
        nargs="*",
        action="extend",
        metavar="WORD",
        help="words that stand for a missing label (without any: no word does; default: NA, unknown and their like)",
    )


def _given(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in names}


def _conclude(arguments: argparse.Namespace, text: str) -> None:
    """Say what was written."""
    if not arguments.quiet:
        _say(text)


def _check(arguments: argparse.Namespace) -> None:
    from .python import check_reference, find_common_features

    names = (*READING, "modality", *OF_QUERY)
    options = _given(arguments, "query", "batch", "folds", "seed", "missing", *names)
    if arguments.query is not None:
        kind, n_features = _by_default(arguments)
        if not kind.overlapping:  # else those of a query may have other names
            same = _given(arguments, *names)
            options["common_features"] = find_common_features(arguments.reference, arguments.query, n_features, **same)
    _say(check_reference(arguments.reference, arguments.labels, **options))


def _by_default(arguments: argparse.Namespace) -> tuple[Modality, int]:
    """Return the kind of data of the reference, and how many features a model of it has."""
    from ..data.modality import select_modality
    from .readers import open_source

    names = arguments.feature_names
    source = open_source(arguments.reference, arguments.layer, arguments.modality, feature_names=names)
    blocks, kind = select_modality(source.blocks, source.modality)
    return kind, min(kind.n_features, max(int(blocks.single.sum()), 1))


def _train(arguments: argparse.Namespace) -> None:
    from .python import DeepScore, find_common_features

    if arguments.n_features is None:
        arguments.n_features = _by_default(arguments)[1]
    labels = None if arguments.strategy == "variable" else arguments.labels
    if arguments.query:
        options = _given(arguments, "n_features", "strategy", *READING, *OF_QUERY, "modality", "missing")
        features = find_common_features(arguments.reference, arguments.query, labels=labels, **options)
    else:
        features = _own_features(arguments, labels)
    model = DeepScore(common_features=features, seed=arguments.seed).set_reference(
        arguments.reference,
        arguments.labels,
        **_given(arguments, *READING, "batch", "modality", "missing"),
    )
    model.train().save(arguments.output)
    _conclude(arguments, f"{model!r}\n-> {arguments.output}")


def _own_features(arguments: argparse.Namespace, labels: str | None) -> list[str]:
    """Choose features of a reference alone."""
    from ..workflows.find_common_features import FeaturesRequest, find_common_features
    from .readers import labels_of, open_source

    opened = open_source(arguments.reference, **_given(arguments, *READING, "modality"))
    options = _given(arguments, "n_features", "strategy", "missing")
    request = FeaturesRequest(modality=opened.modality, **options)
    return find_common_features(opened.blocks, [], request, None if labels is None else labels_of(opened, labels))


def _bridge(arguments: argparse.Namespace) -> None:
    from .python_chromatin import train_bridge

    given = ("labels", "annotation", "batch", "threshold", "seed", "missing")
    of_others = [f"{data}_{name}" for data in ("reference", "atac") for name in READING]
    options = _given(arguments, *given, *READING, *of_others)
    model = train_bridge(arguments.rna_model, arguments.multiome, arguments.modality, **options)
    model.save(arguments.output)
    _conclude(arguments, f"{model!r}\n-> {arguments.output}")


def _activity(arguments: argparse.Namespace) -> None:
    from .python_chromatin import gene_activity
    from .writers import write_result

    cells = None
    if arguments.cells is not None:  # plain, or gzip as Cell Ranger writes it
        with opened(Path(arguments.cells)) as file:
            cells = [line.strip() for line in file if line.strip()]
        odd = next((cell for cell in cells if "," in cell or len(cell.split()) > 1), None)
        if odd is not None:
            raise InputError(
                "unknown_data", f"{arguments.cells} must hold one barcode in a line and no header; not so {odd[:80]!r}."
            )
    options = _given(arguments, "upstream", "weighting", *READING, "modality", "names")
    found = gene_activity(arguments.x, arguments.annotation, cells=cells, **options)
    write_result(found, None, None, arguments.output)
    _conclude(arguments, f"{found.n_obs} cells x {found.n_vars} genes -> {arguments.output}")


def _annotate(arguments: argparse.Namespace) -> None:
    from ..data.labels import UNCLASSIFIED
    from ..output.columns import table_of
    from ..output.report import annotation_report
    from ..workflows.annotate import AnnotateRequest
    from .python import called, load
    from .writers import add_annotation, write_result

    ds = load(arguments.model)
    given = _given(arguments, "threshold", "modality", "probabilities", "min_overlap")
    request = AnnotateRequest(refine=not arguments.no_refine, **given)
    of_peaks = ("peaks", "peaks_model", *(f"peaks_{name}" for name in READING))
    options = _given(arguments, *READING, "batch", "groups", *of_peaks)
    source, found, origin = called(ds.model, arguments.query, request, **options)
    annotated, table = add_annotation(source, found, origin), table_of(found, source.blocks.cell_names)
    write_result(annotated, source.key, arguments.query, arguments.output, table)
    if arguments.report:
        page = annotation_report(found, ds.manifest, Path(arguments.query).name)
        with replacing(arguments.report) as temporary:
            temporary.write_text(page, encoding="utf-8")
    _conclude(
        arguments,
        f"{len(found.calls)} cells, {(found.calls == UNCLASSIFIED).sum()} {UNCLASSIFIED} -> {arguments.output}",
    )


def _embed(arguments: argparse.Namespace) -> None:
    import pandas as pd

    from ..workflows.embed import EmbedRequest, embed
    from .python import load
    from .readers import open_source
    from .writers import add_embedding, write_result

    options = _given(arguments, "values", "feature_names")
    source = open_source(arguments.query, arguments.layer, arguments.modality, **options)
    found = embed(load(arguments.model).model, source.blocks, EmbedRequest(modality=source.modality))
    table = pd.DataFrame(found, pd.Index(source.blocks.cell_names, name="cell"))
    table.columns = [f"LSI_{i + 1}" for i in range(table.shape[1])]
    write_result(add_embedding(source, found), source.key, arguments.query, arguments.output, table)
    _conclude(arguments, f"{len(found)} cells x {found.shape[1]} components -> {arguments.output}")


def _inspect(arguments: argparse.Namespace) -> None:
    from ..model.file import inspect_model

    plain = (sys.stdout.encoding or "").lower() != "utf-8"
    text = json.dumps(inspect_model(arguments.model), indent=2, ensure_ascii=plain)
    # What JSON lets stand and a terminal would obey is an escape of JSON, too.
    print("".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text))


def _say(text: object) -> None:
    print(printable(str(text)))
