"""The public verbs that weigh a model and its calls: evidence, markers and figures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import anndata as ad
import pandas as pd

from ..errors import ConfigError, InputError
from ..features.markers import MarkerTest
from ..model.evidence import EvidenceMethod
from ..output.marker_match import MarkerMatch
from ..output.performance import Performance
from ..support.checks import optional_name
from ..support.notices import logger, telling_once
from ..support.progress import progress_shown
from ..training.config import TrainConfig
from ..workflows import feature_importance as explaining
from ..workflows import match_markers as matching
from ..workflows import performance as weighing
from ..workflows import select_model as choosing
from .python import DeepScore, deepscore_of, model_of
from .readers import Source, labels_of, open_source, values_of

__all__ = ["feature_importance", "find_thresholds", "match_markers", "performance", "ranked", "select_model"]

# The column of the calls, and where scanpy keeps the markers that it has computed.
CALLS, RANKED = "deepscore", "rank_genes_groups"


@telling_once
def feature_importance(
    ds: DeepScore | str | os.PathLike[str],
    data: Any,
    labels: Any = None,
    by: Literal["label", "overall", "cell"] = "label",
    method: EvidenceMethod = "gradient",
    *,
    n_features: int | None = None,
    cells: Sequence[str] | None = None,
    batch: Any = None,
    layer: str | None = None,
    values: str | None = None,
    feature_names: str | None = None,
    modality: str | None = None,
    min_overlap: float = 0.1,
    refine: bool = True,
    missing: Sequence[str] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Tell which features speak for a label: what each adds to its logit.

    Parameters
    ----------
    ds
        A trained model, or the path of its file.
    data
        As for :meth:`DeepScore.annotate`; cells x features.
    labels
        The label of each cell: column of ``obs``, or one value per cell, such as the true ones, or the calls of an
        earlier annotation. Without it the model calls them anew. Cells without one (in calls by the model: with a score
        below 0.5), and those of labels that the model does not know, are left out.
    by
        ``"label"``: mean over the cells of each label. ``"overall"``: mean over the labels, all of the same weight.
        ``"cell"``: each cell for itself; also cells with a low score, for their best label.
    method
        ``"gradient"``: of the whole network, standardised value times gradient [1]_. ``"linear"``: of the linear path
        alone, standardised value times weight; exact, as these add up to its logit, but for a constant of the label.
    n_features
        How many features to list of each label or cell, the most important ones; without it all, but of a cell 20.
    cells
        Names of the cells to look at. The others count only where the query is used as a whole.
    batch, refine
        As for :meth:`DeepScore.annotate`: by what scale values are standardised, and, without `labels`, the calls.
    layer, values, feature_names, modality, min_overlap
        As for :meth:`DeepScore.annotate`.
    missing
        Words in `labels` that stand for a missing one: see :meth:`DeepScore.set_reference`.
    progress
        As for :func:`find_common_features`.

    Returns
    -------
    A table with a row for each label (or cell) and feature: ``label``, ``feature``, ``importance``, sorted by label,
    within it by falling importance. By cell there is its name, ``cell``, in front; overall there is no ``label``.
    Importance is in calibrated logits, beyond what the feature adds to the mean of all labels: above 0 it speaks for
    the label, below 0 against it. Features are called as in the model; by their symbols where the model's names are
    Ensembl ids and it knows both.

    Raises
    ------
    deepscore.errors.InputError
        ``no_linear_path`` where ``method="linear"`` and the model is from a file of version 1; ``no_calls`` where no
        cell has a label to explain; ``no_shared_labels``, ``cells_not_found``, ``labels_length``; what
        :meth:`DeepScore.annotate` raises.
    deepscore.errors.ConfigError
        ``bad_argument``.

    Notes
    -----
    What a cell lacks may speak for a label, too, as the absence of HLA-DRA does for T cells. A feature that the data
    set lacks has an importance of 0. What a cell's neighbours say of it is no feature, and no part of this.

    References
    ----------
    .. [1] Shrikumar, Greenside and Kundaje, Learning important features through propagating activation differences,
       ICML 2017.
    """
    model = model_of(ds)
    source = open_source(data, layer, modality, values=values, feature_names=feature_names)
    request = explaining.ImportanceRequest(
        by=by,
        method=method,
        n_features=n_features,
        cells=cells,
        modality=source.modality,
        min_overlap=min_overlap,
        refine=refine,
        missing=missing,
    )
    known = None if labels is None else labels_of(source, labels)
    with progress_shown(progress):
        return explaining.feature_importance(
            model, source.blocks, request, labels=known, batch=values_of(source, batch, "batch")
        )


