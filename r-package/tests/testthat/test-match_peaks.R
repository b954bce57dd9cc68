wanted <- data.frame(
  chrom = c("chr1", "chr2", "chr2", "chr1"),
  start = c(19000, 9000, 10099, 1), end = c(20000, 32000, 10200, 9)
)

test_that("counts in other peaks are plain sums, for every kind of query and of peaks", {
  skip_if_no_engine()
  atac <- multiome_small()$atac
  expected <- plain_counts(atac, wanted)
  names <- sprintf("%s:%d-%d", wanted$chrom, wanted$start, wanted$end)
  found <- quietly(match_peaks(atac, names))
  expect_s4_class(found, "dgCMatrix")
  expect_identical(dimnames(found), list(names, colnames(atac)))
  expect_equal(unname(as.matrix(found)), unname(expected))
  ranges <- granges(chrom = wanted$chrom, start = wanted$start + 1, end = wanted$end)
  for (peaks in list(wanted, ranges, gsub("[:]", "-", names))) {
    expect_equal(quietly(match_peaks(atac, peaks))@x, found@x)
  }
  sce <- SummarizedExperiment::SummarizedExperiment(list(counts = atac))
  expect_identical(quietly(match_peaks(sce, names)), found)
  expect_identical(quietly(match_peaks(as.matrix(atac), names)), found)
})

test_that("a Seurat object gets an assay and is piped into annotate()", {
  skip_if_no_engine()
  object <- multiome_seurat()
  found <- quietly(match_peaks(object, wanted))
  expect_identical(SeuratObject::DefaultAssay(found), "matched")
  expect_equal(found[["matched"]]@counts, quietly(match_peaks(multiome_small()$atac, wanted)))
  expect_identical(found[["matched"]][[]]$covered, c(TRUE, TRUE, TRUE, FALSE))
  ds <- quietly(
    DeepScore(hidden_nodes = 16, epochs = 10) %>%
      set_reference(multiome_small(3)$atac, types_of(1:150)) %>%
      train(progress = FALSE)
  )
  named <- quietly(object %>% match_peaks(ds, assay = "own") %>% annotate(ds, query = .))
  expect_identical(SeuratObject::DefaultAssay(named), "own")
  expect_gt(mean(named$deepscore == object$type), 0.9)
  moved <- sub("00-", "50-", rownames(object[["ATAC"]]), fixed = TRUE)
  other <- multiome_small()$atac
  rownames(other) <- moved
  expect_gt(mean(quietly(annotate(ds, other))$deepscore == object$type), 0.9)
})

test_that("fragments are counted exactly", {
  skip_if_no_engine()
  x <- matrix(1, 2, 2, dimnames = list(c("chr1-1-900", "chr2-1-9"), c("a", "b")))
  peaks <- c("chr1:100-200", "chr2:1-9")
  found <- quietly(match_peaks(x, peaks, fragments = fragments_small()))
  expect_equal(as.matrix(found), rbind(`chr1:100-200` = c(a = 1, b = 1), `chr2:1-9` = c(0, 0)))
  ends <- quietly(match_peaks(x, peaks, fragments_small(), counting = "insertions"))
  expect_equal(unname(as.matrix(ends)[1, ]), c(1, 1))
  expect_code("file_not_found", match_peaks(x, peaks, fragments = "none.tsv"))
  expect_code("bad_argument", match_peaks(x, peaks, fragments = 1))
})

test_that("what does not fit is refused", {
  skip_if_no_engine()
  atac <- multiome_small()$atac
  expect_code("low_overlap", match_peaks(atac, wanted, min_overlap = 0.9))
  expect_code("modality_mismatch", match_peaks(pbmc_small(), wanted))
  expect_code("bad_argument", match_peaks(atac, wanted, assay = "two words"))
  expect_code("file_not_found", match_peaks("atac.h5ad", wanted))
})
