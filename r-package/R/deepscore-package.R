#' deepscore: label transfer for single-cell data
#'
#' Learn cell types on an annotated reference, annotate a query that nobody has labelled:
#'
#' ```
#' ds <- DeepScore(hidden_nodes = c(512, 256, 64),
#'                 common_features = common_genes,
#'                 n_labels = 12) %>%
#'   set_reference(reference = ref_rna, labels = ref_rna$anno) %>%
#'   train()
#' my_data <- annotate(ds, query = my_data)
#' ```
#'
#' The verbs are [find_common_features()], [DeepScore()], [set_reference()], [train()] and
#' [annotate()]; [check_reference()] tells which labels can be trusted. [feature_importance()] tells
#' which features speak for a label, [match_markers()] compares markers, [performance()] weighs
#' calls where labels are known, [find_thresholds()] gives each label its own threshold, and
#' [select_model()] keeps the best of several seeds. [save_model()],
#' [load_model()] and [inspect_model()] handle model files, which the Python package of the same
#' name reads and writes too. [seurat_to_h5ad()] and [h5ad_to_seurat()] exchange data sets with it.
#'
#' For chromatin, [gene_activity()] turns peaks or fragments into gene activity;
#' [find_common_peaks()], [match_peaks()] and [count_fragments()] bring data sets to one set of
#' peaks; [train_bridge()] carries labels from RNA to ATAC through a multiome, and
#' [find_linked_genes()] tells which genes carry over: see `vignette("chromatin")`. [embed()] gives
#' the LSI components of a query.
#'
#' The computation is done in Python, which is started by the first verb that needs it.
#' [install_deepscore()] sets it up and [deepscore_doctor()] tells what is wrong with it.
#'
#' @section Data sets:
#' Every verb takes a Seurat object, a SingleCellExperiment or SummarizedExperiment, or a features x
#' cells matrix (dgCMatrix, any other matrix of the Matrix package, an ordinary matrix, or a
#' DelayedMatrix). The values are counts, also with fractions, or log-normalised counts: `values`
#' says which, where a warning says that they could be either. Matrices are read in blocks of cells
#' and never made dense. Assays of Signac (ChromatinAssay) are read as any other assay.
#'
#' A data frame of numbers is read as the matrix that it holds; and what `Read10X()` returns of
#' several kinds of features, a list with a matrix of each, is a data set, too.
#'
#' A data set may also be a path that the engine opens: an `.h5ad`, `.zarr`, `.h5mu` or `.loom`, the
#' `.h5`, folder or `matrix.mtx` of Cell Ranger, or a table as `.csv` or `.tsv` (genes in rows or
#' columns, as the names tell; `.gz` or not). Labels and batches may name a column of its table of
#' cells; the calls come back as a data frame.
#'
#' Of a Seurat object the assay named by `assay` is read, by default the object's default assay.
#' Where that is of another modality than the wanted one (that of `modality`, or of the model), an
#' assay of the wanted one is read and told: one whose name says it (`RNA`, `GEX`, `SCT` or
#' `ACTIVITY` for `"rna"`; `peaks`, `ATAC` or `chromatin` for `"peaks"`; `protein`, `prot`, `ADT`,
#' `CITE` or `antibodies` for `"protein"`, in upper or lower case), else the first with such
#' features.
#' In place of corrected values, as SCTransform or an integration makes them, the counts are read
#' that they came from, which is told, too; `assay` or `layer` have the corrected ones read.
#'
#' The cells are those of the assay, or of the layer, that is read: labels, batches and groups are
#' matched to them by name, and the object's other cells are left out. Of a Seurat 5 assay that is
#' split in layers, all are read. A feature that a layer lacks is missing for its cells, not zero.
#'
#' @section Conditions:
#' Every error is a condition of class `deepscore_error`, of the class of its kind
#' (`deepscore_input_error`, `deepscore_config_error`, `deepscore_model_file_error` or
#' `deepscore_engine_error`) and of the class `deepscore_error_<code>`, such as
#' `deepscore_error_labels_length`. The code is also the field `code` of the condition.
#'
#' @keywords internal
#' @importClassesFrom Matrix dgCMatrix CsparseMatrix
#' @importFrom magrittr %>%
#' @importFrom rlang %||% .data
"_PACKAGE"

#' @export
magrittr::`%>%`
