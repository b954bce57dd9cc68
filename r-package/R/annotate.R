#' Annotate a query
#'
#' Gives every cell of the query the label that fits it best.
#'
#' @param ds A trained [DeepScore()] object, from [train()] or [load_model()].
#' @param query The data set to annotate, features x cells: see [deepscore-package]. Its features
#'   are matched by name, in any order; some may be missing. Several paths, as a vector or a list,
#'   are looked at as one query.
#' @param threshold Cells with a lower score than this, 0 to 1, are `"Unclassified"`: one for all
#'   labels, or one for each, as a named vector or as the table of [find_thresholds()]. A label that
#'   it does not name has 0.5.
#' @param batch A metadata column, or one value per cell: batches that are standardised each by
#'   itself, shrunk towards the reference where they are small. Use it where each batch holds a
#'   mixture of cell types.
#' @param layer,values The layer to read, and what its values are: see [set_reference()].
#' @param feature_names The names to look for: see [find_common_features()].
#' @param modality Which kind of features to read, `"rna"`, `"peaks"` or `"protein"`. `NULL`: that
#'   of the model. It chooses the assay of a Seurat object: see [deepscore-package].
#' @param probabilities Add the probability of every label, too?
#' @param min_overlap Least share of the model's features that the query must have, 0 to 1. A
#'   missing feature counts as its mean in the reference.
#' @param refine Use the query as a whole: its own scale, its own neighbours, and which of its cells
#'   are of a type that the reference does not have? Such types are looked for by their genes or
#'   antibodies, in queries of at least 100 cells and 8 of the model's features, not with a model
#'   of peaks and not with `peaks`; elsewhere they get the nearest label. Without `refine` each cell
#'   is called by itself, and only `batch` is used. A model from a file of format version 1 always
#'   calls each cell by itself.
#' @param groups A metadata column, or one value per cell: clusters that get a call each, by a vote
#'   of their cells. A cell whose group is missing votes by itself.
#' @param peaks For a query of gene activity, the raw peaks of the same cells: the name of an assay
#'   (Seurat) or of an alternative experiment (SingleCellExperiment) of the query, or a data set
#'   with the same cells in any order. Neighbours are looked for in them, too, and the calls teach a
#'   regression on them, whose cross-fitted calls then count as much as the first ones. With
#'   `refine = FALSE` they are not used.
#' @param peaks_model A trained model of peaks with the same labels, such as [train_bridge()] makes
#'   it, or the path of its file: it calls `peaks` in place of that regression.
#' @param progress As for [find_common_features()].
#' @param peaks_layer,peaks_values,peaks_feature_names How to read `peaks`: see [match_peaks()].
#' @param device Where torch computes what network and linear path say of the cells: `"cpu"` or
#'   `"cuda"`. Scores of two devices differ by less than 1e-3.
#' @param client Address of the scheduler of a Dask cluster, such as `"tcp://host:8786"`, that reads
#'   and calls the cells of a query that is a path. Its workers open the file themselves, at the
#'   same path. The calls are the same.
#' @param assay The assay of a Seurat object, or the alternative experiment of a
#'   SingleCellExperiment, to read. `NULL`: see [deepscore-package]. Cells of the query that it
#'   lacks get no call: `NA`.
#' @param ... Not used.
#'
#' @return The query with new metadata columns (Seurat) or new `colData` columns
#'   (SingleCellExperiment); for a bare matrix or a path, a data frame with one row per cell (of
#'   several paths with the column `file`). The columns:
#'   * `deepscore`: the label, or `"Unclassified"`.
#'   * `deepscore_score`: calibrated probability that the best label is right, 0 to 1.
#'   * `deepscore_raw`: the network's best label, before the cell's neighbours were asked and
#'     whatever its score.
#'   * `deepscore_reason`: why the cell is `"Unclassified"`: `"low confidence"`, `"outlier"` (its
#'     type is hardly one of the reference's), `"low overlap"` (the query lacks most of the model's
#'     features) or `"no counts"` (in the model's features); `""` for all other cells.
#'   * `cell_type_ontology_term_id`, where the reference has one term for each label in a column of
#'     that name: the term of the call, or `"unknown"` (for CELLxGENE). A query's own column of that
#'     name stays, with a warning.
#'   * `deepscore_group`, with `groups`: the most frequent call in the cell's group; of equally
#'     frequent ones the first by name.
#'   * `deepscore_group_share`, with `groups`: the share of the group's cells that have that call.
#'   * `deepscore_probability_<label>`, with `probabilities = TRUE`: one column per label. They sum
#'     to 1, given that the cell's type is one of the reference's: an outlier's score is lower than
#'     its greatest probability.
#'
#'   Groups' calls and probabilities that an earlier annotation left are removed. `Misc(query,
#'   "deepscore")` (`metadata(query)$deepscore`) says which model, options and date the calls come
#'   from, and what is said of the query as a whole: where unknown types are looked for `native`,
#'   the chance that it is of the reference's tissue, and `explained`, the share of what tells its
#'   cells apart that the reference explains; `higher` and `lower`, the features by which it differs
#'   most from a reference of its composition. Only [report()] shows it. Nothing else of the
#'   query changes.
#' @details A model of peaks annotates a query with another set of peaks, too: where most of the
#'   model's peaks are not there by name, the query's are summed that overlap them, as by
#'   [match_peaks()].
#' @section Errors: `not_trained`, `no_shared_features`, `numbered_features`,
#'   `ambiguous_names`, `no_shared_labels`, `low_overlap`,
#'   `modality_mismatch`, `no_common_chromosomes`, `genome_build`, `different_cells`,
#'   `batch_length`, `groups_length`, `column_not_found`, `labels_cells`, `bad_argument`,
#'   `wrong_orientation`, `empty_data`, `layer_not_found`, `scaled_data`, `mixed_values`,
#'   `negative_values`, `non_finite`, `duplicate_features`, `duplicate_cells`, `unknown_data`; with
#'   `client` also `file_not_found`, `missing_package` and `cluster_lost`.
#' @references Calibration by temperature: Guo C, Pleiss G, Sun Y, Weinberger KQ (2017). On
#'   Calibration of Modern Neural Networks. *ICML*. \url{https://arxiv.org/abs/1706.04599}
#' @examplesIf deepscore:::engine_available()
#' pbmc <- SeuratObject::pbmc_small
#' ds <- DeepScore(hidden_nodes = 32, epochs = 5) %>%
#'   set_reference(reference = pbmc, labels = pbmc$RNA_snn_res.1) %>%
#'   train(progress = FALSE)
#' pbmc <- annotate(ds, query = pbmc)
#' table(pbmc$deepscore, pbmc$RNA_snn_res.1)
#'
#' # One call per cluster, and why cells have no label.
#' pbmc <- annotate(ds, query = pbmc, threshold = 0.9, groups = "RNA_snn_res.0.8")
#' table(pbmc$deepscore_group, pbmc$RNA_snn_res.0.8)
#' table(pbmc$deepscore_reason)
#' @export
annotate <- function(ds, query, threshold = 0.5, batch = NULL, layer = NULL, values = NULL,
                     feature_names = NULL, modality = NULL, probabilities = FALSE,
                     min_overlap = 0.1, refine = TRUE, groups = NULL, peaks = NULL,
                     peaks_model = NULL, progress = getOption("deepscore.progress", TRUE),
                     peaks_layer = NULL, peaks_values = NULL, peaks_feature_names = NULL,
                     device = "cpu", client = NULL, assay = NULL, ...) {
  UseMethod("annotate")
}

