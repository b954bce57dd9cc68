#' Annotate a query on disk and write a table of its calls
#'
#' Calls the cells of a data set of any size, in little memory, and writes them as one Parquet file.
#'
#' A query of more than 10,000 cells is called in ranges of 50,000 cells. While that lasts, a folder
#' beside the output, named as it with `.parts` at its end, holds the look at the query and what is
#' finished. A run that was ended goes on from there when it is started again, with the same model,
#' query and options; with others it starts anew, and a warning says so. At the end the parts become
#' one file and the folder goes.
#'
#' @inheritParams annotate
#' @param query Path of the data set to annotate, or the paths of several, which are looked at as
#'   one query: see [deepscore-package].
#' @param output The file to write, named `.parquet`; one that is there is replaced once the new one
#'   is complete.
#' @param batch A column of the query's table of cells, or one value per cell: see [annotate()].
#' @param groups A column of that table, or one value per cell: see [annotate()].
#' @param peaks The path of the raw peaks of the same cells: see [annotate()]. The query is then
#'   called as a whole.
#' @param client As for [annotate()]. Its workers must see the folder of `output`, too.
#'
#' @return `output`, invisibly. The file has a row for each cell, its name in the column `cell`, and
#'   the columns that [annotate()] gives for a path; of several data sets, the path of each in
#'   the column `file`. `arrow::read_parquet()` reads it.
#' @section Errors: `path_not_writable`, `write_failed`, `missing_package` (without Python's
#'   pyarrow), `bad_argument`, `cluster_lost`, and those of [annotate()].
#' @examplesIf deepscore:::engine_available()
#' \dontrun{
#' annotate_to_parquet(ds, "atlas.h5ad", "labels.parquet")
#' }
#' @export
annotate_to_parquet <- function(ds, query, output, threshold = 0.5, batch = NULL, layer = NULL,
                                values = NULL, feature_names = NULL, modality = NULL,
                                probabilities = FALSE, min_overlap = 0.1, refine = TRUE,
                                groups = NULL, peaks = NULL, peaks_model = NULL,
                                progress = getOption("deepscore.progress", TRUE),
                                peaks_layer = NULL, peaks_values = NULL,
                                peaks_feature_names = NULL, device = "cpu", client = NULL) {
  batch <- of_cells(batch)
  groups <- of_cells(groups)
  if (!is.null(peaks)) peaks <- paths_of(peaks)
  how <- given(c(
    "threshold", "batch", "layer", "values", "feature_names", "modality", "probabilities",
    "min_overlap", "refine", "groups", "peaks", "peaks_layer", "peaks_values",
    "peaks_feature_names", "device", "client"
  ))
  call_engine(
    "annotate_to_parquet", model_bytes(trained_model(ds)), paths_of(query), paths_of(output), how,
    if (!is.null(peaks_model)) model_bytes(trained_model(peaks_model)),
    progress = progress
  )
  invisible(output)
}

# Data sets that stay on disk: their paths, one as a text and several as a list of texts.
paths_of <- function(x) {
  paths <- unlist(x)
  if (!is.character(paths) || !length(paths) || anyNA(paths)) {
    abort(
      "ConfigError", "bad_argument",
      "What is read from disk is given by its path, or by the paths of several files."
    )
  }
  paths <- as_utf8(path.expand(paths))
  if (length(paths) == 1) paths else as.list(paths)
}

# The name of a column, or one text for each cell.
of_cells <- function(x) {
  if (is.null(x) || is_string(x)) return(x)
  as.list(as.character(x))
}
