#' Count a query over another set of peaks
#'
#' Without `fragments`, each peak gets the sum of the query's own peaks that share a base with it:
#' an own peak over two of them counts in both, one that overlaps none is lost. With `fragments` the
#' counts are exact. [annotate()] does the first by itself where a query's peaks are not those of
#' the model.
#'
#' @param query A data set of counts whose features are peaks: see [deepscore-package].
#' @param peaks What to count: peak names, a GRanges, a data frame with the columns `chrom`, `start`
#'   and `end`, the path of a BED file, a data set, or a trained [DeepScore()], for its peaks. How
#'   positions are read is said at [find_common_peaks()].
#' @param fragments Path of the query's fragments file (10x Genomics); its barcodes are the query's
#'   cell names. See [count_fragments()].
#' @param layer,values The layer to read: see [set_reference()], and what its values are:
#'   `"counts"` also takes counts with fractions.
#' @param feature_names The names of the query's peaks: see [find_common_features()].
#' @param modality Name of an assay (Seurat) or of an alternative experiment (SingleCellExperiment).
#'   `NULL`: the default assay (or the main experiment) if it holds peaks, else the first that does.
#' @param min_overlap Least share of `peaks` that the query's own peaks must cover, 0 to 1.
#' @param counting With `fragments`: `"fragments"` or `"insertions"`, as in [count_fragments()].
#' @param assay Name of the new assay of a Seurat object; one of that name is replaced. `modality`
#'   names the one to read.
#'
#' @return A Seurat object comes back with a new assay of counts, which is its default assay, so
#'   that it can be piped into [annotate()]. The assay's column `covered` tells which peaks the
#'   query's own overlap (with `fragments`: which have any count). That of a ChromatinAssay of
#'   Signac is one, too, with its annotation and fragments. For any other data set, a peaks x cells
#'   dgCMatrix of counts.
#' @section Errors: `low_overlap`, `genome_build` (both builds are named), `no_common_chromosomes`,
#'   `invalid_peaks`, `duplicate_features`, `modality_mismatch`, `bad_argument`, the errors of
#'   reading data; with `fragments` those of [count_fragments()]. `too_many_values` where the result
#'   has more values than a sparse matrix of R can hold.
#' @examplesIf deepscore:::engine_available()
#' counts <- Matrix::Matrix(
#'   c(1, 0, 2, 3, 0, 1), 3, sparse = TRUE,
#'   dimnames = list(c("chr1-100-200", "chr1-180-300", "chr2-10-90"), c("a", "b"))
#' )
#' match_peaks(counts, c("chr1:150-250", "chr2:50-70"))
#' @export
match_peaks <- function(query, peaks, fragments = NULL, layer = NULL, values = NULL,
                        feature_names = NULL,
                        modality = NULL, min_overlap = 0.1, counting = "fragments",
                        assay = "matched") {
  check_assay_name(assay, query)
  blocks <- read_as(peaks_blocks(query, layer, modality, feature_names), values)
  answer <- call_engine(
    "match_peaks", blocks, as_peaks(peaks),
    if (!is.null(fragments)) one_path(fragments, "fragments"),
    given(c("min_overlap", "counting"))
  )
  counts <- as_counts(answer, blocks$cells)
  about <- list(covered = as.logical(answer$covered))
  add_counts(query, counts, assay, about, like = peaks_part(query, modality))
}
