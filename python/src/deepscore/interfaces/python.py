"""The public verbs: open the caller's object, call a pure function, write the result back."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..data.blocks import Names
from ..data.labels import UNCLASSIFIED
from ..data.modality import PEAKS
from ..errors import ConfigError, InputError
from ..features.markers import MarkerTest
from ..features.select import Strategy
from ..model import file as modelfile
from ..model.config import NetworkConfig, recorded
from ..model.model import Model
from ..output.columns import table_of
from ..output.figures import label_figures
from ..output.provenance import provenance
from ..query.annotation import Annotation
from ..support.devices import device_there
from ..support.notices import telling_once
from ..support.progress import progress_shown
from ..training.config import TrainConfig
from ..training.reference import Reference
from ..workflows import annotate as annotating
from ..workflows import check_reference as checking
from ..workflows import embed as embedding
from ..workflows import find_common_features as choosing
from ..workflows.annotate_ranges import LargeQuery, annotate_by_ranges
from ..workflows.check_reference import ReferenceCheck
from ..workflows.set_reference import ReferenceRequest, set_reference
from ..workflows.train import train
from .cluster import connected, open_on
from .parts import write_by_ranges
from .readers import Source, labels_of, open_beside, open_data, open_source, terms_of, values_of
from .writers import add_annotation, add_embedding, require_output, write_result

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "DeepScore",
    "annotate",
    "called",
    "called_to_parquet",
    "check_reference",
    "deepscore_of",
    "files_of",
    "find_common_features",
    "load",
]


@telling_once
def find_common_features(
    reference: Any,
    query: Any,
    n_features: int = 2000,
    strategy: Strategy = "variable",
    *,
    labels: Any = None,
    layer: str | None = None,
    query_layer: str | None = None,
    values: str | None = None,
    query_values: str | None = None,
    feature_names: str | None = None,
    query_feature_names: str | None = None,
    modality: str | None = None,
    test: MarkerTest = "t-test",
    missing: Sequence[str] | None = None,
    progress: bool = True,
    client: Any = None,
) -> list[str]:
    """Choose features that a reference and its queries share.

    All strategies widen their search step by step until exactly `n_features` are shared.

    Parameters
    ----------
    reference
        AnnData (in memory or backed), MuData with `modality`, or a path (see the README); cells x features. Or a list
        of them, which is read as one data set: see :meth:`DeepScore.set_reference`.
    query
        AnnData, MuData or a path, or a list of several queries.
    n_features
        How many features to return.
    strategy
        ``"variable"``: the most variable genes, or the peaks that most cells have, of all data sets.
        ``"markers_in_variable"``: markers of the reference's labels among the variable features of the queries.
        ``"markers"``: markers of the reference's labels among the features of the queries. Labels choose in turn.
    labels
        For the marker strategies: column of ``reference.obs``, or one label per cell.
    layer, query_layer
        Layer to read in place of X, in the reference and in the queries: see :meth:`DeepScore.set_reference`.
    values, query_values
        What the values of the reference and of the queries are: see :meth:`DeepScore.set_reference`.
    feature_names, query_feature_names
        Column of ``var`` that names the features, in the reference and in the queries, or ``"index"`` for
        ``var_names``. Without it ``var_names`` are tried, and where few of them match, the columns of ``var`` that
        hold names, such as symbols beside Ensembl ids: a warning says which one was used. Numbered features (0, 1,
        ...) match only where ``query_feature_names="index"`` says that they are in one order.
    modality
        ``"rna"``, ``"peaks"`` or ``"protein"``. Not given, ``feature_types`` tell it, or the names of the features,
        which tell peaks from the rest.
    test
        Test for markers: ``"t-test"`` (Welch) or ``"wilcoxon"`` (rank sum), both from scipy.
    missing
        Words that stand for a missing label: see :meth:`DeepScore.set_reference`.
    progress
        Show bars: of what takes more than two seconds, in a terminal or a notebook. The variable ``TQDM_DISABLE``
        switches all bars off.
    client
        Cluster that reads data sets that are paths: see :meth:`DeepScore.annotate`. With ``test="wilcoxon"`` markers
        are looked for in this process. The features are the same.

    Returns
    -------
    Feature names as the reference spells them, the best first.

    Raises
    ------
    deepscore.errors.InputError
        With the code ``no_shared_features``, ``numbered_features``, ``ambiguous_names``, ``wrong_orientation``,
        ``no_labels``, ``modality_required``, ``modality_mismatch``, ``column_not_found``, or any other that says what
        is wrong with the data.
    deepscore.errors.ConfigError
        ``bad_argument``.
    deepscore.errors.EngineError
        With `client`: ``missing_package`` without Dask's distributed, or ``cluster_lost``.

    Warns
    -----
    UserWarning
        Where fewer features exist than were asked for; it says how many and why. Where cells have no label, or labels
        differ in their spelling only, and the strategy looks at them. Where features are found by another
        column of ``var`` than was named, or a few peaks or genes are left out beside many of the other kind.
        Where values can be counts as well as logarithms.

    Notes
    -----
    Genes are ranked by variance after a variance-stabilising fit [1]_ (counts) or by normalised dispersion [2]_
    (log-normalised values), peaks by the number of cells that have them. A data set in which nothing varies, such as
    one of a single cell, has no say in their order.

    .. [1] Stuart et al., Comprehensive integration of single-cell data, Cell 2019.
    .. [2] Satija et al., Spatial reconstruction of single-cell gene expression data, Nature Biotechnology 2015.
    """
    queries = list(query) if isinstance(query, (list, tuple)) else [query]
    choosing.require_queries(queries)
    how = {"modality": modality, "values": values, "feature_names": feature_names}
    of_query: dict[str, Any] = {"modality": modality, "values": query_values, "feature_names": query_feature_names}
    with connected(client) as workers, progress_shown(progress):
        opened = open_on(workers, reference, layer, **how)
        request = choosing.FeaturesRequest(
            n_features=n_features, strategy=strategy, modality=opened.modality, test=test, missing=missing
        )
        blocks = [open_on(workers, one, query_layer, **of_query).blocks for one in queries]
        known = None if labels is None else labels_of(opened, labels)
        return choosing.find_common_features(opened.blocks, blocks, request, known)


@telling_once
def check_reference(
    reference: Any,
    labels: Any,
    query: Any = None,
    *,
    common_features: Sequence[str] | None = None,
    layer: str | None = None,
    query_layer: str | None = None,
    values: str | None = None,
    query_values: str | None = None,
    feature_names: str | None = None,
    query_feature_names: str | None = None,
    batch: Any = None,
    modality: str | None = None,
    folds: int = 5,
    seed: int = 0,
    missing: Sequence[str] | None = None,
    progress: bool = True,
) -> ReferenceCheck:
    """Tell which labels can be trusted with a reference.

    Trains a network for each fold, as :meth:`DeepScore.train` does by default but for a shorter time, on the cells
    outside the fold, and calls the cells of the fold with it.

    Parameters
    ----------
    reference
        As for :meth:`DeepScore.set_reference`; cells x features.
    labels
        Column of ``obs``, or one label per cell. Cells whose label is missing are left out.
    query
        The data set, or the list, to annotate, as `reference`. The cells of a fold are called as if they had its
        features only: a missing feature counts as its mean. It is called, too: the check's ``words`` say whether it
        looks like the reference's tissue, and by which features it differs most from a reference of its composition.
    common_features
        Names of the features to use. Without them the 2,000 most variable features of the reference are taken; of
        peaks, the 10,000 that most cells have.
    layer, query_layer, values, query_values
        As for :func:`find_common_features`.
    feature_names, query_feature_names
        As for :func:`find_common_features`.
    batch
        Column of ``obs``, or one value per cell. With two or more batches, whole batches are left out: what a query
        from elsewhere will meet. Each batch is standardised by itself, those left out as by ``annotate(batch=)``.
        Cells whose label no other fold holds cannot be tested.
    modality
        As for :func:`find_common_features`.
    folds
        Number of folds, at least 2 (fewer where there are fewer batches). Without batches each fold has cells of
        every label; of a label with fewer cells than folds, as many folds as it has cells.
    seed
        Seed of the folds and of the networks.
    missing
        Words that stand for a missing label: see :meth:`DeepScore.set_reference`.
    progress
        As for :func:`find_common_features`.

    Returns
    -------
    The check: its ``words`` say which labels cannot be trusted and why; ``labels`` (recall, precision and F1 of each)
    and ``confusable`` (which is taken for which) are tables; ``overlap`` is the share of the features that the query
    has, ``query`` the share of its cells that are Unclassified and how it looks as a whole. A label is trusted with at
    least 10 cells and recall and precision of at least 0.7, if it is not confined to one of several batches.

    Raises
    ------
    deepscore.errors.InputError
        As :meth:`DeepScore.set_reference`; ``no_shared_features`` or ``modality_mismatch`` of the query.
    deepscore.errors.ConfigError
        ``bad_argument``.

    Warns
    -----
    UserWarning
        Where cells have no label, or labels differ in their spelling only.

    Notes
    -----
    Each cell is called by itself (``refine=False``). No network has seen a cell that it calls, and no centre or
    deviation either, but for those of a batch left out, which are its own. What does not depend on labels does come
    from all cells: the choice of variable features, the common total that counts are scaled to, and for peaks the
    inverse document frequency. Features that were chosen as markers, by the labels of all cells, make the figures a
    little too good.
    """
    shown = open_beside("query", query, query_layer, modality, query_values, query_feature_names)
    opened = open_data(reference, layer, modality, values=values, feature_names=feature_names)
    request = checking.CheckRequest(
        common_features=common_features, modality=opened.modality, folds=folds, seed=seed, missing=missing
    )
    with progress_shown(progress):
        return checking.check_reference(
            opened.blocks,
            labels_of(opened, labels),
            request,
            query=shown,
            batch=values_of(opened, batch, "batch"),
        )


class DeepScore:
    """A label transfer model: give it a reference, train it, annotate queries.

    Parameters
    ----------
    hidden_nodes
        Nodes of each hidden layer, at most 100,000.
    common_features
        Names of the features to use, from :func:`find_common_features`. Without them the 2,000 most variable
        features of the reference are taken; of peaks, the 10,000 that most cells have.
    n_labels
        Number of different labels, checked against the reference where given.
    epochs, batch_size
        Passes over the cells, and cells in a step. By default chosen by the size of the reference: of fewer than
        50,000 cells to learn from, about 100,000 are seen, in 2 to 30 epochs; of more, each is seen at least once, and
        until the loss falls no more; a batch is a power of two between 32 and 1,024.
    lr
        Learning rate of AdamW (Loshchilov and Hutter, ICLR 2019), 1e-8 to 10.
    activation
        "relu", "leaky_relu", "elu", "gelu", "selu", "silu", "tanh" or "sigmoid".
    dropout_rate
        Share of the nodes of each hidden layer that is dropped in a training step (Srivastava et al., JMLR 2014), 0 to
        0.95.
    batchnorm
        Whether hidden layers are batch-normalised (Ioffe and Szegedy, ICML 2015).
    max_norm
        Greatest length of the incoming weights of a node, enforced after every step. Weights in the model file have
        other lengths: batch normalisation is folded into them, and the last layer is multiplied with its share of the
        logits, found by calibration.
    l1
        Weight of the sum of absolute weights in the loss, 0 to 1000.
    l2
        Decoupled weight decay, 0 to 1000.
    seed
        Seed of every random choice: the same seed gives the same model on the same machine.
    device
        Where torch trains network and linear path: "cpu" or "cuda".

    Raises
    ------
    deepscore.errors.ConfigError
        ``bad_argument``.

    Examples
    --------
    >>> ds = DeepScore(common_features=genes).set_reference(reference, "cell_type").train()  # doctest: +SKIP
    >>> query = ds.annotate(query)  # doctest: +SKIP
    """

    def __init__(
        self,
        hidden_nodes: Sequence[int] = (512, 256, 64),
        common_features: Sequence[str] | None = None,
        n_labels: int | None = None,
        *,
        epochs: int | None = None,
        batch_size: int | None = None,
        lr: float = 2e-3,
        activation: str = "relu",
        dropout_rate: float = 0.2,
        batchnorm: bool = True,
        max_norm: float | None = None,
        l1: float = 0.0,
        l2: float = 1e-5,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.config = NetworkConfig(
            hidden_nodes=hidden_nodes,  # type: ignore[arg-type]
            common_features=common_features,  # type: ignore[arg-type]
            n_labels=n_labels,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            activation=activation,
            dropout_rate=dropout_rate,
            batchnorm=batchnorm,
            max_norm=max_norm,
            l1=l1,
            l2=l2,
            seed=seed,
            device=device,
        )
        device_there(self.config.device)  # before a reference is read
        self._reference: Reference | None = None
        self._model: Model | None = None

    @telling_once
    def set_reference(
        self,
        reference: Any,
        labels: Any,
        *,
        layer: str | None = None,
        values: str | None = None,
        feature_names: str | None = None,
        batch: Any = None,
        modality: str | None = None,
        test_prop: float = 0.1,
        missing: Sequence[str] | None = None,
    ) -> Self:
        """Take the annotated reference: check it and keep its chosen features.

        Parameters
        ----------
        reference
            AnnData (in memory or backed), MuData with `modality`, or a path; cells x features; raw counts, also with
            fractions, or log-normalised values (natural logarithms, or to the base 2 or 10). Or a list of them, which
            is read as one data set in as little memory: features are matched by name, those that not all have are left
            out, all must hold one kind of values, and names of cells may repeat.
        labels
            Column of ``obs``, or one label per cell (a Series is aligned by cell name). Blanks at their ends are cut.
            Of a list, a column that all have, or one label for each cell of all in their order; `batch` likewise.
            Cells whose label is missing are left out and counted in a warning.
        layer
            Layer to read in place of X. ``"raw"`` is ``.raw``, with its own features, unless a layer has that name.
            Where X is scaled (z-scores), the layer "counts" or ``.raw`` is read without being named, with a warning.
        values
            What the values are, ``"counts"`` or ``"lognorm"``. Not given, they are recognised; a warning says where
            they could be either, and are taken as counts.
        feature_names
            Column of ``var`` that names the features, or ``"index"``: see :func:`find_common_features`. The model keeps
            the other columns of names, too, and finds features by any of them.
        batch
            Column of ``obs``, or one value per cell: batches that are standardised each by itself.
        modality
            As for :func:`find_common_features`.
        test_prop
            Share of the cells of each label that is held out for calibration and for the figures in the model file.
            Labels with fewer than four cells are all trained on.
        missing
            Words that stand for a missing label, in these spellings. Without it, in any case and with any blanks, "_",
            "-" and ".": "NA", "N/A", "n.a.", "#N/A", "<NA>", "NaN", "NaT", "null", "none", "-", "--", "?", "missing",
            "unk", "unknown", "unknown cell", "unknown cells", "unknown type", "unknown cell type", "unidentified",
            "unspecified", "unassigned", "not assigned", "unclassified", "unlabelled", "unlabeled", "no label",
            "unannotated", "not annotated", "no annotation", "not available", "not applicable", "undefined" and
            "undetermined". With an empty list no word does: "NA" is a label.

        Returns
        -------
        The object itself.

        Raises
        ------
        deepscore.errors.InputError
            ``labels_length``, ``n_labels_mismatch``, ``one_label``, ``no_labels``, ``reserved_label`` (a label
            "Unclassified" that does not count as missing), ``column_not_found``, ``empty_data`` (no counts),
            ``layer_not_found``, ``features_not_found``, ``mixed_values`` (of a list), or any other that says what is
            wrong with the data.
        deepscore.errors.ConfigError
            ``bad_argument``.

        Warns
        -----
        UserWarning
            Where cells have no label, with the words for it and their numbers; where labels differ in their spelling
            only (case, blanks, ``_`` and ``-``); where values can be counts as well as logarithms, or X is scaled.
        """
        opened = open_data(reference, layer, modality, values=values, feature_names=feature_names)
        request = ReferenceRequest(modality=opened.modality, test_prop=test_prop, missing=missing)
        self._reference = set_reference(
            opened.blocks,
            labels_of(opened, labels),
            self.config,
            request,
            values_of(opened, batch, "batch"),
            terms_of(opened),
            on_disk=all(one.path is not None for one in opened.members or (opened,)),
        )
        self._model = None
        return self

    @telling_once
    def train(
        self,
        *,
        early_stopping: bool = False,
        patience: int = 5,
        lr_schedule: str | None = "cosine",
        tensorboard: str | os.PathLike[str] | None = None,
        gif: str | os.PathLike[str] | None = None,
        progress: bool = True,
        query: Any = None,
        query_layer: str | None = None,
        query_values: str | None = None,
        query_feature_names: str | None = None,
    ) -> Self:
        """Train the network on the reference.

        Parameters
        ----------
        early_stopping
            Stop when the loss on a tenth of the training cells, set apart, has not improved for `patience` epochs,
            and keep the best epoch.
        patience
            Epochs to wait.
        lr_schedule
            "cosine" (down to a twentieth), "step" (halved after each third), "plateau" (halved when the loss stalls)
            or "constant".
        tensorboard
            Folder for TensorBoard's event file: loss, accuracy and learning rate of each epoch.
        gif
            Path of an animated GIF, a frame per epoch: an embedding of `query`, coloured by the labels it would get.
        progress
            Show a bar with loss and accuracy, in a terminal or a notebook; see :func:`find_common_features`.
        query
            Data set that the GIF shows (up to 2,000 of its cells); without it, cells of the reference. Of a MuData, the
            modality of the reference.
        query_layer, query_values, query_feature_names
            How to read `query`: see :func:`find_common_features`.

        Returns
        -------
        The object itself.

        Raises
        ------
        deepscore.errors.InputError
            ``no_reference``.
        deepscore.errors.EngineError
            ``missing_package`` where an extra is not installed.
        """
        reference = self.reference
        request = TrainConfig(
            early_stopping=early_stopping,
            patience=patience,
            lr_schedule=lr_schedule,  # type: ignore[arg-type]
            tensorboard=tensorboard,  # type: ignore[arg-type]
            gif=gif,  # type: ignore[arg-type]
            progress=progress,
        )
        shown = open_beside("query", query, query_layer, reference.modality, query_values, query_feature_names)
        self._model = train(reference, self.config, request, shown)
        return self

    @telling_once
    def annotate(
        self,
        query: Any,
        threshold: float | Mapping[str, float] | pd.DataFrame = 0.5,
        batch: Any = None,
        *,
        layer: str | None = None,
        values: str | None = None,
        feature_names: str | None = None,
        modality: str | None = None,
        probabilities: bool = False,
        min_overlap: float = 0.1,
        refine: bool = True,
        groups: Any = None,
        peaks: Any = None,
        peaks_model: Any = None,
        progress: bool = True,
        peaks_layer: str | None = None,
        peaks_values: str | None = None,
        peaks_feature_names: str | None = None,
        device: str = "cpu",
        client: Any = None,
    ) -> Any:
        """Annotate a query.

        Parameters
        ----------
        query
            AnnData (in memory or backed), MuData with `modality`, or a path; cells x features, in any
            order; raw counts or log-normalised values. Or a list of them, which is looked at as one query: a feature
            that a data set has not measured is missing there, and those with other features are other batches. `batch`
            and `groups` name columns that all have, or hold a value for each cell of all in their order.
        threshold
            Cells whose score is below it are called "Unclassified": one for all labels, 0 to 1, or one for each, as a
            dict from label to threshold or as the table of :func:`deepscore.find_thresholds`. A label that it does not
            name has 0.5.
        batch
            Column of ``obs``, or one value per cell: batches that are standardised each by itself, shrunk towards the
            reference where they are small. Without it the query is one batch.
        layer, values
            Layer to read in place of X, and what its values are: see :meth:`set_reference`.
        feature_names
            Column of ``var`` that names the features, or ``"index"``. Without it the names are looked for as
            :func:`find_common_features` does.
        modality
            Which modality of a MuData, or of a matrix that holds genes and peaks.
        probabilities
            Whether to add the table of all probabilities. Its columns are named by the labels, as the formats of files
            allow: "CD4/CD8" is "CD4|CD8" there.
        min_overlap
            Least share of the model's features that the query must have. A missing feature counts as its mean in the
            reference.
        refine
            Whether to use the query as a whole: its own scale, its own neighbours, and which of its cells are of a
            type that the reference does not have. Such types are looked for by their genes or antibodies, in queries of
            at least 100 cells and 8 of the model's features, not with a model of peaks and not with `peaks`;
            elsewhere they get the nearest label. Without `refine` each cell is called by itself, and only `batch` is
            used; so it is with a model from a file of version 1.
        groups
            Column of ``obs``, or one value per cell: clusters that get a call each, by a vote of their cells.
        peaks
            For a query of gene activity, the raw peaks of the same cells (cells x peaks, counts): neighbours are looked
            for in them, too, and the calls teach a regression on them, whose cross-fitted calls then count as much as
            the first ones. With ``refine=False`` they are not used.
        peaks_model
            A trained model of peaks with the same labels, such as :func:`deepscore.train_bridge` makes it, or the path
            of its file: it calls `peaks` in place of that regression.
        progress
            As for :func:`find_common_features`.
        peaks_layer, peaks_values, peaks_feature_names
            How to read `peaks`: layer, what its values are (``"counts"`` also takes counts with fractions), and column
            of ``var`` that names the peaks.
        device
            Where torch computes what network and linear path say of the cells: "cpu" or "cuda". One that is not there
            is refused before the query is read. Scores of two devices differ by less than 1e-3.
        client
            Cluster that reads and calls the cells of a query that is a path, or a list of paths: a
            :class:`distributed.Client`, or the address of a scheduler (``"tcp://host:8786"``). Its workers open the
            files themselves, at the same paths. The calls are the same.

        Returns
        -------
        The query: the given object (of a view, a copy) with new columns in ``obs``. ``deepscore``: label or
        "Unclassified", categorical (compare it with a column of other categories by ``.astype(str)`` of both);
        ``deepscore_score``: calibrated probability that the best label is right;
        ``deepscore_raw``: the network's best label, before the cell's neighbours were asked; ``deepscore_reason``: why
        a cell is Unclassified ("low confidence", "outlier", "low overlap", "no counts"). Of a reference with one
        ``cell_type_ontology_term_id`` for each label, a column of that name, "unknown" where a cell is Unclassified
        (the query's own one stays, with a warning). With `groups`, ``deepscore_group`` and ``deepscore_group_share``:
        the group's most frequent call and the share of its cells that have it. On request
        ``obsm["deepscore_probabilities"]`` (cells x labels), given that the cell's type is one of the reference's: an
        outlier's score is lower than its probability. ``uns["deepscore"]`` says which model, options and date the calls
        come from, and what is said of the query as a whole: where unknown types are looked for ``native``, the chance
        that it is of the reference's tissue, and ``explained``, the share of what tells its cells apart that the
        reference explains; ``higher`` and ``lower``, the features by which it differs most from a reference of its
        composition. Only reports show it. ``uns["deepscore_colors"]`` are the colours of the labels. Of a MuData, the
        columns are in ``mdata[modality].obs``. A path is opened backed; the file is not changed. Of a list, a list of
        the annotated data sets in its order; of more than 100 paths without their ``layers``, which would keep all
        files open.

        Raises
        ------
        deepscore.errors.InputError
            ``not_trained``, ``no_shared_features``, ``numbered_features``, ``ambiguous_names``, ``low_overlap``,
            ``wrong_orientation``, ``no_shared_labels``, ``column_not_found``, ``batch_length``, ``groups_length``,
            ``different_cells``, ``genome_build``, ``mixed_values`` (of a list), or any other that says what is wrong
            with the data.
        deepscore.errors.ConfigError
            ``bad_argument``.
        deepscore.errors.EngineError
            With `client`: ``missing_package`` without Dask's distributed, or ``cluster_lost``.
        """
        request = annotating.AnnotateRequest(
            threshold=threshold,  # type: ignore[arg-type]
            modality=modality,
            probabilities=probabilities,
            min_overlap=min_overlap,
            refine=refine,
            device=device,
        )
        with progress_shown(progress):
            annotated = called(
                self.model,
                query,
                request,
                layer,
                values,
                feature_names,
                batch,
                groups,
                peaks,
                peaks_model,
                peaks_layer=peaks_layer,
                peaks_values=peaks_values,
                peaks_feature_names=peaks_feature_names,
                client=client,
            )
        return add_annotation(*annotated)

    @telling_once
    def annotate_to_parquet(
        self,
        query: Any,
        output: str | os.PathLike[str],
        threshold: float | Mapping[str, float] | pd.DataFrame = 0.5,
        batch: Any = None,
        *,
        layer: str | None = None,
        values: str | None = None,
        feature_names: str | None = None,
        modality: str | None = None,
        probabilities: bool = False,
        min_overlap: float = 0.1,
        refine: bool = True,
        groups: Any = None,
        peaks: Any = None,
        peaks_model: Any = None,
        progress: bool = True,
        peaks_layer: str | None = None,
        peaks_values: str | None = None,
        peaks_feature_names: str | None = None,
        device: str = "cpu",
        client: Any = None,
    ) -> None:
        """Annotate a query of any size and write a table of its calls, in little memory.

        A query of more than 10,000 cells is called in ranges of 50,000 cells. While that lasts, a folder beside the
        output, named as it with ``.parts`` at its end, holds the look at the query and what is finished. A run that
        was ended goes on from there when it is started again, with the same model, query and options; with others it
        starts anew, and a warning says so. At the end the parts become one file and the folder goes.

        Parameters
        ----------
        query
            As for :meth:`annotate`: as a rule a path, or a list of paths.
        output
            File to write, named ``.parquet``; one that is there is replaced once the new one is complete.
        threshold, batch, layer, values, feature_names, modality, probabilities, min_overlap, refine, groups
            As for :meth:`annotate`.
        peaks, peaks_model, peaks_layer, peaks_values, peaks_feature_names
            As for :meth:`annotate`; a query with raw peaks beside it is called as a whole.
        progress
            As for :func:`find_common_features`.
        device
            As for :meth:`annotate`.
        client
            As for :meth:`annotate`; workers must see the folder of `output`, too.

        Raises
        ------
        deepscore.errors.InputError
            ``path_not_writable``, and what :meth:`annotate` raises.
        deepscore.errors.EngineError
            ``missing_package`` without pyarrow; ``write_failed``; ``cluster_lost``.

        Warns
        -----
        UserWarning
            Where parts of another run are thrown away, and what :meth:`annotate` warns of.

        Notes
        -----
        A row of the table is a cell, with its name in the column "cell" (pandas reads it as the index) and the columns
        that :meth:`annotate` adds, ``deepscore_probability_<label>`` among them; of a list, "file" is the first column.
        The calls are those of :meth:`annotate`.
        """
        request = annotating.AnnotateRequest(
            threshold=threshold,  # type: ignore[arg-type]
            modality=modality,
            probabilities=probabilities,
            min_overlap=min_overlap,
            refine=refine,
            device=device,
        )
        with progress_shown(progress):
            called_to_parquet(
                self.model,
                query,
                output,
                request,
                layer,
                values,
                feature_names,
                batch,
                groups,
                client,
                peaks,
                peaks_model=peaks_model,
                peaks_layer=peaks_layer,
                peaks_values=peaks_values,
                peaks_feature_names=peaks_feature_names,
            )

    @telling_once
    def embed(
        self,
        query: Any,
        *,
        layer: str | None = None,
        values: str | None = None,
        feature_names: str | None = None,
        modality: str | None = None,
        min_overlap: float = 0.1,
    ) -> Any:
        """Project a query of peaks to the LSI components of the reference.

        TF-IDF (first method) and LSI are those of Signac [1]_, with the terms of the reference: its inverse document
        frequencies, loadings, means and deviations. So all data sets that one model embeds lie in one space.

        Parameters
        ----------
        query
            As for :meth:`annotate`; a query with another set of peaks is counted in the model's by overlap.
        layer, values, feature_names, modality, min_overlap
            As for :meth:`annotate`.

        Returns
        -------
        The query with ``obsm["X_lsi"]``, cells x components (up to 50). The first component follows sequencing depth
        as a rule and is left out of neighbours and UMAP.

        Raises
        ------
        deepscore.errors.InputError
            ``no_lsi`` where the model is not one of peaks, or from a file of format version 1 or 2; what
            :meth:`annotate` raises.

        References
        ----------
        .. [1] Stuart et al., Single-cell chromatin state analysis with Signac, Nature Methods 2021.
        """
        source = open_source(query, layer, modality, values=values, feature_names=feature_names)
        request = embedding.EmbedRequest(modality=source.modality, min_overlap=min_overlap)
        return add_embedding(source, embedding.embed(self.model, source.blocks, request))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file; it holds no table of the reference's cells.

        Parameters
        ----------
        path
            Any name; ``.deepscore`` by custom. A file that is there is replaced only when the new one is complete.

        Raises
        ------
        deepscore.errors.InputError
            ``not_trained``.
        deepscore.errors.ModelFileError
            ``path_not_writable``.
        """
        modelfile.save(modelfile.to_bytes(self.model), path)

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest, as :meth:`save` writes it: features, labels, training facts.

        Of a model from a file of version 1, the self-check and the digest are made anew.
        """
        return modelfile.manifest_of(self.model)

    @property
    def common_features(self) -> tuple[str, ...] | None:
        """The features in use: the model's, the reference's, or those that were asked for."""
        if self._model is not None:
            return self._model.features
        return self._reference.features if self._reference is not None else self.config.common_features

    @property
    def reference(self) -> Reference:
        """The prepared reference, a frozen value; ``no_reference`` where there is none."""
        if self._reference is None:
            raise InputError("no_reference", "There is no reference to train on: call set_reference() first.")
        return self._reference

    @property
    def model(self) -> Model:
        """The trained model, a frozen value; ``not_trained`` where there is none."""
        if self._model is None:
            raise InputError("not_trained", "The model is not trained: call set_reference() and train(), or load one.")
        return self._model

    def __repr__(self) -> str:
        """Say what state the model is in; of a trained one also how well each label is recognised."""
        if self._model is not None:
            table = label_figures(self._model.training)
            accuracy, told = self._model.training["held_out"].get("accuracy"), (table["held_out"] > 0).sum()
            quality = f", held-out accuracy {accuracy:.3f}" if accuracy is not None else ""
            if quality and 0 < told < len(table):
                quality += f" of {told} of them"
            head = f"<DeepScore: {len(self._model.labels)} labels, {len(self._model.features)} features{quality}>"
            return f"{head}\n{table.to_string(index=False, na_rep='', float_format='{:.2f}'.format)}"
        return f"<DeepScore: not trained, {'with' if self._reference else 'without'} a reference>"


def deepscore_of(model: Model) -> DeepScore:
    """Return a trained model as users hold it."""
    ds = DeepScore(common_features=model.features, seed=model.training["seed"], **recorded(model.network))
    ds._model = model
    return ds


def annotate(
    ds: DeepScore | str | os.PathLike[str],
    query: Any,
    threshold: float | Mapping[str, float] | pd.DataFrame = 0.5,
    **options: Any,
) -> Any:
    """Annotate a query: the method :meth:`DeepScore.annotate` as a function, as R has it.

    Parameters
    ----------
    ds
        A trained model, or the path of its file.
    query, threshold, options
        As for the method.

    Returns
    -------
    The query, as from the method.
    """
    return deepscore_of(model_of(ds)).annotate(query, threshold, **options)


def called(
    model: Model,
    query: Any,
    request: annotating.AnnotateRequest,
    layer: str | None = None,
    values: str | None = None,
    feature_names: str | None = None,
    batch: Any = None,
    groups: Any = None,
    peaks: Any = None,
    peaks_model: Any = None,
    *,
    peaks_layer: str | None = None,
    peaks_values: str | None = None,
    peaks_feature_names: str | None = None,
    client: Any = None,
) -> tuple[Source, Annotation, dict[str, Any]]:
    """Open a query and call its cells, without adding anything to it; arguments as for :meth:`DeepScore.annotate`.

    Returns
    -------
    The query, its calls, and where these come from.
    """
    _require_no_peaks(client, peaks)
    how = {"modality": request.modality, "values": values, "feature_names": feature_names}
    with connected(client) as workers:
        source = open_on(workers, query, layer, **how)
        request = replace(request, modality=source.modality)
        of_batch, of_groups = (values_of(source, x, name) for x, name in ((batch, "batch"), (groups, "groups")))
        large = None if workers is None else LargeQuery.of(model, source.blocks, request, batch=of_batch)
        found = None if large is None else annotate_by_ranges(large, of_groups)
    if found is None:
        of_peaks = peaks, peaks_model, peaks_layer, peaks_values, peaks_feature_names
        found = _called_as_a_whole(model, source, request, of_batch, of_groups, *of_peaks)
    given = {"batch": batch, "groups": groups, "peaks": peaks, "peaks_model": peaks_model}
    return source, found, provenance(model, found, {"read_from": source.blocks.source, **asdict(request), **given})


def _called_as_a_whole(
    model: Model,
    source: Source,
    request: annotating.AnnotateRequest,
    batch: Names | None,
    groups: Names | None,
    peaks: Any = None,
    peaks_model: Any = None,
    peaks_layer: str | None = None,
    peaks_values: str | None = None,
    peaks_feature_names: str | None = None,
) -> Annotation:
    """Call the cells of an opened query in this process."""
    return annotating.annotate(
        model,
        source.blocks,
        request,
        batch=batch,
        groups=groups,
        peaks=open_beside("peaks", peaks, peaks_layer, PEAKS.name, peaks_values, peaks_feature_names),
        peaks_model=None if peaks_model is None else model_of(peaks_model),
    )


def _require_no_peaks(client: Any, peaks: Any) -> None:
    if client is not None and peaks is not None:
        raise ConfigError("bad_argument", "Raw peaks beside a query are not read by a cluster: leave client= out.")


def called_to_parquet(
    model: Model,
    query: Any,
    output: str | os.PathLike[str],
    request: annotating.AnnotateRequest,
    layer: str | None = None,
    values: str | None = None,
    feature_names: str | None = None,
    batch: Any = None,
    groups: Any = None,
    client: Any = None,
    peaks: Any = None,
    **of_peaks: Any,
) -> tuple[int, int]:
    """Call the cells of a query and write the table; arguments as for :meth:`DeepScore.annotate_to_parquet`.

    Returns
    -------
    How many cells there are, and how many of them are Unclassified.
    """
    _require_no_peaks(client, peaks)
    require_output(str(output), None, (".parquet",), "that is what is written")
    how = {"modality": request.modality, "values": values, "feature_names": feature_names}
    with connected(client) as workers:
        source = open_on(workers, query, layer, **how)
        request, files = replace(request, modality=source.modality), files_of(source, query)
        of_batch, of_groups = (values_of(source, x, name) for x, name in ((batch, "batch"), (groups, "groups")))
        large = None if peaks is not None else LargeQuery.of(model, source.blocks, request, batch=of_batch)
        written = None if large is None else write_by_ranges(large, output, groups=of_groups, files=files)
    if written is not None:
        return written
    found = _called_as_a_whole(model, source, request, of_batch, of_groups, peaks, **of_peaks)
    table = table_of(found, source.blocks.cell_names)
    if files is not None:
        table.insert(0, "file", files)
    write_result(None, None, None, str(output), table)
    return len(table), int((found.calls == UNCLASSIFIED).sum())


def files_of(source: Source, query: Any) -> Names | None:
    """Return for each cell of several data sets the name of its own, as it was given; None of a single one."""
    if not source.members:
        return None
    names = [str(one) if isinstance(one, (str, os.PathLike)) else f"data set {i}" for i, one in enumerate(query, 1)]
    files: Names = np.repeat(np.array(names, dtype=object), [one.blocks.n_cells for one in source.members])
    return files


def load(path: str | os.PathLike[str]) -> DeepScore:
    """Read a model file that Python or R has written.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    A trained model.

    Raises
    ------
    deepscore.errors.ModelFileError
        ``file_not_found``, ``not_a_model``, ``truncated``, ``newer_version``, ``invalid_manifest``,
        ``invalid_tensors`` or ``edited``.
    """
    return deepscore_of(modelfile.from_bytes(modelfile.load(path)))


def model_of(x: Any) -> Model:
    """Return the model of a trained :class:`DeepScore`, or of the path of its file."""
    if isinstance(x, (str, os.PathLike)):
        x = load(x)
    if not isinstance(x, DeepScore):
        raise ConfigError("bad_argument", f"A model is a trained DeepScore or the path of its file, not {x!r:.60}.")
    return x.model
