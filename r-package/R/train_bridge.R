#' Train a model of chromatin through a multiome
#'
#' The RNA of the multiome's cells is called by a model of RNA; the cells with a confident call are
#' the training set of a second model, which learns from their ATAC. It annotates any later ATAC
#' data set, and is saved as one file.
#'
#' @param rna_model A trained [DeepScore()] object, the path of its file, or an annotated RNA
#'   reference (with `labels`) to train one on, with the 2,000 most variable features that it shares
#'   with the multiome.
#' @param multiome A Seurat object with an assay of genes and one of peaks,
#'   `list(rna = , atac = )` of two data sets with the same cells in any order (see
#'   [deepscore-package]), a matrix or SingleCellExperiment whose features are genes and peaks, or a
#'   SingleCellExperiment of genes with the peaks as alternative experiment. It needs no labels.
#' @param modality `"peaks"`, or `"activity"` for a model that annotates gene activity.
#' @param labels With a reference: see [set_reference()].
#' @param annotation,upstream As for [gene_activity()]; needed for `"activity"` where the ATAC half
#'   holds peaks and not genes.
#' @param common_features Peaks (or genes) to use: see [DeepScore()].
#' @param threshold Cells of the multiome whose score is below it are not learnt from.
#' @param batch Batches of the multiome: a metadata column (of the Seurat object, or of the RNA), or
#'   one value per cell of the RNA.
#' @param layer,values Layer of the multiome's RNA to read, and what its values are: see
#'   [set_reference()].
#' @param feature_names The names of the genes of the multiome's RNA: see [find_common_features()].
#' @param seed,progress As for [DeepScore()] and [train()].
#' @param missing Words that stand for a missing label: see [set_reference()].
#' @param reference_layer,reference_values,reference_feature_names How to read a reference: see
#'   [set_reference()].
#' @param atac_layer,atac_values,atac_feature_names How to read the ATAC of the multiome: see
#'   [gene_activity()].
#' @param rna_assay,atac_assay The two assays of a Seurat object, or alternative experiments.
#'   `NULL`: `"RNA"`, else `"SCT"`, else the first assay whose features are genes; and the default
#'   assay if it holds peaks, else the first that does.
#' @param reference_assay The assay of a reference to read: see [set_reference()].
#'
#' @return A trained `DeepScore` object. Its `manifest$training$bridge` tells where it comes from:
#'   the RNA model, and how many cells of each label were kept. A warning names the labels with
#'   fewer than 50 confident cells, which are learnt badly.
#' @section Errors: `different_cells` where the halves hold different cells, `bridge_labels` where
#'   fewer than two labels have a confident cell, `no_annotation`, `not_trained`, `no_labels`,
#'   `modality_required`, `layer_not_found`, `bad_argument`, and those of [annotate()] and
#'   [set_reference()].
#' @examplesIf deepscore:::engine_available()
#' # 120 simulated cells of two types
#' set.seed(1)
#' type <- rep(c("T", "B"), 60)
#' draw <- function(names) {
#'   high <- outer(seq_along(names) %% 2 == 0, type == "T", "==")
#'   counts <- matrix(rpois(length(high), ifelse(high, 6, 1)), length(names))
#'   dimnames(counts) <- list(names, paste0("cell", seq_along(type)))
#'   counts
#' }
#' rna <- draw(paste0("GENE", 1:40))
#' atac <- draw(paste0("chr1:", 1:60 * 1000, "-", 1:60 * 1000 + 500))
#' rna_ds <- DeepScore(hidden_nodes = 8, epochs = 3) %>%
#'   set_reference(reference = rna, labels = type) %>%
#'   train(progress = FALSE)
#' atac_ds <- train_bridge(rna_ds, list(rna = rna, atac = atac), progress = FALSE)
#' table(annotate(atac_ds, query = atac)$deepscore, type)
#' @export
train_bridge <- function(rna_model, multiome, modality = "peaks", labels = NULL, annotation = NULL,
                         upstream = 2000, common_features = NULL, threshold = 0.5, batch = NULL,
                         layer = NULL, values = NULL, feature_names = NULL, seed = 0,
                         progress = getOption("deepscore.progress", TRUE), missing = NULL,
                         reference_layer = NULL, reference_values = NULL,
                         reference_feature_names = NULL, atac_layer = NULL, atac_values = NULL,
                         atac_feature_names = NULL,
                         rna_assay = NULL, atac_assay = NULL, reference_assay = NULL) {
  if (is_string(rna_model) && !is_data_path(rna_model)) rna_model <- load_model(rna_model)
  is_model <- inherits(rna_model, "DeepScore")
  if (is_model) {
    first <- model_bytes(rna_model)
    why <- "`rna_model` is a trained model"
    refuse_reading(
      "reference", reference_layer, reference_values, reference_feature_names, why
    )
  } else {
    rna_model <- data_set(rna_model, reference_layer, "rna", reference_feature_names)
    if (missing(labels)) labels <- labels_of(rna_model)
    first <- blocks_of(rna_model, reference_layer, "rna", reference_assay)
    first <- read_as(named_by(first, reference_feature_names), reference_values)
  }
  halves <- multiome_halves(
    multiome, layer, rna_assay, atac_assay, feature_names, atac_layer, atac_feature_names
  )
  model <- call_engine(
    "train_bridge", first,
    if (!is_model) cell_values(labels, rna_model, "labels", first$cells),
    read_as(halves$rna, values), read_as(halves$atac, atac_values), as_annotation(annotation),
    cell_values(batch, halves$cells, "batch", halves$rna$cells),
    given(c("modality", "upstream", "common_features", "threshold", "seed", "missing")),
    progress = progress
  )
  trained_deepscore(as_raw(model))
}
