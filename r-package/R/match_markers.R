#' Compare the markers of the labels of a reference and of a query
#'
#' By the Jaccard index of each pair of labels, and by matchSCore on the whole.
#'
#' @param reference,query The markers of each label, in one of these forms:
#'   * a data set: see [deepscore-package]. Markers are computed from its labels. Of a path, where
#'     no labels are given, those are taken that `scanpy.tl.rank_genes_groups` has left in it;
#'   * a data frame: of Seurat's `FindAllMarkers()` (`cluster`, `gene`, `p_val`, `avg_log2FC` or
#'     `avg_logFC`), of presto's `wilcoxauc()` or of [feature_importance()]; or of names, with a
#'     column for each label;
#'   * a list of names by label, the best first.
#' @param n_markers How many markers of each label to compare at most, the best. `NULL`: 100 of a
#'   data set or a table, and all of a list. Features that are lower in a label than elsewhere are
#'   no markers of it.
#' @param labels,query_labels A metadata column, or one label per cell. Without `labels`, those of a
#'   Seurat object are its identities, where they are set. Without `query_labels`, those of the
#'   query are its calls, the column `deepscore`.
#' @param key Of a path: where the results of scanpy are.
#' @param test The test that computes markers: `"t-test"` (Welch) or `"wilcoxon"` (rank sum). Of two
#'   data sets only the features that both have can be markers.
#' @param layer,query_layer,values,query_values,feature_names,query_feature_names,modality,progress
#'   As for [find_common_features()].
#' @param missing Words that stand for a missing label: see [set_reference()]. Unclassified cells
#'   have none.
#' @param assay,query_assay The assays of `reference` and of `query` to read: see [set_reference()].
#'
#' @return A list of class `deepscore_marker_match`, with a print method:
#'   * `jaccard`: a matrix of the Jaccard index of each pair of labels, reference labels x query
#'     labels: markers that both have, by all of both.
#'   * `score`: matchSCore: the mean over the reference's labels of the highest index that each
#'     reaches, 0 to 1.
#'   * `best`: a data frame with a row for each label of the reference: `label`, `match` (the label
#'     of the query with the highest index, of equal ones the first by name; `NA` where no marker is
#'     shared) and `jaccard`.
#'   * `reference`, `query`: lists of the markers that were compared.
#'   * `words`: sentences that say which label matches which.
#' @section Errors: `unknown_markers`, `no_markers`, `no_labels`, `one_label`, `no_shared_features`,
#'   `column_not_found`, `bad_argument`; those of [set_reference()].
#' @references Mereu E, Lafzi A, Moutinho C, et al. (2020). Benchmarking single-cell RNA-sequencing
#'   protocols for cell atlas projects. *Nature Biotechnology* 38, 747-755.
#'   \doi{10.1038/s41587-020-0469-4}
#' @examplesIf deepscore:::engine_available()
#' match_markers(
#'   list(T = c("CD3D", "CD3E", "IL7R"), B = c("MS4A1", "CD79A")),
#'   list("1" = c("CD3D", "CD3E", "CCR7"), "2" = c("CD79A", "MS4A1"))
#' )
#' pbmc <- SeuratObject::pbmc_small
#' match_markers(
#'   pbmc, pbmc, n_markers = 20, labels = "RNA_snn_res.1", query_labels = "RNA_snn_res.0.8"
#' )
#' @export
match_markers <- function(reference, query, n_markers = NULL, labels = NULL, query_labels = NULL,
                          key = "rank_genes_groups", test = "t-test", layer = NULL,
                          query_layer = NULL, values = NULL, query_values = NULL,
                          feature_names = NULL, query_feature_names = NULL, modality = NULL,
                          missing = NULL, progress = getOption("deepscore.progress", TRUE),
                          assay = NULL, query_assay = NULL) {
  if (!is_string(key)) abort("ConfigError", "bad_argument", "`key` must be a name.")
  sides <- list(
    markers_of(
      reference, labels, NULL, key, layer, values, feature_names, modality, assay
    ),
    markers_of(
      query, query_labels, "deepscore", key, query_layer, query_values, query_feature_names,
      modality, query_assay
    )
  )
  found <- call_engine(
    "match_markers", sides[[1]]$blocks, sides[[2]]$blocks,
    lapply(sides, `[[`, "labels"), lapply(sides, `[[`, "markers"),
    given(c("n_markers", "test", "modality", "missing")),
    progress = progress
  )
  structure(
    list(
      jaccard = named_matrix(found$jaccard),
      score = found$score,
      best = data.frame(
        label = texts_of(found$best$label), match = texts_of(found$best$match),
        jaccard = as.numeric(unlist(found$best$jaccard))
      ),
      reference = lapply(found$reference, as.character),
      query = lapply(found$query, as.character),
      words = as.character(found$words)
    ),
    class = "deepscore_marker_match"
  )
}