@telling_once
def match_markers(
    reference: Any,
    query: Any,
    n_markers: int | None = None,
    *,
    labels: Any = None,
    query_labels: Any = None,
    key: str = RANKED,
    test: MarkerTest = "t-test",
    layer: str | None = None,
    query_layer: str | None = None,
    values: str | None = None,
    query_values: str | None = None,
    feature_names: str | None = None,
    query_feature_names: str | None = None,
    modality: str | None = None,
    missing: Sequence[str] | None = None,
    progress: bool = True,
) -> MarkerMatch:
    """Compare the markers of a reference's labels with those of a query's, by matchSCore.

    Parameters
    ----------
    reference, query
        The markers of each label, in one of these forms. A data set (AnnData, MuData or a path): markers are computed
        from its labels, or, where none are given, those are taken that ``scanpy.tl.rank_genes_groups`` has left in it.
        A table: of ``scanpy.get.rank_genes_groups_df``, Seurat's ``FindAllMarkers`` (cluster, gene, p_val, avg_log2FC
        or avg_logFC), presto's ``wilcoxauc`` or :func:`feature_importance`; or of names, with a column for each label.
        A dict from label to names, the best first.
    n_markers
        How many markers of each label to compare at most, the best. Without it 100 of a data set or a table, and all of
        a dict. Features that are lower in a label than elsewhere are no markers of it.
    labels, query_labels
        Column of ``obs``, or one label per cell. Without `query_labels`, a query without results of scanpy has its
        calls, the column "deepscore".
    key
        Where ``uns`` has the results of scanpy.
    test
        The test that computes markers: ``"t-test"`` (Welch) or ``"wilcoxon"`` (rank sum). Of two data sets only the
        features that both have can be markers.
    layer, query_layer, values, query_values, feature_names, query_feature_names, modality, progress
        As for :func:`find_common_features`.
    missing
        Words that stand for a missing label: see :meth:`DeepScore.set_reference`. Unclassified cells have none.

    Returns
    -------
    The comparison: ``jaccard``, a table of the Jaccard index of each pair of labels; ``score``, the matchSCore [1]_:
    the mean over the reference's labels of the highest index that each reaches; ``best``, the best match of each.

    Raises
    ------
    deepscore.errors.InputError
        ``unknown_markers``, ``no_markers``, ``no_labels``, ``one_label``, ``no_shared_features``,
        ``column_not_found``, or any other that says what is wrong with the data.
    deepscore.errors.ConfigError
        ``bad_argument``.

    Warns
    -----
    UserWarning
        Where a label has no markers, or no marker is shared.

    References
    ----------
    .. [1] Mereu et al., Benchmarking single-cell RNA-sequencing protocols for cell atlas projects, Nature Biotechnology
       2020.
    """
    request = matching.MatchRequest(n_markers=n_markers, test=test, modality=modality, missing=missing)
    optional_name("key", key)
    sides = (
        _markers(reference, labels, None, key, modality, layer, values, feature_names),
        _markers(query, query_labels, CALLS, key, modality, query_layer, query_values, query_feature_names),
    )
    with progress_shown(progress):
        return matching.match_markers(*sides, request)


