"""The command ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ...errors import ConfigError
from .verb import INPUT, READING, Output, Verb, conclude, given, modality, reading, spoken

__all__ = ["report"]

OF_REFERENCE = tuple(f"reference_{name}" for name in READING)


@click.command(cls=Verb)
@click.argument("model", metavar="MODEL", type=INPUT)
@click.argument("query", metavar="ANNOTATED", type=INPUT)
@click.option("-o", "--output", required=True, type=Output(), metavar="HTML", help="Page to write.")
@modality
@reading()
@click.option("--batch", metavar="COL", help="Column of obs with the samples.")
@click.option("--groups", metavar="COL", help="Column of obs with the clusters.")
@click.option("--basis", metavar="KEY", help="Coordinates in obsm (default: X_umap, X_tsne or X_pca).")
@click.option("--title", metavar="TEXT", help="What was annotated (default: the name of the file).")
@click.option("--reference", type=INPUT, metavar="REF", help="The model's reference, to be checked; takes a while.")
@click.option("--labels", metavar="COL", help="Column of obs with the labels of the reference.")
@click.option("--reference-batch", metavar="COL", help="Column of obs with the batches of the reference.")
@spoken
@reading("reference")
def report(output: str, **options: Any) -> None:
    """Report on a query that annotate has written: which labels to believe."""
    from ..python import check_reference, load
    from ..python_report import report as write_report

    ds, check = load(options["model"]), None
    if (options["reference"] is None) != (options["labels"] is None):
        raise ConfigError("bad_argument", "--reference and --labels check the reference: give both or none.")
    if options["reference"] is not None:
        how = {
            name.removeprefix("reference_"): x for name, x in given(options, *OF_REFERENCE, "reference_batch").items()
        }
        how |= given(options, "missing")
        features, kind = ds.model.features, ds.model.modality
        check = check_reference(options["reference"], options["labels"], common_features=features, modality=kind, **how)
    shown = given(options, *READING, "modality", "batch", "groups", "basis", "title")
    write_report(options["query"], ds, output, check=check, **shown)
    conclude(f"{Path(options['query']).name} -> {output}")
