#' Set the annotated reference
#'
#' Reads the reference once and keeps of it only the features to learn from. Of a reference that is
#' given by its path, and has more than 40 million values above zero in these features, the object
#' keeps the path in place of the values, and [train()] reads them again: neither the object nor
#' training takes more memory for more cells.
#'
#' @param ds A [DeepScore()] object.
#' @param reference The annotated data set, features x cells: see [deepscore-package]. Several
#'   paths, as a vector or a list, are read as one: features are matched by name, and those that
#'   all have are used.
#' @param labels One label per cell: the name of a metadata column, or a vector or factor. A vector
#'   named after the cells is put in their order. Blanks at their ends are cut. Left out or
#'   `"ident"`: the identities of a Seurat object, `Idents(reference)`. Cells whose label is missing
#'   are left out and counted in a warning.
#' @param layer The values to read: a slot or layer of the Seurat assay (`"counts"`, `"data"`), or
#'   the name of an assay of a SingleCellExperiment. `NULL`: counts where there are any, else the
#'   log-normalised data (natural logarithms, or to the base 2 or 10).
#' @param values What the values are, `"counts"` (also with fractions) or `"lognorm"`. `NULL`: they
#'   are recognised; a warning says where they could be either, and are taken as counts.
#' @param feature_names The names of the features: see [find_common_features()]. The model keeps
#'   the other columns of names, too, and finds features by any of them.
#' @param batch A metadata column, or one value per cell: batches that are standardised each by
#'   itself.
#' @param modality `"rna"`, `"peaks"` or `"protein"`. `NULL`: told from the name of the
#'   Seurat assay where that is one of antibodies (`ADT`), else from the feature names.
#' @param test_prop Share of the cells of each label that is held out for calibration and for the
#'   figures in the model file. Labels with fewer than four cells are all trained on.
#' @param missing Words that stand for a missing label, in these spellings. `NULL`, in any case and
#'   with any blanks, `_`, `-` and `.`: `"NA"`, `"N/A"`, `"n.a."`, `"#N/A"`, `"<NA>"`, `"NaN"`,
#'   `"NaT"`, `"null"`, `"none"`, `"-"`, `"--"`, `"?"`, `"missing"`, `"unk"`, `"unknown"`,
#'   `"unknown cell"`, `"unknown cells"`, `"unknown type"`, `"unknown cell type"`,
#'   `"unidentified"`, `"unspecified"`, `"unassigned"`, `"not assigned"`, `"unclassified"`,
#'   `"unlabelled"`, `"unlabeled"`, `"no label"`, `"unannotated"`, `"not annotated"`,
#'   `"no annotation"`, `"not available"`, `"not applicable"`, `"undefined"` and `"undetermined"`.
#'   With `character()` no word does: `"NA"` is a label.
#' @param assay The assay of a Seurat object, or the alternative experiment of a
#'   SingleCellExperiment, to read. `NULL`: see [deepscore-package].
#' @param ... Not used.
#'
#' @return A new `DeepScore` object with a reference, ready for [train()].
#' @section Errors: `labels_length`, `batch_length`, `labels_cells`, `no_labels`, `one_label`,
#'   `reserved_label`, `n_labels_mismatch`, `column_not_found`, `layer_not_found`, `empty_data`,
#'   `features_not_found`, `no_shared_features`, `duplicate_features`, `duplicate_cells`,
#'   `non_finite`, `negative_values`, `scaled_data`, `wrong_orientation`, `unknown_data`,
#'   `invalid_text`, `modality_required`, `modality_mismatch`, `bad_argument`.
#' @section Warnings: where cells have no label, with the words for it and their numbers; where
#'   labels differ in their spelling only (case, blanks, `_` and `-`).
#' @examplesIf deepscore:::engine_available()
#' pbmc <- SeuratObject::pbmc_small
#' DeepScore() %>% set_reference(reference = pbmc, labels = pbmc$RNA_snn_res.1)
#' @export
set_reference <- function(ds, reference, labels, layer = NULL, values = NULL,
                          feature_names = NULL, batch = NULL,
                          modality = NULL, test_prop = 0.1, missing = NULL,
                          assay = NULL, ...) {
  UseMethod("set_reference")
}

#' @export
set_reference.default <- set_reference
body(set_reference.default) <- quote(abort_foreign("set_reference", ds))

#' @export
set_reference.DeepScore <- function(ds, reference, labels, layer = NULL, values = NULL,
                                    feature_names = NULL,
                                    batch = NULL, modality = NULL, test_prop = 0.1,
                                    missing = NULL, assay = NULL, ...) {
  no_more_arguments()
  reference <- data_set(reference, layer, modality, feature_names)
  if (missing(labels)) labels <- labels_of(reference)
  blocks <- named_by(blocks_of(reference, layer, modality, assay), feature_names)
  blocks <- read_as(blocks, values)
  prepared <- call_engine(
    "set_reference", config_of(ds), blocks,
    cell_values(labels, reference, "labels", blocks$cells),
    cell_values(batch, reference, "batch", blocks$cells),
    given(c("modality", "test_prop", "missing")), ontology_terms(reference, blocks$cells),
    stored_at(reference, layer, modality, values, feature_names)
  )
  new_deepscore(ds$config, prepared = as_raw(prepared))
}

# The column of the terms of cell types, as CELLxGENE's schema names it.
terms_column <- "cell_type_ontology_term_id"

# The term of each cell, where the data set has any and its table still has the cells' names.
ontology_terms <- function(x, cells) {
  if (!terms_column %in% names(cell_data(x))) return(NULL)
  tryCatch(cell_values(terms_column, x, "labels", cells), deepscore_input_error = function(e) NULL)
}