@telling_once
def performance(
    ds: DeepScore | str | os.PathLike[str],
    data: Any,
    labels: Any,
    threshold: float | Mapping[str, float] | pd.DataFrame = 0.5,
    *,
    batch: Any = None,
    layer: str | None = None,
    values: str | None = None,
    feature_names: str | None = None,
    modality: str | None = None,
    min_overlap: float = 0.1,
    refine: bool = True,
    missing: Sequence[str] | None = None,
    progress: bool = True,
) -> Performance:
    """Annotate cells whose labels are known, and tell how good the calls are.

    Parameters
    ----------
    ds
        A trained model, or the path of its file.
    data
        As for :meth:`DeepScore.annotate`; cells x features that the model has not been trained on.
    labels
        The true labels: column of ``obs``, or one per cell, called as the model calls them. Cells without one are
        annotated, but do not count.
    threshold, batch, layer, values, feature_names, modality, min_overlap, refine
        As for :meth:`DeepScore.annotate`.
    missing
        Words that stand for a missing label: see :meth:`DeepScore.set_reference`.
    progress
        As for :func:`find_common_features`.

    Returns
    -------
    The figures: ``confusion`` (number of cells, true label x call), ``labels`` (sensitivity, specificity, precision,
    balanced accuracy, F1 and area under the ROC curve of each label against the rest), ``roc`` (the curves), and those
    of all cells as attributes and in ``overall``: ``accuracy``, ``balanced_accuracy``, ``macro_f1``, ``auc``,
    ``unclassified``, ``rejected`` (cells of labels that the model does not know, and that are Unclassified), and how
    well the calls agree as clusters, ``ari`` (adjusted Rand index) and ``purity``.

    Raises
    ------
    deepscore.errors.InputError
        ``no_shared_labels`` where the model knows none of the labels, ``labels_length``, ``column_not_found``; what
        :meth:`DeepScore.annotate` raises.
    deepscore.errors.ConfigError
        ``bad_argument``.

    Warns
    -----
    UserWarning
        Where cells have no label.
    """
    source = open_source(data, layer, modality, values=values, feature_names=feature_names)
    request = weighing.PerformanceRequest(
        threshold=threshold,  # type: ignore[arg-type]
        modality=source.modality,
        min_overlap=min_overlap,
        refine=refine,
        missing=missing,
    )
    model, truth, batches = model_of(ds), labels_of(source, labels), values_of(source, batch, "batch")
    with progress_shown(progress):
        return weighing.performance(model, source.blocks, truth, request, batch=batches)


