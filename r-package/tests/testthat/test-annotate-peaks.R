test_that("the raw peaks of a query are an assay, an alternative experiment or a data set", {
  skip_if_no_engine()
  object <- quietly(gene_activity(multiome_seurat(5), genes_small()))
  run <- function(query, ...) {
    suppressWarnings(quietly(annotate(rna_model(), query, probabilities = TRUE, ...)))
  }
  columns <- c("deepscore", "deepscore_score", "deepscore_raw")
  found <- run(object, peaks = "ATAC")[[]][columns]
  without <- run(object)[[]][columns]
  expect_false(identical(found$deepscore_score, without$deepscore_score))
  expect_gte(mean(found$deepscore == object$type), mean(without$deepscore == object$type))

  activity <- object[["activity"]]@counts
  atac <- object[["ATAC"]]@counts
  expect_equal(run(activity, peaks = atac)[columns], found, tolerance = 1e-6)
  expect_equal(run(activity, peaks = atac[, 150:1])[columns], found, tolerance = 1e-6)
  expect_equal(run(object, peaks = multiome_seurat(5))[[]][columns], found, tolerance = 1e-6)
  normal <- SeuratObject::SetAssayData(object, "counts", atac * 0.37, assay = "ATAC")
  told <- run(normal, peaks = "ATAC", peaks_layer = "data", peaks_values = "counts")
  expect_equal(told[[]][columns], found, tolerance = 1e-6)
  expect_code("bad_argument", run(object, peaks_layer = "data"))
  skip_if_not_installed("SingleCellExperiment")
  sce <- SingleCellExperiment::SingleCellExperiment(list(counts = activity))
  SingleCellExperiment::altExp(sce, "raw") <-
    SummarizedExperiment::SummarizedExperiment(list(counts = atac))
  of_sce <- SummarizedExperiment::colData(run(sce, peaks = "raw"))
  expect_equal(as.data.frame(of_sce)[columns], found, tolerance = 1e-6)
})

test_that("raw peaks of other cells, or in no assay, are refused", {
  skip_if_no_engine()
  object <- quietly(gene_activity(multiome_seurat(), genes_small()))
  expect_code("layer_not_found", annotate(rna_model(), object, peaks = "peaks"))
  expect_code("different_cells", suppressWarnings(quietly(
    annotate(rna_model(), object, peaks = multiome_small(n = 140)$atac)
  )))
})
