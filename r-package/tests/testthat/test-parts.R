test_that("an assay of Signac is read as the assay that it is", {
  skip_if_no_engine()
  counts <- multiome_small()$atac
  assay <- chromatin_assay(counts)
  expect_s4_class(assay, "ChromatinAssay")
  expect_equal(read_all(as_blocks(assay)), counts)
  object <- multiome_seurat()
  object[["ATAC"]] <- NULL
  object[["peaks"]] <- assay
  expect_equal(read_all(peaks_blocks(object)), counts)
  expect_identical(peaks_blocks(object)$source, "assay 'peaks', slot 'counts'")
})

test_that("peaks are the default assay, or the first that holds some, or what modality names", {
  skip_if_no_engine()
  object <- multiome_seurat()
  expect_identical(peaks_blocks(object)$features, peaks_small())
  object[["few"]] <- SeuratObject::CreateAssayObject(counts = multiome_small()$atac[1:9, ])
  expect_length(peaks_blocks(object)$features, 60)
  expect_length(peaks_blocks(object, modality = "few")$features, 9)
  expect_length(peaks_blocks(object, modality = "RNA")$features, 40)
  expect_length(peaks_blocks(object, modality = "peaks")$features, 60)
  SeuratObject::DefaultAssay(object) <- "few"
  expect_length(peaks_blocks(object)$features, 9)
  expect_identical(peaks_blocks(pbmc_small())$source, "assay 'RNA', slot 'counts'")
})

test_that("a column that is named like an assay does not hide it", {
  skip_if_no_engine()
  object <- multiome_seurat()
  object@meta.data$ATAC <- 1
  expect_identical(peaks_blocks(object)$features, peaks_small())
})

test_that("alternative experiments are parts of a SingleCellExperiment", {
  skip_if_no_engine()
  sce <- sce_small()
  half <- counts_small()[1:100, ]
  SingleCellExperiment::altExp(sce, "half") <-
    SummarizedExperiment::SummarizedExperiment(list(counts = half))
  expect_equal(read_all(part_blocks(sce, "half")), half)
  expect_equal(read_all(peaks_blocks(sce, modality = "half")), half)
  expect_code("layer_not_found", part_blocks(sce, "other"))
})

test_that("parts that are not there are refused, and those that are there are named", {
  expect_error(
    part_blocks(multiome_seurat(), "atac"), "RNA, ATAC",
    class = "deepscore_error_layer_not_found"
  )
  expect_code("layer_not_found", part_blocks(counts_small(), "RNA"))
  expect_code("bad_argument", part_blocks(multiome_seurat(), mean))
})

test_that("the halves of a multiome are found, or named", {
  skip_if_no_engine()
  object <- multiome_seurat()
  halves <- multiome_halves(object, NULL, NULL, NULL)
  expect_identical(halves$rna$features, genes_small()$gene)
  expect_identical(halves$atac$features, peaks_small())
  object[["SCT"]] <- SeuratObject::CreateAssayObject(counts = multiome_small()$rna[1:10, ])
  SeuratObject::DefaultAssay(object) <- "SCT"
  expect_length(multiome_halves(object, NULL, NULL, NULL)$rna$features, 40)
  expect_length(multiome_halves(object, NULL, "SCT", NULL)$rna$features, 10)
  expect_length(multiome_halves(object, NULL, NULL, "RNA")$atac$features, 40)
  expect_code("layer_not_found", multiome_halves(object, NULL, "rna", NULL))
  expect_error(
    multiome_halves(pbmc_small(), NULL, NULL, NULL), "`atac_assay`",
    class = "deepscore_error_modality_required"
  )
})

test_that("two data sets are a multiome, by name or in turn", {
  x <- multiome_small()
  for (pair in list(x, rev(x), unname(x))) {
    expect_identical(multiome_halves(pair, NULL, NULL, NULL)$rna$features, genes_small()$gene)
  }
  for (wrong in list(x[1], c(x, x), pbmc_small, NULL)) {
    expect_code("unknown_data", multiome_halves(wrong, NULL, NULL, NULL))
  }
})

test_that("the engine tells genes from peaks in one matrix", {
  skip_if_no_engine()
  x <- multiome_small()
  linked <- function(x) {
    suppressWarnings(quietly(find_linked_genes(x, 5, genes_small(), upstream = 600)))
  }
  expect_identical(linked(rbind(x$rna, x$atac)), linked(x))
  for (wrong in x) expect_code("modality_mismatch", linked(wrong))
})

test_that("the engine tells which names are those of peaks", {
  skip_if_no_engine()
  found <- is_peak(c("chr1:10-20", "TRNA-1-2", "chr1-20-10", NA, "CD3E"))
  expect_identical(found, c(TRUE, TRUE, FALSE, FALSE, FALSE))
  expect_identical(is_peak(character()), logical())
})

test_that("the names of the halves are used, whatever their order, or refused", {
  halves <- multiome_small()
  found <- multiome_halves(list(ATAC = halves$atac, RNA = halves$rna), NULL, NULL, NULL)
  expect_identical(found$rna$features, rownames(halves$rna))
  expect_identical(found$atac$features, rownames(halves$atac))
  halves <- list(activity = halves$atac, rna = halves$rna)
  expect_code("unknown_data", multiome_halves(halves, NULL, NULL, NULL))
})

test_that("an assay that is not there is told", {
  skip_if_no_engine()
  object <- multiome_seurat()
  expect_code("layer_not_found", peaks_blocks(object, modality = "atac"))
  expect_code("layer_not_found", peaks_blocks(object, modality = NA))
  expect_identical(peaks_blocks(object, modality = "peaks")$nnz, peaks_blocks(object)$nnz)
})

test_that("a multiome may have its peaks as an alternative experiment", {
  skip_if_no_engine()
  skip_if_not_installed("SingleCellExperiment")
  halves <- multiome_small()
  sce <- SingleCellExperiment::SingleCellExperiment(list(counts = halves$rna))
  atac <- SingleCellExperiment::SingleCellExperiment(list(counts = halves$atac))
  sce <- SingleCellExperiment::`altExp<-`(sce, "ATAC", value = atac)
  for (atac in list(NULL, "ATAC")) {
    found <- multiome_halves(sce, NULL, NULL, atac)
    expect_identical(found$rna$features, rownames(halves$rna))
    expect_identical(found$atac$features, rownames(halves$atac))
  }
  expect_identical(peaks_blocks(sce)$features, rownames(halves$atac))
  sce <- SingleCellExperiment::swapAltExp(sce, "ATAC", saved = "rna")
  found <- multiome_halves(sce, NULL, "rna", NULL)
  expect_identical(found$rna$features, rownames(halves$rna))
  expect_identical(found$atac$features, rownames(halves$atac))
})

test_that("negative values are found in memory and on disk", {
  counts <- counts_small()
  expect_false(has_negative(counts))
  expect_true(has_negative(as.matrix(counts) - 1))
  skip_if_not_installed("DelayedArray")
  many <- suppressMessages(DelayedArray::DelayedArray(counts[, rep(1:80, 20)]))
  expect_false(has_negative(many))
  many[3, 1599] <- -1
  expect_true(has_negative(many))
})
