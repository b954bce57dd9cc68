#' Count a fragments file in peaks
#'
#' The file is read once from start to end, so that it needs no index and little memory.
#'
#' @param fragments Path of a fragments file (10x Genomics): plain text, gzip or bgzip, with
#'   chromosome, start, end and barcode, and any columns behind them; sorted by chromosome, then by
#'   start. Comments (`#`) and empty lines may be anywhere.
#' @param peaks What to count: see [match_peaks()].
#' @param cells Barcodes to count, as the file spells them, or a data set whose cells have these
#'   names. They must be given.
#' @param counting `"fragments"`: a fragment counts once in every peak with which it shares a base,
#'   as in Signac's FeatureMatrix. `"insertions"`: each of its two ends counts where it lies, as in
#'   Cell Ranger ATAC and ArchR.
#' @param progress As for [find_common_features()].
#'
#' @return A peaks x cells dgCMatrix of counts. A warning tells of cells that do not occur in the
#'   file, with the likely reason, and of fragments without length, which are not counted.
#' @section Errors: `file_not_found`, `fragments_format`, `fragments_unsorted`,
#'   `fragments_truncated`, `no_barcodes_matched`, `no_common_chromosomes`, `invalid_peaks`,
#'   `duplicate_features`, `duplicate_cells`, `no_cells`, `empty_data`, `bad_argument`.
#' @examplesIf deepscore:::engine_available()
#' path <- tempfile(fileext = ".tsv")
#' writeLines(c("chr1\t120\t190\tcell-1\t1", "chr1\t195\t260\tcell-2\t2"), path)
#' count_fragments(path, c("chr1:100-200", "chr1:250-300"), c("cell-1", "cell-2"))
#' @export
count_fragments <- function(fragments, peaks, cells = NULL, counting = "fragments",
                            progress = getOption("deepscore.progress", TRUE)) {
  cells <- as_cell_names(cells)
  answer <- call_engine(
    "count_fragments", one_path(fragments, "fragments"), as_peaks(peaks), strings(cells),
    given("counting"),
    progress = progress
  )
  as_counts(answer, cells)
}
