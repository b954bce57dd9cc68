#' Project a query of peaks to the components of the reference
#'
#' TF-IDF (first method) and LSI as Signac defines them, of the model's peaks, with the terms of the
#' reference (of 10,000 cells at most): inverse document frequencies, loadings, means, deviations.
#' So all data sets that one model embeds lie in one space.
#'
#' @param ds A trained [DeepScore()] object, a model of peaks.
#' @param query As for [annotate()]; a query with another set of peaks is counted in the model's by
#'   overlap.
#' @param layer,values,feature_names,modality,min_overlap,assay As for [annotate()].
#' @param ... Not used.
#'
#' @details Objects that are no `DeepScore` go to [stats::embed()], which has the same name.
#' @return A Seurat object with the reduction `lsi`; a SingleCellExperiment with the reduced
#'   dimension `LSI`; for a matrix, a matrix of cells x components (up to 50). Another reduction of
#'   that name is replaced, with a warning. The first component follows sequencing depth as a rule
#'   and is left out of neighbours and UMAP.
#' @section Errors: `no_lsi` where the model is not one of peaks, or from a file of format version 1
#'   or 2; those of [annotate()].
#' @references Stuart T, Srivastava A, Madad S, Lareau CA, Satija R (2021). Single-cell chromatin
#'   state analysis with Signac. *Nature Methods* 18, 1333-1341. \doi{10.1038/s41592-021-01282-5}
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
#' atac <- draw(paste0("chr1:", 1:60 * 1000, "-", 1:60 * 1000 + 500))
#' ds <- DeepScore(hidden_nodes = 8, epochs = 3) %>%
#'   set_reference(reference = atac, labels = type) %>%
#'   train(progress = FALSE)
#' embed(ds, atac)[1:3, 1:4]
#' # of a Seurat object: RunUMAP(embed(ds, object), reduction = "lsi", dims = 2:30)
#' @export
embed <- function(ds, query, layer = NULL, values = NULL, feature_names = NULL, modality = NULL,
                  min_overlap = 0.1, assay = NULL, ...) {
  UseMethod("embed")
}

#' @export
embed.default <- function(ds, query, layer = NULL, values = NULL, feature_names = NULL,
                          modality = NULL,
                          min_overlap = 0.1, assay = NULL, ...) {
  if (!missing(query) && inherits(query, "DeepScore")) {
    abort("InputError", "unknown_data", "The model comes first: embed(ds, query).")
  }
  if (missing(query)) stats::embed(ds, ...) else stats::embed(ds, query)
}

#' @export
embed.DeepScore <- function(ds, query, layer = NULL, values = NULL, feature_names = NULL,
                            modality = NULL,
                            min_overlap = 0.1, assay = NULL, ...) {
  no_more_arguments()
  query <- data_set(query, layer, modality, feature_names)
  if (inherits(query, "Seurat") && "lsi" %in% taken_names(query, names(query@reductions))) {
    abort(
      "InputError", "unknown_data",
      "The components become the reduction 'lsi', but something else of the query has that name: ",
      "rename it."
    )
  }
  blocks <- named_by(query_blocks(ds, query, layer, modality, assay), feature_names)
  blocks <- read_as(blocks, values)
  answer <- call_engine("embed", model_bytes(ds), blocks, given(c("modality", "min_overlap")))
  names <- paste0("LSI_", seq_len(answer$components))
  embedding <- matrix(
    as_doubles(answer$values),
    ncol = answer$components, byrow = TRUE, dimnames = list(blocks$cells, names)
  )
  add_embedding(query, embedding, blocks$read_from)
}

add_embedding <- function(x, values, assay) UseMethod("add_embedding")

#' @export
add_embedding.default <- function(x, values, assay) values

#' @export
add_embedding.Seurat <- function(x, values, assay) {
  earlier <- x@reductions[["lsi"]]
  if (!is.null(earlier)) earlier <- SeuratObject::Embeddings(earlier)
  tell_replaced(earlier, values, "The reduction 'lsi'")
  x[["lsi"]] <- SeuratObject::CreateDimReducObject(values, key = "LSI_", assay = assay)
  x
}

#' @export
add_embedding.SingleCellExperiment <- function(x, values, assay) {
  earlier <- if ("LSI" %in% SingleCellExperiment::reducedDimNames(x)) {
    SingleCellExperiment::reducedDim(x, "LSI")
  }
  tell_replaced(earlier, values, "The reduced dimension 'LSI'")
  SingleCellExperiment::`reducedDim<-`(x, "LSI", value = values)
}

# Components that somebody else has made of the query are not those of the model.
tell_replaced <- function(earlier, values, what) {
  same <- function() isTRUE(all.equal(unname(as.matrix(earlier)), unname(values), tolerance = 1e-4))
  if (is.null(earlier) || same()) return(invisible())
  rlang::warn(
    paste0(what, " of the query is replaced. To keep it, give it another name beforehand."),
    class = "deepscore_warning"
  )
}
