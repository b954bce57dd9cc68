#' Compute gene activity
#'
#' Counts in the body and the promoter of each gene, as a stand-in for its expression.
#'
#' @param x Peaks, which are summed: a data set of counts (see [deepscore-package]); or the path of
#'   a fragments file, which is counted exactly.
#' @param annotation Where the genes are: the path of a GTF, GFF3 or BED file, plain or gzip; a data
#'   frame with the columns `chrom`, `start`, `end` (from 0, the end not included), `gene` and
#'   `strand`; or a GRanges. `NULL`: of a ChromatinAssay of Signac its own annotation, and its own
#'   fragments files are counted (each for the cells that it knows, by their barcodes there); where
#'   it has none, or with `layer` or `weighting = "distance"`, its peaks are summed. Names may also
#'   be in `gene_name`, `gene_symbol`, `Name`, `name`, `gene_id` or `ID`: the first of them that is
#'   not missing, nor "." or "NA". Of what has a column `type` the genes are taken, else
#'   transcripts, else exons, which are joined by `gene_id`. Loci of one name that overlap are one
#'   gene; a name at several places is ambiguous and left out, but X is kept before Y
#'   and chromosomes before scaffolds.
#' @param upstream,downstream Bases before the start and after the end of the gene, by its strand.
#'   Either end of a gene without a strand may be its start: both are extended by the larger of the
#'   two.
#' @param cells With fragments: barcodes to count, or a data set whose cells have these names.
#' @param weighting `"none"`: everything in the region counts as it is. `"distance"`, for peaks:
#'   those outside count, too, with `exp(-distance / 5000)` up to 100,000 bases away (after ArchR);
#'   values are whole hundredths.
#' @param biotypes Keep only genes of these biotypes, such as `"protein_coding"`.
#' @param layer,values,feature_names,modality What to read of `x`: see [match_peaks()].
#' @param counting With fragments: `"fragments"` or `"insertions"`, as in [count_fragments()].
#' @param names `"gene_name"`, or `"gene_id"` for a model that knows genes by their ids.
#' @param assay Name of the new assay of a Seurat object; one of that name is replaced. `modality`
#'   names the one to read.
#'
#' @details From fragments this is Signac's GeneActivity (Stuart et al., *Nature Methods* 2021)
#'   without its limit on the length of genes and its choice of protein-coding ones (`biotypes`).
#' @return A Seurat object comes back with a new assay of counts, which is its default assay, so
#'   that it can be piped into [annotate()]. The assay's column `gene_ids` holds the ids of the
#'   genes where the annotation has any. For anything else, a genes x cells dgCMatrix of counts.
#'   From peaks only genes that have a peak.
#' @section Errors: `no_annotation`, `annotation_without_genes`, `annotation_format`,
#'   `no_common_chromosomes`, `no_shared_features` where no gene has a peak, `bad_argument`; with
#'   fragments `no_cells` and those of [count_fragments()].
#' @examplesIf deepscore:::engine_available()
#' counts <- Matrix::Matrix(
#'   c(1, 0, 2, 3, 0, 1), 3, sparse = TRUE,
#'   dimnames = list(c("chr1-100-200", "chr1-1800-1900", "chr2-10-90"), c("a", "b"))
#' )
#' genes <- data.frame(
#'   chrom = c("chr1", "chr2"), start = c(1000, 5000), end = c(2000, 6000),
#'   gene = c("CD3E", "LYZ"), strand = c("+", "-")
#' )
#' gene_activity(counts, genes)
#' @export
gene_activity <- function(x, annotation = NULL, upstream = 2000, downstream = 0, cells = NULL,
                          weighting = "none", biotypes = NULL, layer = NULL, values = NULL,
                          feature_names = NULL,
                          modality = NULL, counting = "fragments", names = "gene_name",
                          assay = "activity") {
  check_assay_name(assay, x)
  if (is_data_path(x)) x <- data_set(x, layer, modality %||% "peaks", feature_names)
  of_file <- is.character(x)
  if (!of_file && !is.null(cells)) {
    abort("ConfigError", "bad_argument", "`cells` are barcodes of fragments; `x` is a data set.")
  }
  options <- given(c("upstream", "downstream", "weighting", "biotypes", "counting", "names"))
  activity <- function(source, barcodes = NULL, genes = annotation) {
    call_engine("gene_activity", source, as_annotation(genes), strings(barcodes), options)
  }
  if (of_file) {
    cells <- as_cell_names(cells)
    return(as_counts(activity(one_path(x, "x"), cells), cells))
  }
  blocks <- read_as(peaks_blocks(x, layer, modality, feature_names), values)
  files <- list()
  if (is.null(annotation)) {
    own <- peaks_part(x, modality)
    annotation <- own_annotation(own)
    if (is.null(layer) && identical(weighting, "none")) files <- own_fragments(own, blocks$cells)
  }
  if (!is.null(annotation) && are_there(files)) {
    counts <- count_files(files, blocks$cells, function(file) {
      genes <- annotation_of_file(annotation, file$chromosomes)
      answer <<- activity(one_path(file$path, "x"), file$barcodes, genes)
      as_counts(answer, file$cells)
    })
  } else {
    answer <- activity(blocks)
    counts <- as_counts(answer, blocks$cells)
  }
  add_counts(x, counts, assay, list(gene_ids = unlist(answer$gene_ids)))
}