# What markers are to be made of: blocks of cells and their labels, or a table or lists as they are.
# `calls` is the column that has the labels where nobody names them.
markers_of <- function(x, labels, calls, key, layer, values, feature_names, modality, assay) {
  if (is_marker_table(x)) return(list(markers = list(columns = plain_columns(x))))
  if (is_marker_list(x)) return(list(markers = list(lists = marker_lists(x))))
  x <- data_set(x, layer, modality, feature_names)
  ranked <- if (is.null(labels)) ranked_markers(x, key)
  if (!is.null(ranked)) return(list(markers = list(columns = ranked)))
  if (is.null(labels)) labels <- default_labels(x, calls)
  blocks <- named_by(blocks_of(x, layer, modality, assay), feature_names)
  list(
    blocks = read_as(blocks, values),
    labels = cell_values(labels, x, "labels", blocks$cells)
  )
}

# A table of which all columns are numbers holds the values of cells.
is_marker_table <- function(x) is.data.frame(x) && !all(vapply(x, is.numeric, NA))

is_marker_list <- function(x) {
  is_names <- function(one) is.character(one) || is.factor(one) || length(one) == 0
  is.list(x) && !is.object(x) && all(vapply(x, is_names, NA))
}

marker_lists <- function(x) {
  labels <- names(x) %||% character(length(x))
  if (anyDuplicated(labels) || !all(nzchar(labels))) {
    abort(
      "InputError", "unknown_markers",
      "A list of markers has a name for each label, no two of them the same: ",
      "list(T = c(\"CD3D\", \"CD3E\"), B = \"MS4A1\")."
    )
  }
  named_list(lapply(x, strings))
}

# What scanpy has left in a data set that the engine has opened.
ranked_markers <- function(x, key) {
  if (!inherits(x, "deepscore_path")) return(NULL)
  found <- call_engine("ranked_of", x$table, key, verb = "match_markers")
  if (!is.null(found)) plain_columns(found)
}

default_labels <- function(x, calls) {
  if (!is.null(calls) && calls %in% names(cell_data(x))) calls else labels_of(x)
}

# The columns of a table for Python, numbers and texts.
plain_columns <- function(table) {
  named_list(lapply(as.list(table), function(column) {
    if (is.numeric(column)) as.list(as.double(column)) else strings(texts_of(column))
  }))
}

# Texts from Python, NA where one is missing, or a column of them.
texts_of <- function(x) {
  if (is.list(x)) x[lengths(x) == 0] <- NA
  as.character(unlist(if (is.factor(x)) as.character(x) else x))
}

#' @export
print.deepscore_marker_match <- function(x, ...) {
  cat(
    "<deepscore marker match> ", nrow(x$jaccard), " labels of the reference, ", ncol(x$jaccard),
    " of the query\n", paste0(printable(x$words), "\n"),
    sep = ""
  )
  print(round(x$jaccard, 2))
  invisible(x)
}
