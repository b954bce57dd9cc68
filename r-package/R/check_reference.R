#' Check a reference
#'
#' Tells which labels can be trusted with a reference. For each fold, a network is trained on the
#' cells outside it, as [train()] does by default but for a shorter time, and calls its cells.
#'
#' @inheritParams set_reference
#' @param query The data set to annotate, or `NULL`. The cells of a fold are called as if they had
#'   its features only: a missing feature counts as its mean. It is called, too, and `words` say
#'   whether it looks like the reference's tissue and what most tells it from the reference.
#' @param common_features Names of the features to use. `NULL`: the 2,000 most variable features of
#'   the reference; of peaks, the 10,000 that most cells have.
#' @param layer,query_layer The values to read from `reference` and from `query`: a slot or layer
#'   of a Seurat assay, or the name of an assay of a SingleCellExperiment. `NULL`: counts where
#'   there are any, else the log-normalised data.
#' @param values,query_values What the values of `reference` and of `query` are: see
#'   [set_reference()].
#' @param feature_names,query_feature_names The names of the features: see
#'   [find_common_features()].
#' @param batch A metadata column, or one value per cell. With two or more batches, whole batches
#'   are left out: what a query from elsewhere will meet. Each batch is standardised by itself,
#'   those left out as by [annotate()] with `batch`. Cells whose label no other fold holds cannot
#'   be tested.
#' @param folds Number of folds, at least 2 (fewer where there are fewer batches). Without batches
#'   each fold has cells of every label; of a label with fewer cells than folds, as many folds as
#'   it has cells.
#' @param seed Seed of the folds and of the networks.
#' @param progress As for [find_common_features()].
#' @param assay,query_assay The assays of `reference` and of `query` to read: see [set_reference()].
#'
#' @details Each cell is called by itself (`refine = FALSE`). No network has seen a cell that it
#'   calls, and no centre or deviation either, but for those of a batch left out, which are its own.
#'   What does not depend on labels does come from all cells: the choice of variable features, the
#'   common total that counts are scaled to, and for peaks the inverse document frequency. Features
#'   that were chosen as markers, by the labels of all cells, make the figures a little too good.
#'
#' @return A list of class `deepscore_check`, with a print method:
#'   * `words`: sentences that say which labels cannot be trusted and why, or that all can. A label
#'     is trusted with at least 10 cells and recall and precision of at least 0.7, if it is not
#'     confined to one of several batches.
#'   * `labels`: a data frame with a row per label: `label`, `cells`, `tested` (cells that a network
#'     called which had learned the label but not the cell), `recall`, `precision`, `f1` (of the
#'     tested cells; `NaN` where there are none) and `trusted`.
#'   * `confusable`: a data frame with a row per pair: `label`, `taken_for`, `share` (of the label's
#'     tested cells, at least 0.1), the largest first. Cells without any count in the features are
#'     taken for `"Unclassified"`.
#'   * `overlap`: of the `features` used, how many the query has (`found`), and their `share`;
#'     `NULL` without a query.
#'   * `design`: how the cells were divided for the test.
#'   * `query`: what a network that has learnt the whole reference makes of the query: the share of
#'     its cells that are `unclassified` and, where unknown types are looked for, the chance that it
#'     is of the reference's tissue (`native`) and the share of what tells its cells apart that the
#'     reference explains (`explained`). `NULL` without a query.
#' @section Errors: those of [set_reference()]; `no_shared_features` and `modality_mismatch` of the
#'   query; `bad_argument`.
#' @examplesIf deepscore:::engine_available()
#' pbmc <- SeuratObject::pbmc_small
#' check_reference(pbmc, labels = pbmc$RNA_snn_res.1, folds = 2)
#' @export
check_reference <- function(reference, labels, query = NULL, common_features = NULL, layer = NULL,
                            query_layer = NULL, values = NULL, query_values = NULL,
                            feature_names = NULL, query_feature_names = NULL,
                            batch = NULL, modality = NULL, folds = 5, seed = 0, missing = NULL,
                            progress = getOption("deepscore.progress", TRUE), assay = NULL,
                            query_assay = NULL) {
  if (missing(labels)) labels <- labels_of(reference)
  reference <- data_set(reference, layer, modality, feature_names)
  learnt <- named_by(blocks_of(reference, layer, modality, assay), feature_names)
  learnt <- read_as(learnt, values)
  found <- call_engine(
    "check_reference", learnt, cell_values(labels, reference, "labels", learnt$cells),
    optional_query(
      learnt, query, query_layer, query_values, modality, query_feature_names, query_assay,
      "check_reference"
    ),
    cell_values(batch, reference, "batch", learnt$cells),
    given(c("common_features", "modality", "folds", "seed", "missing")),
    progress = progress
  )
  structure(
    list(
      words = as.character(found$words),
      labels = as_table(found$labels, text = "label"),
      confusable = as_table(found$confusable, text = c("label", "taken_for")),
      overlap = found$overlap,
      design = found$design,
      query = found$query
    ),
    class = "deepscore_check"
  )
}

# A data frame of columns from Python, where those without rows are lists.
as_table <- function(columns, text) {
  columns[text] <- lapply(columns[text], as.character)
  other <- setdiff(names(columns), text)
  columns[other] <- lapply(columns[other], function(x) if (length(x)) unlist(x) else numeric())
  as.data.frame(columns)
}

#' @export
print.deepscore_check <- function(x, ...) {
  cat("<deepscore check> ", x$design, "\n", paste0(printable(x$words), "\n"), sep = "")
  print(x$labels, digits = 3, row.names = FALSE)
  if (nrow(x$confusable)) print(x$confusable, digits = 3, row.names = FALSE)
  invisible(x)
}
