# Signac's first method and its scaled singular vectors, from dense matrices.
plain_lsi <- function(counts, n) {
  tf <- t(t(counts) / colSums(counts))
  tfidf <- log1p(tf * (ncol(counts) / rowSums(counts)) * 1e4)
  scale(svd(t(tfidf), nu = n, nv = 0)$u)
}

test_that("the reference itself is embedded as by Signac's formulas", {
  skip_if_no_engine()
  object <- multiome_seurat()
  SeuratObject::DefaultAssay(object) <- "ATAC"
  ds <- quietly(
    DeepScore(hidden_nodes = 4, epochs = 2) %>%
      set_reference(object, "type") %>%
      train(progress = FALSE)
  )
  counts <- multiome_small()$atac
  found <- quietly(embed(ds, counts))
  expect_identical(rownames(found), colnames(counts))
  expect_identical(colnames(found)[1:2], c("LSI_1", "LSI_2"))
  wanted <- plain_lsi(as.matrix(counts)[ds$manifest$features, ], 4)
  expect_equal(unname(abs(found[, 1:4])), abs(wanted), tolerance = 1e-3, ignore_attr = TRUE)

  seurat <- quietly(embed(ds, object))
  expect_equal(SeuratObject::Embeddings(seurat, "lsi"), found)
  expect_identical(SeuratObject::DefaultAssay(seurat[["lsi"]]), "ATAC")
  expect_no_warning(quietly(embed(ds, seurat))) # the same once more
  other <- SeuratObject::CreateDimReducObject(found[, 1:3] + 1, key = "LSI_", assay = "ATAC")
  seurat[["lsi"]] <- other
  expect_warning(again <- quietly(embed(ds, seurat)), "'lsi'", class = "deepscore_warning")
  expect_equal(SeuratObject::Embeddings(again, "lsi"), found)
  skip_if_not_installed("SingleCellExperiment")
  sce <- SingleCellExperiment::SingleCellExperiment(list(counts = counts))
  expect_equal(SingleCellExperiment::reducedDim(quietly(embed(ds, sce)), "LSI"), found)
})

test_that("models without components are refused, and other objects are not ours", {
  skip_if_no_engine()
  expect_code("no_lsi", embed(trained(), pbmc_small()))
  expect_code("not_trained", embed(DeepScore(), pbmc_small()))
  expect_identical(embed(1:5, 2), stats::embed(1:5, 2))
  expect_identical(embed(1:5, dimension = 3), stats::embed(1:5, 3))
})

test_that("a name that is taken and exchanged arguments are told before anything is computed", {
  object <- pbmc_small()
  expect_error(embed(object, DeepScore()), "first", class = "deepscore_error_unknown_data")
  object[["lsi"]] <- SeuratObject::CreateAssayObject(counts = counts_small())
  expect_error(embed(DeepScore(), object), "'lsi'", class = "deepscore_error_unknown_data")
})