#' @export
annotate.default <- annotate
body(annotate.default) <- quote(abort_foreign("annotate", ds, "ggplot2"))

#' @export
annotate.DeepScore <- function(ds, query, threshold = 0.5, batch = NULL, layer = NULL,
                               values = NULL, feature_names = NULL, modality = NULL,
                               probabilities = FALSE, min_overlap = 0.1, refine = TRUE,
                               groups = NULL, peaks = NULL, peaks_model = NULL,
                               progress = getOption("deepscore.progress", TRUE),
                               peaks_layer = NULL, peaks_values = NULL,
                               peaks_feature_names = NULL, device = "cpu", client = NULL,
                               assay = NULL, ...) {
  no_more_arguments()
  if (!is.null(client)) {
    if (!is.null(peaks)) {
      abort(
        "ConfigError", "bad_argument",
        "Raw peaks beside a query are not read by a cluster: leave client out."
      )
    }
    batch <- of_cells(batch)
    groups <- of_cells(groups)
    how <- given(c(
      "threshold", "batch", "layer", "values", "feature_names", "modality", "probabilities",
      "min_overlap", "refine", "groups", "device", "client"
    ))
    answer <- call_engine(
      "annotate_paths", model_bytes(ds), paths_of(query), how,
      verb = "annotate", progress = progress
    )
    return(as_calls(answer, as.character(answer$cells)))
  }
  query <- data_set(query, layer, modality, feature_names)
  blocks <- named_by(query_blocks(ds, query, layer, modality, assay), feature_names)
  blocks <- read_as(blocks, values)
  cell_data(query, blocks$cells) # refuses a table to which no call could be added
  answer <- call_engine(
    "annotate", model_bytes(ds), blocks, cell_values(batch, query, "batch", blocks$cells),
    cell_values(groups, query, "groups", blocks$cells),
    given(c("threshold", "modality", "probabilities", "min_overlap", "refine", "device")),
    paired_peaks(query, peaks, peaks_layer, peaks_values, peaks_feature_names),
    if (!is.null(peaks_model)) model_bytes(trained_model(peaks_model)),
    progress = progress
  )
  calls <- with_terms(query, as_calls(answer, blocks$cells))
  query <- add_calls(query, calls, unlist(answer$optional))
  add_origin(query, lapply(answer$origin, unlist))
}

