#' Tell which features speak for a label
#'
#' What each feature adds to the logit of a label: in one cell, in all cells of the label, or on the
#' whole.
#'
#' @param ds A trained [DeepScore()] object, or the path of a model file.
#' @param data As `query` of [annotate()].
#' @param labels The label of each cell: a metadata column, or one value per cell, such as the true
#'   ones, or the calls of an earlier annotation (`"deepscore"`). `NULL`: the model calls them anew.
#'   Cells without one (in calls by the model: with a score below 0.5), and those of labels that the
#'   model does not know, are left out.
#' @param by `"label"`: mean over the cells of each label. `"overall"`: mean over the labels, all of
#'   the same weight. `"cell"`: each cell for itself; also cells with a low score, for their best
#'   label.
#' @param method `"gradient"`: of the whole network, standardised value times gradient. `"linear"`:
#'   of the linear path alone, standardised value times weight; exact, as these add up to its logit,
#'   but for a constant of the label.
#' @param n_features How many features to list of each label or cell, the most important ones.
#'   `NULL`: all, but of a cell 20.
#' @param cells Names of the cells to look at, or `NULL` for all. The others count only where the
#'   query is used as a whole.
#' @param batch,refine As for [annotate()]: by what scale values are standardised, and, without
#'   `labels`, the calls.
#' @param layer,values,feature_names,modality,min_overlap,assay As for [annotate()].
#' @param missing Words in `labels` that stand for a missing one: see [set_reference()].
#' @param progress As for [find_common_features()].
#'
#' @details What a cell lacks may speak for a label, too, as the absence of HLA-DRA for T cells.
#'   A feature that the data set lacks has an importance of 0. What a cell's neighbours say of it is
#'   no feature, and no part of this.
#' @return A data frame with a row for each label (or cell) and feature: `label`, `feature`,
#'   `importance`, sorted by label, within it by falling importance. By cell there is its name,
#'   `cell`, in front; overall there is no `label`. Importance is in calibrated logits, beyond what
#'   the feature adds to the mean of all labels: above 0 it speaks for the label, below 0 against.
#'   Features are called as in the model; by their symbols where the model's names are Ensembl ids
#'   and it knows both.
#' @section Errors: `no_linear_path` where `method = "linear"` and the model is from a file of
#'   version 1, `no_shared_labels`, `cells_not_found`, `no_calls` where no cell has a label to
#'   explain, `labels_length`, `bad_argument`; those of [annotate()].
#' @references Shrikumar A, Greenside P, Kundaje A (2017). Learning Important Features Through
#'   Propagating Activation Differences. *ICML*. \url{https://arxiv.org/abs/1704.02685}
#' @examplesIf deepscore:::engine_available()
#' pbmc <- SeuratObject::pbmc_small
#' ds <- DeepScore(hidden_nodes = 32, epochs = 5) %>%
#'   set_reference(reference = pbmc, labels = pbmc$RNA_snn_res.1) %>%
#'   train(progress = FALSE)
#' feature_importance(ds, pbmc, n_features = 3)
#' @export
feature_importance <- function(ds, data, labels = NULL, by = "label", method = "gradient",
                               n_features = NULL, cells = NULL, batch = NULL, layer = NULL,
                               values = NULL, feature_names = NULL, modality = NULL,
                               min_overlap = 0.1, refine = TRUE, missing = NULL,
                               progress = getOption("deepscore.progress", TRUE), assay = NULL) {
  ds <- trained_model(ds)
  read <- cells_for(ds, data, layer, values, feature_names, modality, assay)
  found <- call_engine(
    "feature_importance", model_bytes(ds), read$blocks,
    cell_values(labels, read$data, "labels", read$blocks$cells),
    cell_values(batch, read$data, "batch", read$blocks$cells),
    given(c(
      "by", "method", "n_features", "cells", "modality", "min_overlap", "refine", "missing"
    )),
    progress = progress
  )
  as_table(found, text = intersect(c("cell", "label", "feature"), names(found)))
}

# A data set, opened where it is a path, and its blocks as a model reads them.
cells_for <- function(ds, data, layer, values, feature_names, modality, assay) {
  data <- data_set(data, layer, modality, feature_names)
  blocks <- named_by(query_blocks(ds, data, layer, modality, assay), feature_names)
  list(data = data, blocks = read_as(blocks, values))
}
