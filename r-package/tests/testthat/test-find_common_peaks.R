test_that("data sets of all kinds have common peaks", {
  skip_if_no_engine()
  bed <- tempfile(fileext = ".bed")
  writeLines(c("chr1\t9000\t9600", "chr2\t9900\t10100"), bed)
  # In Seurat, in a matrix and in the ranges, gene 2 has its peak at chr1:19500-20100.
  ranges <- granges(chrom = c("chr2", "chr1"), start = c(9601, 20100), end = c(9700, 20200))
  counts <- multiome_small()$atac
  kinds <- list(multiome_seurat(), counts, ranges, chromatin_assay(counts))
  found <- quietly(find_common_peaks(kinds))
  expect_identical(found, c("chr1:19500-20200", "chr2:9500-10100"))
  expect_identical(quietly(find_common_peaks(list(multiome_seurat(), bed))), "chr2:9500-10100")
  expect_identical(find_common_peaks(c(bed, bed)), c("chr1:9000-9600", "chr2:9900-10100"))
})

test_that("an assay, and a column of names, may be named", {
  skip_if_no_engine()
  object <- multiome_seurat()
  few <- object[["ATAC"]]@counts[c(1, 5, 9), ]
  object[["few"]] <- SeuratObject::CreateAssayObject(counts = few)
  found <- find_common_peaks(list(object, rownames(few)), assay = "few")
  expect_identical(found, find_common_peaks(list(rownames(few), rownames(few))))
  expect_code("layer_not_found", find_common_peaks(list(object), assay = "none"))
  skip_if_not_installed("SummarizedExperiment")
  unnamed <- SummarizedExperiment::SummarizedExperiment(
    list(counts = unname(few)), rowData = data.frame(name = rownames(few))
  )
  expect_identical(find_common_peaks(list(unnamed, unnamed), feature_names = "name"), found)
})

test_that("arguments reach the engine", {
  skip_if_no_engine()
  sets <- list(a = c("chr1:10-20", "chrUn_1:5-9"), b = c("chr1:20-40", "chr2:1-3"))
  expect_identical(find_common_peaks(sets, "union", standard_chromosomes = TRUE),
                   c("chr1:10-40", "chr2:1-3"))
  expect_identical(find_common_peaks(sets, "union", 4, 29), "chrUn_1:5-9")
  sets <- list("chr1:10-20", "chr1:15-40")
  expect_code("no_shared_features", find_common_peaks(sets, max_width = 5))
  expect_code("bad_argument", find_common_peaks(sets, how = "both"))
  expect_code("bad_argument", find_common_peaks(list()))
  expect_code("file_not_found", find_common_peaks(list("no.bed", "chr1:1-9")))
})
