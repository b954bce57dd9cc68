"""The command ``markers``."""

from __future__ import annotations

from typing import Any

import click

from ...errors import ConfigError
from .verb import (
    INPUT,
    OF_QUERY,
    READING,
    Output,
    Verb,
    conclude,
    given,
    manifest_in,
    modality,
    reading,
    say,
    setting,
    spoken,
    words,
)

__all__ = ["markers"]

MATCH, IMPORTANCE = "workflows.match_markers:MatchRequest", "workflows.feature_importance:ImportanceRequest"
# Options of one of the two commands that this is.
OF_MATCH, OF_MODEL = ("labels", "key", "test", *READING), ("method", "by", "batch")
# Features of each label that are printed, where nobody says how many.
PRINTED = 10


@click.command(cls=Verb)
@click.argument("reference", metavar="REF", type=INPUT)
@click.argument("query", metavar="QUERY", type=INPUT)
@click.option("--labels", metavar="COL", help="Column of obs with the labels of REF (else: what scanpy has ranked).")
@click.option("--query-labels", metavar="COL", help="Column of obs with the labels of QUERY (else: its calls).")
@setting(
    "--n-markers",
    request=MATCH,
    type=int,
    metavar="N",
    help="Markers of each label at most [default: 100; of a model 10].",
)
@setting("--test", request=MATCH, type=words("t-test", "wilcoxon"), help="Test for markers.")
@click.option("--key", metavar="KEY", help="Where uns has what scanpy has ranked (default: rank_genes_groups).")
@setting("--by", request=IMPORTANCE, type=words("label", "overall", "cell"), help="Of a model: label, overall or cell.")
@setting("--method", request=IMPORTANCE, type=words("gradient", "linear"), help="Of a model: gradient or linear.")
@click.option("--batch", metavar="COL", help="Of a model: column of obs with the batches of QUERY.")
@spoken
@modality
@reading(of="REF")
@reading("query", "QUERY")
@click.option(
    "-o", "--output", type=Output(tables=True), metavar="TABLE", help=".csv, .tsv (.gz) or .parquet to write."
)
def markers(reference: str, query: str, output: str | None, **options: Any) -> None:
    """Compare the markers of labels, or tell what speaks for a model's labels.

    With a data set as REF: which of its labels has the same markers as which of the query's (matchSCore); the table has
    the Jaccard index of each pair. With a model file as REF: which features of the query speak for each label.
    """
    is_model = manifest_in(reference) is not None
    odd = next((name for name in (OF_MATCH if is_model else OF_MODEL) if options[name] is not None), None)
    if odd is not None:
        kind = "a data set" if is_model else "a model"
        raise ConfigError("bad_argument", f"--{odd.replace('_', '-')} is for REF as {kind}: leave it out.")
    table, text = (_importance if is_model else _match)(reference, query, options, printed=output is None)
    if output is None:
        say(text)
        return
    from ..writers import write_result

    write_result(None, None, None, output, table)
    conclude(f"{text}\n-> {output}")


def _match(reference: str, query: str, options: dict[str, Any], *, printed: bool) -> tuple[Any, str]:
    from ..python_evidence import match_markers

    names = ("labels", "query_labels", "n_markers", "test", "key", "modality", "missing", *READING, *OF_QUERY)
    found = match_markers(reference, query, **given(options, *names))
    return found.jaccard.rename_axis("label"), repr(found) if printed else found.words[0]


def _importance(model: str, query: str, options: dict[str, Any], *, printed: bool) -> tuple[Any, str]:
    from ..python_evidence import feature_importance

    how = given(options, "by", "method", "batch", "modality", "missing")
    how |= {name.removeprefix("query_"): value for name, value in given(options, "query_labels", *OF_QUERY).items()}
    n_features = options["n_markers"] or (PRINTED if printed else None)
    table = feature_importance(model, query, n_features=n_features, **how)
    return table.set_index(table.columns[0]), (
        table.to_string(index=False, float_format="{:.3f}".format) if printed else f"{len(table)} rows"
    )