# The calls without their terms where the query has a column of terms of its own.
with_terms <- function(query, calls) {
  table <- if (!is_blocks(query)) cell_data(query, rownames(calls))
  if (!all(terms_column %in% names(calls), terms_column %in% names(table))) return(calls)
  own <- call_engine(
    "keep_terms", strings(table[["deepscore"]]), strings(table[[terms_column]]),
    verb = "annotate"
  )
  if (own) calls[[terms_column]] <- NULL
  calls
}

# The raw peaks of the same cells: a part of the query, or a data set of its own.
paired_peaks <- function(query, peaks, layer, values, feature_names) {
  if (is.null(peaks)) return(refuse_reading("peaks", layer, values, feature_names))
  is_part <- is_string(peaks) && (peaks %in% part_names(query) || !file.exists(peaks))
  blocks <- if (is_part) {
    named_by(part_blocks(query, peaks, layer), feature_names)
  } else {
    peaks_blocks(peaks, layer, feature_names = feature_names)
  }
  read_as(blocks, values)
}

# A query as the model reads it: its assay is of the model's modality. But a model called "rna" may
# be of antibodies, from a version that knew none: it gets the default assay where that has more of
# its features.
query_blocks <- function(ds, query, layer, modality, assay) {
  if (!is.null(modality)) return(blocks_of(query, layer, modality, assay))
  wanted <- ds$manifest$modality
  blocks <- blocks_of(query, layer, wanted, assay)
  if (inherits(query, "Seurat") && identical(wanted, "rna") && is.null(assay)) {
    share <- function(names) mean(unlist(ds$manifest$features) %in% names)
    if (share(rownames(query)) > share(blocks$features)) blocks <- as_blocks(query, layer)
  }
  blocks$assay <- NULL # what the model is of decides, not the name
  blocks
}

# A trained model, given by itself or as the path of its file.
trained_model <- function(x) {
  if (is_string(x)) x <- load_model(x)
  if (inherits(x, "DeepScore")) return(x)
  abort("ConfigError", "bad_argument", "A model is a trained DeepScore or the path of its file.")
}

model_bytes <- function(ds) {
  if (is.raw(ds$model)) return(ds$model)
  abort("InputError", "not_trained", "This DeepScore object is not trained. Call train(ds) first.")
}
