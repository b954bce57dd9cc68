"""Commands of label transfer: ``features``, ``check``, ``train``, ``annotate``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import ConfigError, InputError
from ...model.config import ACTIVATIONS, NetworkConfig
from ...support.files import replacing
from ...training.config import SCHEDULES, TrainConfig
from ...training.team import is_helper
from .verb import (
    INPUT,
    NUMBERS,
    OF_QUERY,
    READING,
    Function,
    Output,
    Verb,
    conclude,
    given,
    lines_of,
    modality,
    reading,
    say,
    setting,
    spoken,
    words,
)

if TYPE_CHECKING:
    from ...data.modality import Modality

__all__ = ["ADDED", "annotate", "check", "features", "train", "write_lines"]

NETWORK, TRAINING = "model.config:NetworkConfig", "training.config:TrainConfig"
REFERENCE, FEATURES = "workflows.set_reference:ReferenceRequest", "workflows.find_common_features:FeaturesRequest"
CHECK, ANNOTATE = "workflows.check_reference:CheckRequest", "workflows.annotate:AnnotateRequest"
DATA = ".h5ad, .zarr, .h5mu, .h5 or folder of Cell Ranger, .loom, .csv"
ADDED = (
    ".h5ad, .zarr or .h5mu: the whole query with what is new (named as the query, it takes its place once it is "
    "complete); .csv, .tsv (.gz) or .parquet: a table of what is new."
)
# Options of the choice of features.
CHOICE = ("n_features", "strategy", "test")


def reference(function: Function) -> Function:
    """Add the argument REF."""
    return click.argument("reference", metavar="REF", type=INPUT)(function)


def _one_or_all(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> Any:
    return value if len(value) > 1 else value[0]


def references(function: Function) -> Function:
    """Add the argument REF, of which several are read as one data set."""
    return click.argument("reference", metavar="REF...", nargs=-1, required=True, type=INPUT, callback=_one_or_all)(
        function
    )


def labels(*, required: bool = True) -> Callable[[Function], Function]:
    """Add what names the labels."""
    return click.option("--labels", required=required, metavar="COL", help="Column of obs with the labels.")


def scheduler(function: Function) -> Function:
    """Add the address of a cluster."""
    return click.option(
        "--scheduler", metavar="ADDRESS", help="Scheduler of Dask whose workers read the files: tcp://HOST:8786."
    )(function)


def choosing(function: Function) -> Function:
    """Add the options of the choice of features."""
    for option in (
        setting(
            "--test",
            request=FEATURES,
            type=words("t-test", "wilcoxon"),
            help="Test for markers.",
        ),
        setting(
            "--strategy",
            request=FEATURES,
            type=words("variable", "markers_in_variable", "markers"),
            help="variable, markers_in_variable or markers.",
        ),
        setting("--n-features", type=int, metavar="N", help="Features to use (default: 2000 genes or 10000 peaks)."),
    ):
        function = option(function)
    return function


@click.command(cls=Verb)
@reference
@click.argument("queries", metavar="[QUERY]...", nargs=-1, type=INPUT)
@click.option("--query", multiple=True, type=INPUT, help="As QUERY (may be repeated).")
@labels(required=False)
@choosing
@spoken
@modality
@reading()
@reading("query")
@click.option("-o", "--output", type=Output(), metavar="FILE", help="File to write, one feature in a line.")
@scheduler
def features(output: str | None, **options: Any) -> None:
    """Choose the features that data sets share.

    They are printed or written one in a line, the best first; train --features reads them. Markers need labels.
    """
    queries = [*options["queries"], *options["query"]]
    found = _features(options, queries)
    if output is None:
        say("\n".join(found))
        return
    write_lines(output, found)
    conclude(f"{len(found)} features -> {output}")


def write_lines(path: str, lines: Sequence[str]) -> None:
    """Write a text file, which appears once it is complete.

    Raises
    ------
    InputError
        ``unknown_data`` where a text is not one line.
    """
    odd = next((line for line in lines if not line.strip() or "\n" in line or "\r" in line), None)
    if odd is not None:
        raise InputError("unknown_data", f"{odd[:80]!r} is not one line: a file with one name in each cannot hold it.")
    with replacing(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _features(options: dict[str, Any], queries: Sequence[str]) -> list[str]:
    """Choose features: those of the reference alone where there is no query."""
    from ..python import find_common_features

    if options["n_features"] is None:
        options = options | {"n_features": _by_default(options)[1]}
    wants = options["strategy"] not in (None, "variable")
    of_labels = {"labels": options["labels"]} if wants and options["labels"] is not None else {}
    how = given(options, *CHOICE, *READING, "modality", "missing")
    how |= {} if options.get("scheduler") is None else {"client": options["scheduler"]}
    if queries:
        return find_common_features(
            options["reference"], list(queries), **of_labels, **how, **given(options, *OF_QUERY)
        )
    return _own_features(options["reference"], how, options["labels"] if wants else None)


def _by_default(options: dict[str, Any]) -> tuple[Modality, int]:
    """Return the kind of data of the reference, and how many features a model of it has."""
    from ...data.modality import select_modality
    from ..readers import open_data

    source = open_data(options["reference"], **given(options, "layer", "modality", "feature_names"))
    blocks, kind = select_modality(source.blocks, source.modality)
    return kind, min(kind.n_features, max(int(blocks.single.sum()), 1))


def _own_features(reference: Any, how: dict[str, Any], labels: str | None) -> list[str]:
    """Choose features of a reference alone."""
    from ...workflows.find_common_features import FeaturesRequest, find_common_features
    from ..cluster import connected, open_on
    from ..readers import labels_of

    of_reference = {name: how.get(name) for name in (*READING, "modality")}
    asked = {name: how[name] for name in (*CHOICE, "missing") if name in how}
    with connected(how.get("client")) as workers:
        opened = open_on(workers, reference, **of_reference)
        request = FeaturesRequest(modality=opened.modality, **asked)
        known = None if labels is None else labels_of(opened, labels)
        return find_common_features(opened.blocks, [], request, known)


@click.command(cls=Verb)
@references
@labels()
@spoken
@click.option("--query", type=INPUT, help="The data set to annotate: tell which features it has, too.")
@click.option("--features", type=INPUT, metavar="FILE", help="Features to use, one in a line.")
@modality
@reading()
@reading("query")
@click.option("--batch", metavar="COL", help="Column of obs with the batches: leave out whole ones.")
@setting("--folds", request=CHECK, type=int, metavar="N", help="Times to leave cells out.")
@setting("--seed", request=CHECK, type=int, help="Seed of the folds and of the networks.")
def check(features: str | None, **options: Any) -> None:
    """Tell which labels can be trusted with a reference.

    Several REFs are read as one data set, of the features that all of them have.
    """
    from ..python import check_reference, find_common_features

    how = given(options, *READING, *OF_QUERY, "modality")
    if features is not None:
        how["common_features"] = lines_of(features)
    elif options["query"] is not None:
        kind, n_features = _by_default(options)
        if not kind.overlapping:  # else those of a query may have other names
            how["common_features"] = find_common_features(options["reference"], options["query"], n_features, **how)
    how |= given(options, "query", "batch", "folds", "seed", "missing")
    say(check_reference(options["reference"], options["labels"], **how))


def _read_nodes(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[int, ...] | None:
    """Read 512,256,64 as well as 512 256 64."""
    texts = [text for one in value for text in re.split(r"[,\s]+", one) if text]
    if not all(text.isascii() and text.isdigit() for text in texts):
        raise click.BadParameter("give whole numbers, such as 512,256,64.")
    return tuple(map(int, texts)) if value else None


def network(function: Function) -> Function:
    """Add the settings of the network and of its training."""
    number, share = {"type": float, "metavar": "NUMBER"}, {"type": float, "metavar": "SHARE"}
    for option in reversed(
        [
            setting(
                "--hidden-nodes",
                request=NETWORK,
                several=NUMBERS,
                callback=_read_nodes,
                metavar="N,N,...",
                help="Nodes of each hidden layer.",
            ),
            setting("--n-labels", request=NETWORK, type=int, metavar="N", help="Number of labels, to be checked."),
            setting(
                "--epochs", request=NETWORK, type=int, metavar="N", help="Passes over the cells (default: 1 to 30)."
            ),
            setting(
                "--batch-size", request=NETWORK, type=int, metavar="N", help="Cells in a step (default: 32 to 1024)."
            ),
            setting("--lr", request=NETWORK, **number, help="Learning rate of AdamW."),
            setting("--activation", request=NETWORK, type=words(*ACTIVATIONS), help=f"{', '.join(ACTIVATIONS)}."),
            setting("--dropout-rate", request=NETWORK, **share, help="Share of the nodes dropped in a step."),
            setting("--batchnorm/--no-batchnorm", request=NETWORK, help="Batch-normalise hidden layers."),
            setting("--max-norm", request=NETWORK, **number, help="Greatest length of a node's weights."),
            setting("--l1", request=NETWORK, **number, help="Weight of the sum of absolute weights in the loss."),
            setting("--l2", request=NETWORK, **number, help="Decoupled weight decay."),
            setting("--seed", request=NETWORK, type=int, help="Seed of every random choice."),
            setting("--device", request=NETWORK, type=words("cpu", "cuda"), help="Where torch trains: cpu or cuda."),
            setting(
                "--test-prop", request=REFERENCE, **share, help="Share of the cells that is held out for calibration."
            ),
            setting(
                "--early-stopping/--no-early-stopping", request=TRAINING, help="Stop when the loss no longer improves."
            ),
            setting("--patience", request=TRAINING, type=int, metavar="N", help="Epochs to wait."),
            setting("--lr-schedule", request=TRAINING, type=words(*SCHEDULES), help=f"{', '.join(SCHEDULES)}."),
            setting("--tensorboard", request=TRAINING, type=click.Path(), help="Folder for TensorBoard's logs."),
            setting(
                "--gif",
                request=TRAINING,
                type=Output(),
                help="Animated GIF of the training, on the first --query.",
            ),
        ]
    ):
        function = option(function)
    return function


@click.command(cls=Verb)
@references
@labels()
@spoken
@click.option("--query", multiple=True, type=INPUT, help="Choose features shared with it (may be repeated).")
@click.option("--features", type=INPUT, metavar="FILE", help="Features to use, one in a line, in place of a choice.")
@choosing
@modality
@reading()
@reading("query")
@click.option("--batch", metavar="COL", help="Column of obs with the batches of the reference.")
@network
@click.option("-o", "--output", required=True, type=Output(), metavar="MODEL", help="Model file to write.")
def train(output: str, features: str | None, query: tuple[str, ...], **options: Any) -> None:
    """Train a model on an annotated reference.

    Several REFs are read as one data set, of the features that all of them have.
    """
    from ..python import DeepScore

    settings, course = (given(options, *_fields(kind, options)) for kind in (NetworkConfig, TrainConfig))
    NetworkConfig(**settings)  # before anything is read
    TrainConfig(**course)
    if features is None:
        chosen = _features(options, query)
    elif any(options[name] is not None for name in CHOICE):
        raise ConfigError(
            "bad_argument", "--features names the features; --n-features, --strategy and --test choose them."
        )
    else:
        chosen = lines_of(features)
    model = DeepScore(common_features=chosen, **settings).set_reference(
        options["reference"],
        options["labels"],
        **given(options, *READING, "batch", "modality", "missing", "test_prop"),
    )
    if "gif" in course and query:
        course |= {"query": query[0], **given(options, *OF_QUERY)}
    model.train(**course)
    if not is_helper():
        model.save(output)
    conclude(f"{model!r}\n-> {output}")


def _fields(kind: Any, options: dict[str, Any]) -> list[str]:
    return [name for name in kind.__dataclass_fields__ if name in options]


@click.command(cls=Verb)
@click.argument("model", metavar="MODEL", type=INPUT)
@click.argument("query", metavar="QUERY...", nargs=-1, required=True, type=INPUT)
@click.option("-o", "--output", required=True, type=Output(adds_to="query"), metavar="OUT", help=ADDED)
@setting("--threshold", request=ANNOTATE, type=float, metavar="SCORE", help="Lowest score of a label.")
@modality
@reading()
@click.option("--batch", metavar="COL", help="Column of obs with the batches of the query.")
@setting("--min-overlap", request=ANNOTATE, type=float, metavar="SHARE", help="Least share of features to have.")
@click.option("--groups", metavar="COL", help="Column of obs with clusters: a call for each, by vote.")
@click.option("--peaks", type=INPUT, help="For gene activity: .h5ad with the raw peaks of the same cells.")
@reading("peaks")
@click.option("--peaks-model", type=INPUT, metavar="MODEL", help="A model of peaks that calls them, such as a bridge.")
@setting("--refine/--no-refine", request=ANNOTATE, help="Use the query as a whole, or call each cell by itself.")
@setting("--probabilities/--no-probabilities", request=ANNOTATE, help="Add the table of all probabilities.")
@setting("--device", request=ANNOTATE, type=words("cpu", "cuda"), help="Where torch computes: cpu or cuda.")
@click.option("--report", type=Output(), metavar="HTML", help="Write a report as an HTML page.")
@scheduler
def annotate(output: str, report: str | None, **options: Any) -> None:
    """Annotate a query with a model file.

    QUERY is as REF of train. Several are looked at as one query: OUT is then a table of the cells of all, with their
    files in the column "file". A large QUERY is written to a .parquet in parts, in little memory; the same command goes
    on where it was ended.
    """
    from ...data.labels import UNCLASSIFIED
    from ...output.columns import table_of
    from ...workflows.annotate import AnnotateRequest
    from ..python import called, called_to_parquet, files_of, load
    from ..python_report import report as write_report
    from ..stores import suffix_of
    from ..writers import add_annotation, write_result

    query: tuple[str, ...] = options["query"]
    if len(query) > 1 and report is not None:
        raise ConfigError("bad_argument", "A report is of one query: leave --report out, or annotate one QUERY.")
    ds = load(options["model"])
    settings = ("threshold", "modality", "probabilities", "min_overlap", "refine", "device")
    request = AnnotateRequest(**given(options, *settings))
    of_peaks = ("peaks", "peaks_model", *(f"peaks_{name}" for name in READING))
    how = given(options, *READING, "batch", "groups", *of_peaks) | {"client": options["scheduler"]}
    if suffix_of(output) == ".parquet" and report is None and find_spec("pyarrow") is not None:
        data: Any = list(query) if len(query) > 1 else query[0]
        n_cells, n_unclassified = called_to_parquet(ds.model, data, output, request, **how)
        conclude(f"{n_cells} cells, {n_unclassified} {UNCLASSIFIED} -> {output}")
        return
    source, found, origin = called(ds.model, query if len(query) > 1 else query[0], request, **how)
    table, files = table_of(found, source.blocks.cell_names), files_of(source, query)
    if files is not None:
        table.insert(0, "file", files)
        write_result(None, None, None, output, table)
    else:
        annotated = add_annotation(source, found, origin)
        write_result(annotated, source.key, query[0], output, table)
        if report is not None:
            how = given(options, *READING, "modality", "batch", "groups")
            write_report(annotated, ds, report, title=Path(query[0]).name, **how)
    conclude(f"{len(found.calls)} cells, {(found.calls == UNCLASSIFIED).sum()} {UNCLASSIFIED} -> {output}")
