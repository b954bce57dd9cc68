#' Find the features to learn from
#'
#' Features that the reference and every query share, best ranked first.
#'
#' @param reference The annotated data set: see [deepscore-package].
#' @param query The data set to annotate, or a list of several.
#' @param n_features Number of features wanted. Where fewer are shared, all of them come back with
#'   a warning that says how many there are and why.
#' @param strategy `"variable"`: most variable in all data sets (peaks: found in most cells).
#'   `"markers_in_variable"`: markers of the reference's labels among the query's variable
#'   features. `"markers"`: markers of the labels among all features of the query. The marker
#'   strategies serve every label in turn.
#' @param labels Labels of the reference, needed by the marker strategies: see [set_reference()].
#' @param layer,query_layer The values to read from `reference` and from `query`: a slot or layer
#'   of a Seurat assay, or the name of an assay of a SingleCellExperiment. `NULL`: counts where
#'   there are any, else the log-normalised data.
#' @param values,query_values What the values of `reference` and of `query` are: see
#'   [set_reference()].
#' @param feature_names,query_feature_names Which column of the table of features (of a Seurat
#'   assay `object[["RNA"]][[]]`, of a SingleCellExperiment `rowData()`) has the names of the
#'   features, in the reference and in the queries; or `"index"`, the row names. `NULL`: the row
#'   names and, where few of them match, the columns of text that do, such as symbols beside Ensembl
#'   ids: a warning says which one was used. Numbered features (1, 2, ... or V1, V2, ...) match only
#'   where `query_feature_names = "index"` says that they are in one order.
#' @param modality `"rna"`, `"peaks"` or `"protein"`. `NULL`: told from the name of the
#'   Seurat assay where that is one of antibodies (`ADT`), else from the feature names.
#' @param test Test for markers: `"t-test"` (Welch) or `"wilcoxon"` (rank sum).
#' @param missing Words that stand for a missing label: see [set_reference()].
#' @param progress Show bars, of what takes more than two seconds? They are for a terminal or a
#'   notebook, not for the log of a script. The option `deepscore.progress` is the default.
#' @param client Address of the scheduler of a Dask cluster that reads data sets, which are paths
#'   then: see [annotate()]. The features are the same.
#' @param assay,query_assay The assays of `reference` and of `query` to read: see [set_reference()].
#'
#' @details Genes are ranked by the standardised variance of Stuart et al. (2019) on counts, and by
#'   normalised dispersion on log-normalised data. A data set in which nothing varies, such as one
#'   of a single cell, has no say in their order. The result depends on nothing random.
#' @references Stuart T, et al. (2019). Comprehensive Integration of Single-Cell Data. *Cell*
#'   177, 1888-1902. \doi{10.1016/j.cell.2019.05.031}
#'
#' @return A character vector of feature names, best first.
#' @section Errors: `no_shared_features`, `numbered_features`, `ambiguous_names`,
#'   `column_not_found`, `no_labels`, `labels_length`, `duplicate_features`,
#'   `layer_not_found` and the other errors of reading data.
#' @examplesIf deepscore:::engine_available()
#' pbmc <- SeuratObject::pbmc_small
#' find_common_features(pbmc, pbmc, n_features = 10)
#' @export
find_common_features <- function(reference, query, n_features = 2000, strategy = "variable",
                                 labels = NULL, layer = NULL, query_layer = NULL,
                                 values = NULL, query_values = NULL, feature_names = NULL,
                                 query_feature_names = NULL,
                                 modality = NULL, test = "t-test", missing = NULL,
                                 progress = getOption("deepscore.progress", TRUE),
                                 client = NULL, assay = NULL, query_assay = NULL) {
  if (!is.null(client)) {
    labels <- of_cells(labels)
    how <- given(c(
      "n_features", "strategy", "labels", "layer", "query_layer", "values", "query_values",
      "feature_names", "query_feature_names", "modality", "test", "missing", "client"
    ))
    features <- call_engine(
      "find_common_features_of_paths", paths_of(reference), as.list(paths_of(query)), how,
      verb = "find_common_features", progress = progress
    )
    return(as.character(features))
  }
  if (is.character(query)) query <- as.list(query)
  queries <- if (is.list(query) && !is.object(query) && !is_kinds(query)) query else list(query)
  reference <- data_set(reference, layer, modality, feature_names)
  first <- named_by(blocks_of(reference, layer, modality, assay), feature_names)
  first <- read_as(first, values)
  queries <- queries_of(
    first, queries, query_layer, query_values, modality, query_feature_names, query_assay,
    "find_common_features"
  )
  features <- call_engine(
    "find_common_features", first, several(queries),
    cell_values(labels, reference, "labels", first$cells),
    given(c("n_features", "strategy", "modality", "test", "missing")),
    progress = progress
  )
  as.character(features)
}