@telling_once
def find_thresholds(
    ds: DeepScore | str | os.PathLike[str],
    data: Any,
    labels: Any,
    *,
    batch: Any = None,
    layer: str | None = None,
    values: str | None = None,
    feature_names: str | None = None,
    modality: str | None = None,
    min_overlap: float = 0.1,
    refine: bool = True,
    missing: Sequence[str] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Find the threshold that each label should have, from cells whose labels are known.

    ``ds.annotate(query, threshold=find_thresholds(ds, data, labels))`` uses them.

    Parameters
    ----------
    ds, data, labels, batch, layer, values, feature_names, modality, min_overlap, refine, missing, progress
        As for :func:`performance`.

    Returns
    -------
    A table with a row for each label of the model: ``label``, ``threshold``; ``sensitivity`` and ``specificity`` of its
    score, against the rest, at this threshold, where their sum is greatest [1]_; ``auc``, the area under the curve; and
    the number of ``cells``. The threshold is midway between the two scores that it parts. For a label without cells it
    is 0.5. A label that is told well from the others has a low one, which says nothing of types that the model does not
    know: let cells of such types be among the cells, or keep to the higher of it and 0.5.

    Raises
    ------
    deepscore.errors.InputError
        As :func:`performance`.
    deepscore.errors.ConfigError
        ``bad_argument``.

    Warns
    -----
    UserWarning
        Where cells have no label.

    References
    ----------
    .. [1] Youden, Index for rating diagnostic tests, Cancer 1950.
    """
    source = open_source(data, layer, modality, values=values, feature_names=feature_names)
    request = weighing.ThresholdsRequest(
        modality=source.modality, min_overlap=min_overlap, refine=refine, missing=missing
    )
    model, truth, batches = model_of(ds), labels_of(source, labels), values_of(source, batch, "batch")
    with progress_shown(progress):
        return weighing.find_thresholds(model, source.blocks, truth, request, batch=batches)


@telling_once
def select_model(
    ds: DeepScore,
    n_models: int = 5,
    *,
    early_stopping: bool = False,
    patience: int = 5,
    lr_schedule: str | None = "cosine",
    progress: bool = True,
) -> DeepScore:
    """Train several networks that differ by their seed, and return the one with the lowest loss on held-out cells.

    Parameters
    ----------
    ds
        A DeepScore with a reference; it is not changed.
    n_models
        How many to train. Their seeds are that of `ds` and those that follow; the same cells are held out from all.
    early_stopping, patience, lr_schedule, progress
        As for :meth:`DeepScore.train`.

    Returns
    -------
    The best model. ``manifest["training"]["selection"]`` has seed, loss (cross-entropy) and accuracy of each.

    Raises
    ------
    deepscore.errors.InputError
        ``no_reference``; ``no_held_out_cells`` where there are none to compare by.
    deepscore.errors.ConfigError
        ``bad_argument``.

    Notes
    -----
    The cells that have chosen a model say a little too much good of it: weigh it by others, see :func:`performance`.
    """
    if not isinstance(ds, DeepScore):
        raise ConfigError(
            "bad_argument", f"select_model takes a DeepScore with a reference, not a {type(ds).__name__}."
        )
    request = choosing.SelectRequest(n_models=n_models)
    train = TrainConfig(
        early_stopping=early_stopping,
        patience=patience,
        lr_schedule=lr_schedule,  # type: ignore[arg-type]
        progress=progress,
    )
    return deepscore_of(choosing.select_model(ds.reference, ds.config, train, request))


def _markers(
    data: Any,
    labels: Any,
    calls: str | None,
    key: str,
    modality: str | None,
    layer: str | None,
    values: str | None,
    feature_names: str | None,
) -> matching.Markers:
    """Return what markers are to be made of; `calls` is the column that has the labels where nobody names them."""
    if isinstance(data, pd.DataFrame) or (isinstance(data, Mapping) and not isinstance(data, ad.AnnData)):
        return data
    source = open_source(data, layer, modality, values=values, feature_names=feature_names)
    found = ranked(source, key) if labels is None else None
    if found is not None:
        return found
    if labels is None and calls in source.obs:
        labels = calls
        logger.info("The labels of the query are its calls, the column %r", calls)
    if labels is None:
        raise InputError(
            "no_labels",
            f"There are no labels to compute markers by, and no uns[{key!r}] of scanpy: name a column of obs, "
            "labels= of the reference and query_labels= of the query.",
        )
    return matching.LabelledCells(source.blocks, labels_of(source, labels))


def ranked(source: Source, key: str) -> pd.DataFrame | None:
    """Return what ``scanpy.tl.rank_genes_groups`` has left, a row for each label and feature; None where it has not.

    Raises
    ------
    InputError
        ``unknown_markers``.
    """
    held = source.holder if source.key is None else source.holder.mod[source.key]
    if key not in held.uns:
        return None
    try:
        found = held.uns[key]
        tables = {name: pd.DataFrame(found[name]) for name in ("names", "scores") if name in found}
        groups = [
            pd.DataFrame({name: table[group] for name, table in tables.items()}).assign(group=str(group))
            for group in tables["names"]
        ]
        return pd.concat(groups, ignore_index=True)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            "unknown_markers", f"uns[{key!r}] does not hold what scanpy.tl.rank_genes_groups returns: {error}."
        ) from error
