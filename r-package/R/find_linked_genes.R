#' Find genes whose activity follows their expression
#'
#' Gene activity is a poor stand-in for the expression of many genes. A model of RNA without them
#' finds rare types in gene activity a little better: give the result to [DeepScore()] as
#' `common_features`. A few hundred genes are too few.
#'
#' @inheritParams train_bridge
#' @param n_features How many genes to return. `NULL`: all whose correlation is above 0.
#' @param annotation,upstream As for [gene_activity()]; needed where the ATAC half holds peaks and
#'   not genes.
#' @param layer,values Layer of the RNA to read, and what its values are: see [set_reference()].
#' @param feature_names The names of the genes of the RNA: see [find_common_features()].
#' @param atac_layer,atac_values,atac_feature_names How to read the ATAC: see [gene_activity()].
#'
#' @return A character vector of gene names as the RNA spells them, the best first: by the
#'   correlation of expression and activity over pools of about 50 cells with similar RNA.
#' @section Errors: `different_cells`, `no_annotation`, `no_shared_features`, `modality_required`,
#'   `layer_not_found`, `bad_argument`, and those of [gene_activity()].
#' @examplesIf deepscore:::engine_available()
#' # 200 simulated cells of two types
#' set.seed(1)
#' type <- rep(c("T", "B"), 100)
#' draw <- function(names) {
#'   high <- outer(seq_along(names) %% 2 == 0, type == "T", "==")
#'   counts <- matrix(rpois(length(high), ifelse(high, 6, 1)), length(names))
#'   dimnames(counts) <- list(names, paste0("cell", seq_along(type)))
#'   counts
#' }
#' rna <- draw(paste0("GENE", 1:40))
#' atac <- draw(paste0("chr1:", 1:40 * 1000, "-", 1:40 * 1000 + 500))
#' genes <- data.frame(
#'   chrom = "chr1", start = 1:40 * 1000, end = 1:40 * 1000 + 900, gene = rownames(rna),
#'   strand = "+"
#' )
#' multiome <- list(rna = rna, atac = atac)
#' find_linked_genes(multiome, n_features = 10, annotation = genes, upstream = 0)
#' @export
find_linked_genes <- function(multiome, n_features = NULL, annotation = NULL, upstream = 2000,
                              layer = NULL, values = NULL, feature_names = NULL,
                              atac_layer = NULL, atac_values = NULL, atac_feature_names = NULL,
                              rna_assay = NULL, atac_assay = NULL) {
  halves <- multiome_halves(
    multiome, layer, rna_assay, atac_assay, feature_names, atac_layer, atac_feature_names
  )
  genes <- call_engine(
    "find_linked_genes", read_as(halves$rna, values), read_as(halves$atac, atac_values),
    as_annotation(annotation),
    given(c("n_features", "upstream"))
  )
  as.character(genes)
}
