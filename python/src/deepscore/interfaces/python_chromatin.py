"""The public verbs for chromatin: open the caller's objects, call a pure function, return AnnData."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..chromatin.genes import gene_ids, read_annotation
from ..chromatin.intervals import peak_names, read_bed
from ..chromatin.peaks import peaks_among
from ..data.blocks import Names
from ..data.modality import PEAKS, RNA
from ..data.names import is_peak
from ..errors import ConfigError, InputError
from ..support.files import require_file
from ..support.notices import telling_once
from ..support.progress import progress_shown
from ..workflows import gene_activity as activity
from ..workflows import peaks as peaks_of_sets
from ..workflows import train_bridge as bridge
from .python import DeepScore, deepscore_of, load
from .readers import labels_of, open_halves, open_source, values_of
from .stores import MATRICES, suffix_of
from .writers import as_anndata

__all__ = [
    "count_fragments",
    "find_common_peaks",
    "find_linked_genes",
    "gene_activity",
    "match_peaks",
    "train_bridge",
]


@telling_once
def find_common_peaks(
    datasets: Sequence[Any],
    how: str = "intersection",
    *,
    min_width: int | None = None,
    max_width: int | None = None,
    standard_chromosomes: bool = False,
    feature_names: str | None = None,
) -> list[str]:
    """Merge the peaks of several data sets into one set for all of them.

    Overlapping and touching peaks of all data sets become one peak.

    Parameters
    ----------
    datasets
        Any number of data sets, each an AnnData, a path to .h5ad, .zarr or a BED file, a list of peak names
        (``chr1:10-20``, ``chr1-10-20``, ``chr1_10_20``, with or without "chr") or a table with the columns chrom, start
        and end. Names are read as BED positions: 0-based, half-open.
    how
        ``"union"`` returns every merged peak, ``"intersection"`` those in which every data set has at least one peak.
    min_width, max_width
        Least and greatest width in bases of the peaks that are returned.
    standard_chromosomes
        Whether to leave out peaks on scaffolds, such as chrUn_KI270742v1.
    feature_names
        Column of ``var`` that names the peaks, in every AnnData and path of one.

    Returns
    -------
    Peak names, ``chr1:10-20``, in the natural order of chromosomes, then by start; chromosomes as the first data set
    spells them. :func:`match_peaks` counts any of the data sets in them.

    Raises
    ------
    deepscore.errors.InputError
        ``invalid_peaks``; ``no_shared_features`` where no peak is left; of an intersection, ``no_common_chromosomes``
        or ``genome_build`` where the data sets are of two genomes.
    deepscore.errors.ConfigError
        ``bad_argument``.
    deepscore.errors.EngineError
        ``missing_package`` without bioframe.

    Warns
    -----
    UserWarning
        Where few peaks of two data sets overlap or touch (intersection only).
    """
    one = hasattr(datasets, "obs_names") or isinstance(datasets, (str, os.PathLike, pd.DataFrame))
    one = one or not isinstance(datasets, Iterable)
    sets = [] if one else list(datasets)
    if one or (sets and all(isinstance(name, str) and is_peak(name) for name in sets)):
        raise ConfigError("bad_argument", "find_common_peaks takes a list of data sets, not one.")
    request = peaks_of_sets.CommonPeaksRequest(
        how=how, min_width=min_width, max_width=max_width, standard_chromosomes=standard_chromosomes
    )
    return peaks_of_sets.find_common_peaks([peaks_of(data, feature_names) for data in sets], request)


@telling_once
def match_peaks(
    query: Any,
    peaks: Any,
    *,
    fragments: str | os.PathLike[str] | None = None,
    layer: str | None = None,
    values: str | None = None,
    feature_names: str | None = None,
    modality: str | None = None,
    min_overlap: float = 0.1,
    counting: str = "fragments",
) -> Any:
    """Count a query over another set of peaks.

    Without `fragments`, each peak gets the sum of the query's own peaks that share a base with it: an own peak over two
    of them counts in both, one that overlaps none is lost. With `fragments` the counts are exact.

    :meth:`DeepScore.annotate` does the first by itself where a query's peaks are not those of the model.

    Parameters
    ----------
    query
        AnnData, path to .h5ad or .zarr, or MuData with `modality`; cells x peaks, counts.
    peaks
        What to count: peak names, a table with chrom, start and end, a BED file, an AnnData, or a trained
        :class:`DeepScore`, for its peaks.
    fragments
        The query's fragments file (10x); barcodes are the query's cell names. See :func:`count_fragments`.
    layer, values, feature_names, modality
        Layer to read in place of X, what its values are (``"counts"`` also takes counts with fractions), column of
        ``var`` that names the query's peaks, and modality of a MuData.
    min_overlap
        Least share of `peaks` that the query's own peaks must cover.
    counting
        With `fragments`: ``"fragments"`` or ``"insertions"``.

    Returns
    -------
    AnnData of cells x peaks, counts as sparse float32, with the query's ``obs``; ``var["covered"]`` tells which peaks
    the query's own overlap (with `fragments`: which have any count).

    Raises
    ------
    deepscore.errors.InputError
        ``low_overlap``, ``genome_build`` (both builds are named), ``no_common_chromosomes``, ``invalid_peaks``,
        ``modality_mismatch``; with `fragments`, as :func:`count_fragments`.
    """
    request = peaks_of_sets.MatchRequest(min_overlap=min_overlap, counting=counting)
    source, wanted = open_source(query, layer, modality, values=values, feature_names=feature_names), peaks_of(peaks)
    counts, covered = peaks_of_sets.match_peaks(source.blocks, wanted, request, fragments)
    return as_anndata(counts, wanted, source.obs, pd.DataFrame({"covered": covered}))


@telling_once
def count_fragments(
    fragments: str | os.PathLike[str],
    peaks: Any,
    cells: Any = None,
    *,
    counting: str = "fragments",
    progress: bool = True,
) -> Any:
    """Count a 10x fragments file in peaks.

    The file is read once from start to end, so that it needs no index and little memory.

    Parameters
    ----------
    fragments
        ``fragments.tsv``, plain, gzip or bgzip: chromosome, start, end and barcode, and any columns behind them; sorted
        by chromosome, then by start. Comments (``#``) and empty lines may be anywhere.
    peaks
        As for :func:`match_peaks`.
    cells
        Barcodes to count, as the file spells them: a list, or an AnnData, whose ``obs`` is kept. They must be given.
    counting
        ``"fragments"``: a fragment counts once in every peak with which it shares a base, as in Signac's
        FeatureMatrix. ``"insertions"``: each of its two ends counts where it lies, as in Cell Ranger ATAC and ArchR.
    progress
        Show a bar.

    Returns
    -------
    AnnData of cells x peaks, counts as sparse float32.

    Raises
    ------
    deepscore.errors.InputError
        ``file_not_found``, ``fragments_format``, ``fragments_unsorted``, ``fragments_truncated``,
        ``no_barcodes_matched``, ``no_common_chromosomes``, ``invalid_peaks``, ``duplicate_features``,
        ``duplicate_cells``, ``no_cells``, ``empty_data``.

    Warns
    -----
    UserWarning
        Where cells do not occur in the file, with the likely reason, and where fragments have no length (they are not
        counted).
    """
    request = peaks_of_sets.FragmentsRequest(counting=counting, progress=progress)
    wanted, obs = peaks_of(peaks), _cells(cells)
    counts = peaks_of_sets.count_fragments(fragments, wanted, list(obs.index), request)
    return as_anndata(counts, wanted, obs)


@telling_once
def gene_activity(
    x: Any,
    annotation: Any = None,
    upstream: int = 2000,
    downstream: int = 0,
    *,
    cells: Any = None,
    weighting: str = "none",
    biotypes: Sequence[str] | None = None,
    layer: str | None = None,
    values: str | None = None,
    feature_names: str | None = None,
    modality: str | None = None,
    counting: str = "fragments",
    names: str = "gene_name",
) -> Any:
    """Compute gene activity: counts in the body and the promoter of each gene.

    Parameters
    ----------
    x
        Peaks (AnnData, path to .h5ad or .zarr, MuData with `modality`), which are summed, or the path of a fragments
        file, which is counted exactly.
    annotation
        Where the genes are, which must be given: a GTF, GFF3 or BED file, plain or gzip, or a table with chrom, start,
        end (0-based, half-open), gene and strand. Names may also be in gene_name, gene_symbol, Name, name, gene_id or
        ID: the first of them that is not missing, nor "." or "NA". Of what has a column type the genes are taken, else
        transcripts, else exons, which are joined by gene_id. Loci of one name that overlap are one gene; a name
        at several places is ambiguous and left out, but X is kept before Y and chromosomes before scaffolds.
    upstream, downstream
        Bases before the start and after the end of the gene, by its strand. Either end of a gene without a strand may
        be its start: both are extended by the larger of the two.
    cells
        With fragments: barcodes to count, a list or an AnnData.
    weighting
        ``"none"``: everything in the region counts as it is. ``"distance"``, for peaks: those outside count, too, with
        ``exp(-distance / 5,000)`` up to 100,000 bases away (after ArchR); values are whole hundredths.
    biotypes
        Keep only genes of these biotypes, such as ``["protein_coding"]`` (GTF and GFF3).
    layer, values, feature_names, modality
        Layer to read in place of X, what its values are (``"counts"`` also takes counts with fractions), column of
        ``var`` that names the peaks, and modality of a MuData.
    counting
        With fragments: ``"fragments"`` or ``"insertions"``.
    names
        ``"gene_name"``, or ``"gene_id"`` for a model that knows genes by their ids.

    Returns
    -------
    AnnData of cells x genes, counts as sparse float32, with the ``obs`` of `x`. From peaks only genes that have a peak.
    ``var["gene_ids"]`` holds the ids where the annotation has any.

    Raises
    ------
    deepscore.errors.InputError
        ``no_annotation``, ``annotation_without_genes`` (or none has an id, with `names`), ``annotation_format``,
        ``no_common_chromosomes``, ``no_shared_features`` where no gene has a peak; with
        fragments ``no_cells``, and as :func:`count_fragments`.

    Notes
    -----
    From fragments this is Signac's GeneActivity (Stuart et al., Nature Methods 2021) without its limit on the length of
    genes and its choice of protein-coding ones (`biotypes`); names at several places are left out.
    """
    request = activity.ActivityRequest(
        upstream=upstream, downstream=downstream, weighting=weighting, biotypes=biotypes, counting=counting, names=names
    )
    genes = read_annotation(annotation, biotypes=request.biotypes, names=request.names)
    if is_file(x):
        if any(value is not None for value in (layer, values, feature_names, modality)):
            raise ConfigError(
                "bad_argument",
                "layer=, values=, feature_names= and modality= are of a data set; x is a fragments file.",
            )
        require_file(Path(x))
        obs = _cells(cells)
        counts, found = activity.gene_activity(x, genes, request, list(obs.index))
    else:
        source = open_source(x, layer, modality, values=values, feature_names=feature_names)
        obs = source.obs
        counts, found = activity.gene_activity(source.blocks, genes, request, cells)
    ids = gene_ids(genes, found)
    return as_anndata(counts, found, obs, None if ids is None else pd.DataFrame({"gene_ids": ids}))


@telling_once
def find_linked_genes(
    multiome: Any,
    n_features: int | None = None,
    *,
    annotation: Any = None,
    upstream: int = 2000,
    layer: str | None = None,
    values: str | None = None,
    feature_names: str | None = None,
    atac_layer: str | None = None,
    atac_values: str | None = None,
    atac_feature_names: str | None = None,
) -> list[str]:
    """Choose the genes whose activity follows their expression, from any multiome at hand.

    Gene activity is a poor stand-in for the expression of many genes. A model of RNA without them,
    ``DeepScore(common_features=...)``, finds rare types in gene activity a little better; a few hundred genes are too
    few.

    Parameters
    ----------
    multiome
        MuData with the modalities rna and atac (or a path to .h5mu), or a pair ``(rna, atac)`` of data sets; the same
        cells in both.
    n_features
        How many genes to return; all whose correlation is above 0 where it is not given.
    annotation, upstream
        As for :func:`gene_activity`; needed where the ATAC half holds peaks and not genes.
    layer, values
        Layer of the RNA to read in place of X, and what its values are: see :meth:`DeepScore.set_reference`.
    feature_names
        Column of the RNA's ``var`` that names the genes, or ``"index"``: see :func:`find_common_features`.
    atac_layer, atac_values, atac_feature_names
        How to read the ATAC: as `layer`, `values` and `feature_names` of :func:`gene_activity`.

    Returns
    -------
    Gene names as the RNA spells them, the best first: by the correlation of expression and activity over pools of about
    50 cells with similar RNA.

    Raises
    ------
    deepscore.errors.InputError
        ``different_cells``, ``no_annotation``, ``no_shared_features``, and what :func:`gene_activity` raises.
    """
    request = activity.LinkedGenesRequest(n_features=n_features, upstream=upstream)
    of_rna = {"layer": layer, "values": values, "feature_names": feature_names}
    of_atac = {"layer": atac_layer, "values": atac_values, "feature_names": atac_feature_names}
    rna, atac = open_halves(multiome, of_rna, of_atac)
    return activity.find_linked_genes(rna.blocks, atac.blocks, request, _genes(annotation))


@telling_once
def train_bridge(
    rna_model: Any,
    multiome: Any,
    modality: str = "peaks",
    *,
    labels: Any = None,
    annotation: Any = None,
    upstream: int = 2000,
    common_features: Sequence[str] | None = None,
    threshold: float = 0.5,
    batch: Any = None,
    layer: str | None = None,
    values: str | None = None,
    feature_names: str | None = None,
    seed: int = 0,
    progress: bool = True,
    missing: Sequence[str] | None = None,
    reference_layer: str | None = None,
    reference_values: str | None = None,
    reference_feature_names: str | None = None,
    atac_layer: str | None = None,
    atac_values: str | None = None,
    atac_feature_names: str | None = None,
) -> DeepScore:
    """Train a model of chromatin with labels from RNA, through a multiome.

    The RNA of the multiome's cells is called by a model of RNA; the cells with a confident call are the training set of
    a second model, which learns from their ATAC. It annotates any later ATAC data set, and is saved as one file.

    Parameters
    ----------
    rna_model
        A trained :class:`DeepScore`, the path of its file, or an annotated RNA reference (with `labels`) to train one
        on, with the 2,000 most variable features that it shares with the multiome.
    multiome
        MuData with the modalities rna and atac (or a path to .h5mu), or a pair ``(rna, atac)`` of data sets; the same
        cells in both. It needs no labels.
    modality
        ``"peaks"``, or ``"activity"`` for a model that annotates gene activity.
    labels
        With a reference: column of ``obs``, or one label per cell.
    annotation, upstream
        As for :func:`gene_activity`; needed for ``"activity"`` where the ATAC half holds peaks and not genes.
    common_features
        Peaks (or genes) to use; see :class:`DeepScore`.
    threshold
        Cells of the multiome whose score is below it are not learnt from.
    batch
        Column of the RNA's ``obs``, or one value per cell: batches of the multiome.
    layer, values
        Layer of the multiome's RNA to read in place of X, and what its values are: see
        :meth:`DeepScore.set_reference`.
    feature_names
        Column of ``var`` that names the genes of the multiome's RNA, or ``"index"``: see :func:`find_common_features`.
    seed, progress
        As for :class:`DeepScore` and :meth:`DeepScore.train`.
    missing
        Words that stand for a missing label: see :meth:`DeepScore.set_reference`.
    reference_layer, reference_values, reference_feature_names
        How to read a reference: as `layer`, `values` and `feature_names` of :meth:`DeepScore.set_reference`.
    atac_layer, atac_values, atac_feature_names
        How to read the ATAC of the multiome: as `layer`, `values` and `feature_names` of :func:`gene_activity`.

    Returns
    -------
    A trained :class:`DeepScore`. Its ``manifest["training"]["bridge"]`` tells where it comes from: the RNA model, and
    how many cells of each label were kept.

    Raises
    ------
    deepscore.errors.InputError
        ``different_cells`` where the halves hold different cells, ``bridge_labels`` where fewer than two labels have a
        confident cell, ``no_annotation``, ``not_trained``, and what annotation and training raise.

    Warns
    -----
    UserWarning
        Labels with fewer than 50 confident cells are learnt badly; the warning names them. Of a reference, what
        :meth:`DeepScore.set_reference` warns of.
    """
    request = bridge.BridgeRequest(
        modality=modality,  # type: ignore[arg-type]
        upstream=upstream,
        common_features=common_features,
        threshold=threshold,
        seed=seed,
        progress=progress,
        missing=missing,
    )
    of_reference: dict[str, Any] = {
        "layer": reference_layer,
        "values": reference_values,
        "feature_names": reference_feature_names,
    }
    if is_file(rna_model):
        rna_model = load(rna_model)
    if isinstance(rna_model, DeepScore) and any(value is not None for value in of_reference.values()):
        names = ", ".join(f"reference_{name}=" for name in of_reference)
        raise ConfigError("bad_argument", f"{names} say how to read a reference; rna_model is a trained model.")
    of_rna = {"layer": layer, "values": values, "feature_names": feature_names}
    of_atac = {"layer": atac_layer, "values": atac_values, "feature_names": atac_feature_names}
    rna, atac = open_halves(multiome, of_rna, of_atac)
    batches, genes = values_of(rna, batch, "batch"), _genes(annotation)
    with progress_shown(progress):
        if isinstance(rna_model, DeepScore):
            first = rna_model.model
        else:
            reference = open_source(rna_model, modality=RNA.name, **of_reference)
            first = bridge.train_rna_model(reference.blocks, labels_of(reference, labels), rna.blocks, request)
        return deepscore_of(bridge.train_bridge(first, rna.blocks, atac.blocks, request, genes=genes, batch=batches))


def _genes(annotation: Any) -> pd.DataFrame | None:
    return None if annotation is None else read_annotation(annotation)


def is_path(x: Any) -> bool:
    """Tell a path from data sets, and from the name of a peak, unless a file has that name."""
    return isinstance(x, os.PathLike) or (isinstance(x, str) and (not is_peak(x) or os.path.exists(x)))


def is_file(x: Any) -> bool:
    """Tell the path of a file (fragments, BED, model) from paths of data sets and from all else."""
    return is_path(x) and not os.path.isdir(x) and suffix_of(x) not in MATRICES


def peaks_of(x: Any, feature_names: str | None = None) -> Names:
    """Return the peak names of a data set (in the column of this name), a model, a table, a BED file or a list."""
    if isinstance(x, DeepScore):
        return x.model.feature_names
    if isinstance(x, pd.DataFrame):
        return peak_names(x)
    if is_file(x):
        return peak_names(read_bed(Path(x)))
    if is_path(x) or hasattr(x, "obs_names"):
        return peaks_among(open_source(x, modality=PEAKS.name, feature_names=feature_names).blocks)
    names = [x] if isinstance(x, str) or not isinstance(x, Iterable) else list(x)
    if not all(isinstance(name, str) for name in names):
        raise InputError("invalid_peaks", f"Peaks are names such as chr1:10-20, not {x!r:.60}.")
    return np.array(names, dtype=object)


def _cells(cells: Any) -> pd.DataFrame:
    peaks_of_sets.require_barcodes(cells)
    if hasattr(cells, "obs_names"):
        return cells.obs
    if isinstance(cells, pd.DataFrame):
        return cells
    if isinstance(cells, str) or not isinstance(cells, Iterable):
        raise ConfigError(
            "bad_argument", f"cells must be names of cells, or a data set that has them, not {cells!r:.60}."
        )
    return pd.DataFrame(index=pd.Index(list(cells), dtype=str))
