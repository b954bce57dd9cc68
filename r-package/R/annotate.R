#' Annotate a query
#'
#' Gives every cell of the query the label that fits it best.
#'
#' @param ds A trained [DeepScore()] object, from [train()] or [load_model()].
#' @param query The data set to annotate, features x cells: see [deepscore-package]. Its features
#'   are matched by name, in any order; some may be missing.
#' @param threshold Cells whose best label is less probable than this are `"Unclassified"`.
#' @param batch A metadata column, or one value per cell: samples that are standardised each by
#'   itself, shrunk towards the reference where they are small. Use it where each sample holds a
#'   mixture of cell types.
#' @param layer The values to read: see [set_reference()].
#' @param modality Which kind of features to read, `"rna"`, `"peaks"` or `"protein"`. `NULL`: that
#'   of the model.
#' @param probabilities Add the probability of every label, too?
#' @param min_overlap Least share of the model's features that the query must have, 0 to 1. A
#'   missing feature counts as its mean in the reference.
#' @param ... Not used.
#'
#' @return The query with new metadata columns (Seurat) or new `colData` columns
#'   (SingleCellExperiment); for a bare matrix, a data frame with one row per cell. The columns:
#'   * `deepscore`: the label, or `"Unclassified"`.
#'   * `deepscore_score`: calibrated probability of the best label, 0 to 1.
#'   * `deepscore_probability_<label>`, with `probabilities = TRUE`: one column per label.
#'
#'   Nothing else of the query changes.
#' @section Errors: `not_trained`, `no_shared_features`, `low_overlap`, `modality_mismatch`,
#'   `wrong_orientation`, `empty_data`, `layer_not_found`, `scaled_data`, `negative_values`,
#'   `non_finite`, `duplicate_features`, `duplicate_cells`, `unknown_data`.
#' @references Calibration by temperature: Guo C, Pleiss G, Sun Y, Weinberger KQ (2017). On
#'   Calibration of Modern Neural Networks. *ICML*. \url{https://arxiv.org/abs/1706.04599}
#' @examplesIf deepscore:::engine_available()
#' pbmc <- SeuratObject::pbmc_small
#' ds <- DeepScore(hidden_nodes = 32, epochs = 5) %>%
#'   set_reference(reference = pbmc, labels = pbmc$RNA_snn_res.1) %>%
#'   train(progress = FALSE)
#' pbmc <- annotate(ds, query = pbmc)
#' table(pbmc$deepscore, pbmc$RNA_snn_res.1)
#' @export
annotate <- function(ds, query, threshold = 0.5, batch = NULL, layer = NULL, modality = NULL,
                     probabilities = FALSE, min_overlap = 0.1, ...) {
  UseMethod("annotate")
}

#' @export
annotate.default <- annotate
body(annotate.default) <- quote(abort_foreign("annotate", ds, "ggplot2"))

#' @export
annotate.DeepScore <- function(ds, query, threshold = 0.5, batch = NULL, layer = NULL,
                               modality = NULL, probabilities = FALSE, min_overlap = 0.1, ...) {
  rlang::check_dots_empty()
  blocks <- as_blocks(query, layer)
  answer <- call_engine(
    "annotate", model_bytes(ds), blocks, cell_values(batch, query, "batch"),
    given(c("threshold", "modality", "probabilities", "min_overlap"))
  )
  add_calls(query, as_calls(answer, blocks$cells))
}

model_bytes <- function(ds) {
  if (!is.null(ds$model)) return(ds$model)
  abort("InputError", "not_trained", "This DeepScore object is not trained. Call train(ds) first.")
}
