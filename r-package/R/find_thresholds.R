#' Find the threshold that each label should have
#'
#' From cells whose labels are known. `annotate(ds, query, threshold = find_thresholds(ds, data,
#' labels))` uses them.
#'
#' @inheritParams performance
#'
#' @return A data frame with a row for each label of the model: `label`, `threshold`; `sensitivity`
#'   and `specificity` of its score, against the rest, at this threshold, where their sum is
#'   greatest; `auc`, the area under the ROC curve; and the number of `cells`. The threshold is
#'   midway between the two scores that it parts. For a label without cells it is 0.5. A label that
#'   is told well from the others has a low one, which says nothing of types that the model does not
#'   know: let cells of such types be among the cells, or keep to the higher of it and 0.5.
#' @section Errors: those of [performance()].
#' @references Youden WJ (1950). Index for rating diagnostic tests. *Cancer* 3, 32-35.
#' @examplesIf deepscore:::engine_available()
#' pbmc <- SeuratObject::pbmc_small
#' ds <- DeepScore(hidden_nodes = 32, epochs = 5) %>%
#'   set_reference(reference = pbmc[, 1:60], labels = pbmc$RNA_snn_res.1[1:60]) %>%
#'   train(progress = FALSE)
#' found <- find_thresholds(ds, pbmc[, 61:80], labels = "RNA_snn_res.1")
#' found
#' table(annotate(ds, pbmc, threshold = found)$deepscore)
#' @export
find_thresholds <- function(ds, data, labels, batch = NULL, layer = NULL, values = NULL,
                            feature_names = NULL, modality = NULL, min_overlap = 0.1,
                            refine = TRUE, missing = NULL,
                            progress = getOption("deepscore.progress", TRUE), assay = NULL) {
  ds <- trained_model(ds)
  read <- cells_for(ds, data, layer, values, feature_names, modality, assay)
  found <- call_engine(
    "find_thresholds", model_bytes(ds), read$blocks,
    cell_values(labels, read$data, "labels", read$blocks$cells),
    cell_values(batch, read$data, "batch", read$blocks$cells),
    given(c("modality", "min_overlap", "refine", "missing")),
    progress = progress
  )
  as_table(found, text = "label")
}
