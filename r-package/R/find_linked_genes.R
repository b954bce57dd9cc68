#' Find genes whose activity follows their expression
#'
#' Gene activity is a poor stand-in for the expression of many genes. A model of RNA that is to
#' annotate gene activity does better without them: give the result to [DeepScore()] as
#' `common_features`.
#'
#' @inheritParams train_bridge
#' @param n_features How many genes to return. `NULL`: all whose correlation is above 0.
#' @param annotation,upstream As for [gene_activity()]; needed where the ATAC half holds peaks and
#'   not genes.
#' @param layer Layer of the RNA to read: see [set_reference()].
#'
#' @return A character vector of gene names as the RNA spells them, the best first: by the
#'   correlation of expression and activity over pools of about 50 cells with similar RNA.
#' @section Errors: `different_cells`, `no_annotation`, `no_shared_features`, `modality_required`,
#'   `layer_not_found`, `bad_argument`, and those of [gene_activity()].
#' @examples
#' \dontrun{
#' genes <- find_linked_genes(multiome, annotation = "genes.gtf.gz")
#' ds <- DeepScore(common_features = genes) %>%
#'   set_reference(reference = ref_rna, labels = "anno") %>%
#'   train()
#' }
#' @export
find_linked_genes <- function(multiome, n_features = NULL, annotation = NULL, upstream = 2000,
                              layer = NULL, rna_assay = NULL, atac_assay = NULL) {
  halves <- multiome_halves(multiome, layer, rna_assay, atac_assay)
  genes <- call_engine(
    "find_linked_genes", halves$rna, halves$atac, as_annotation(annotation),
    given(c("n_features", "upstream"))
  )
  as.character(genes)
}
