#' Tell how good calls are where labels are known
#'
#' Annotates cells whose labels are known, and weighs the calls.
#'
#' @param ds A trained [DeepScore()] object, or the path of a model file.
#' @param data As `query` of [annotate()]: cells that the model has not been trained on.
#' @param labels The true labels: a metadata column, or one per cell, called as the model calls
#'   them. Cells without one are annotated, but do not count.
#' @param threshold As for [annotate()].
#' @param batch,layer,values,feature_names,modality,min_overlap,refine,assay As for
#'   [annotate()].
#' @param missing Words that stand for a missing label: see [set_reference()].
#' @param progress As for [find_common_features()].
#'
#' @return A list of class `deepscore_performance`, with a print method:
#'   * `confusion`: a matrix of the numbers of cells, true labels x calls: the model's labels and,
#'     last, `"Unclassified"`.
#'   * `labels`: a data frame with a row per label, of the cells or of the model: `label`; `cells`
#'     that have it, `called` (cells that get it), `sensitivity`, `specificity` and `precision` of
#'     the label against the rest, `balanced_accuracy` (mean of the first two), `f1`, `auc` (area
#'     under the ROC curve of the label's score) and `unclassified`, the share of its cells without
#'     a call. `NaN` where there is nothing to count; of a label that the model does not know, only
#'     `unclassified` says anything.
#'   * `roc`: a data frame with the curve of each label: `label`, `threshold`,
#'     `false_positive_rate`, `true_positive_rate`.
#'   * `overall`: named numbers. `n_cells`: cells with a true label. `accuracy`: share of right
#'     calls, of the cells whose label the model knows; an Unclassified cell has none.
#'     `balanced_accuracy`, `macro_f1`, `auc`: mean sensitivity, F1 and area of the labels that the
#'     model knows and cells have. `unclassified`: share of the cells without a call, of those whose
#'     label the model knows; `rejected`: of those whose label it does not know. `ari`, `purity`:
#'     how well the calls as clusters, `"Unclassified"` among them, agree with the true labels:
#'     adjusted Rand index (Hubert and Arabie 1985), and share of the cells that are of the most
#'     frequent label of their cluster.
#' @section Errors: `no_shared_labels` where the model knows none of the labels, `labels_length`,
#'   `column_not_found`, `bad_argument`; those of [annotate()].
#' @examplesIf deepscore:::engine_available()
#' pbmc <- SeuratObject::pbmc_small
#' ds <- DeepScore(hidden_nodes = 32, epochs = 5) %>%
#'   set_reference(reference = pbmc[, 1:60], labels = pbmc$RNA_snn_res.1[1:60]) %>%
#'   train(progress = FALSE)
#' performance(ds, pbmc[, 61:80], labels = "RNA_snn_res.1")
#' @export
performance <- function(ds, data, labels, threshold = 0.5, batch = NULL, layer = NULL,
                        values = NULL, feature_names = NULL, modality = NULL, min_overlap = 0.1,
                        refine = TRUE, missing = NULL,
                        progress = getOption("deepscore.progress", TRUE), assay = NULL) {
  ds <- trained_model(ds)
  read <- cells_for(ds, data, layer, values, feature_names, modality, assay)
  found <- call_engine(
    "performance", model_bytes(ds), read$blocks,
    cell_values(labels, read$data, "labels", read$blocks$cells),
    cell_values(batch, read$data, "batch", read$blocks$cells),
    given(c("threshold", "modality", "min_overlap", "refine", "missing")),
    progress = progress
  )
  structure(
    list(
      confusion = named_matrix(found$confusion, c("label", "call")),
      labels = as_table(found$labels, text = "label"),
      roc = as_table(found$roc, text = "label"),
      overall = unlist(found$overall)
    ),
    class = "deepscore_performance"
  )
}

# A matrix from Python: names, and the bytes of its values row by row.
named_matrix <- function(x, dims = NULL) {
  names <- stats::setNames(list(as.character(x$rows), as.character(x$columns)), dims)
  matrix(as_doubles(x$values), nrow = length(names[[1]]), byrow = TRUE, dimnames = names)
}

#' @export
print.deepscore_performance <- function(x, ...) {
  known <- x$overall[!is.nan(x$overall) & names(x$overall) != "n_cells"]
  figures <- paste(names(known), formatC(known, digits = 3, format = "f"), collapse = ", ")
  cat("<deepscore performance> ", x$overall[["n_cells"]], " cells, ", figures, "\n", sep = "")
  print(x$labels, digits = 3, row.names = FALSE)
  cat("Cells by true label and call:\n")
  print(x$confusion)
  invisible(x)
}
