#' Find the peaks that data sets have in common
#'
#' Overlapping and touching peaks of all data sets become one peak. [match_peaks()] then counts any
#' of the data sets in the common peaks.
#'
#' @param datasets A list of data sets, each of them a data set whose features are peaks (see
#'   [deepscore-package]; of a Seurat object the default assay if it holds peaks, else the first
#'   that does), a character vector of peak names, a GRanges, a data frame with the columns `chrom`,
#'   `start` and `end`, or the path of a BED file.
#' @param how `"union"` returns every merged peak, `"intersection"` those in which every data set
#'   has at least one peak.
#' @param min_width,max_width Least and greatest width in bases of the peaks that are returned.
#' @param standard_chromosomes Leave out peaks on scaffolds, such as chrUn_KI270742v1?
#' @param feature_names Column of the table of features that has the names of the peaks, in every
#'   data set with such a table.
#' @param assay The assay (or alternative experiment) of peaks to read, in every data set that has
#'   several. `NULL`: see `datasets`.
#'
#' @section Positions:
#' Peak names (`chr1:10-20`, `chr1-10-20` or `chr1_10_20`, with or without "chr"), tables and BED
#' files are read as BED positions: from 0, the end not included. A GRanges counts from 1 and
#' includes its end, so that the range 11 to 20 is the peak `chr1:10-20`. Signac takes the numbers
#' of a name as those of a GRanges: where it and deepscore read the same names, they differ by one
#' base at the start of each peak.
#' @return A character vector of peak names, `chr1:10-20`, sorted; chromosomes as the first data set
#'   spells them.
#' @section Errors: `invalid_peaks`, `no_common_chromosomes`, `genome_build`, `no_shared_features`,
#'   `file_not_found`, `bad_argument`; `missing_package` where the engine lacks bioframe.
#' @examplesIf deepscore:::engine_available()
#' find_common_peaks(list(
#'   c("chr1:100-200", "chr1:500-600"),
#'   c("chr1-150-250", "chr2-10-90")
#' ))
#' @export
find_common_peaks <- function(datasets, how = "intersection", min_width = NULL, max_width = NULL,
                              standard_chromosomes = FALSE, feature_names = NULL, assay = NULL) {
  peaks <- call_engine(
    "find_common_peaks",
    several(lapply(each_data_set(datasets), as_peaks, feature_names, assay)),
    given(c("how", "min_width", "max_width", "standard_chromosomes"))
  )
  as.character(peaks)
}
