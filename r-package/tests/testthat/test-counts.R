test_that("parts of a matrix are put together", {
  skip_if_no_engine()
  x <- counts_small()
  bytes <- reticulate::import_builtins(convert = FALSE)$bytes
  halves <- function(values, size) {
    cut <- length(values) %/% 2
    list(
      bytes(writeBin(values[seq_len(cut)], raw(), size = size)),
      bytes(writeBin(values[-seq_len(cut)], raw(), size = size))
    )
  }
  answer <- list(
    features = rownames(x), n_values = length(x@x),
    p = halves(x@p, 4), i = halves(x@i, 4), x = halves(x@x, 4)
  )
  found <- as_counts(answer, colnames(x))
  expect_true(methods::validObject(found))
  expect_equal(found, x)
  answer[c("n_values", "p", "i", "x")] <- list(0, list(writeBin(integer(3), raw())), list(), list())
  expect_identical(sum(as_counts(answer, c("a", "b"))), 0)
})

test_that("counts become an assay, the default one, and nothing else changes", {
  before <- multiome_seurat()
  counts <- before[["ATAC"]]@counts[1:5, ]
  rownames(counts)[1] <- "chr1_random-1-9"
  about <- list(covered = c(TRUE, FALSE, TRUE, TRUE, TRUE), gene_ids = NULL)
  after <- add_counts(before, counts, "matched", about)
  expect_identical(SeuratObject::DefaultAssay(after), "matched")
  expect_identical(rownames(after[["matched"]])[1], "chr1-random-1-9")
  expect_identical(after[["matched"]][[]]$covered, about$covered)
  expect_identical(after[["matched"]]@counts@x, counts@x)
  again <- add_counts(after, counts[1:2, ], "matched")
  expect_identical(nrow(again[["matched"]]), 2L)
  SeuratObject::DefaultAssay(after) <- "RNA"
  after[["matched"]] <- NULL
  after@meta.data <- after@meta.data[names(before[[]])]
  expect_identical(after, before)
})

test_that("names that Seurat would change are no names of assays", {
  expect_silent(check_assay_name("activity"))
  for (wrong in list("gene activity", "a_b", "1a", "", c("a", "b"), NULL, 3)) {
    expect_code("bad_argument", check_assay_name(wrong))
  }
})

test_that("an assay may not take the name of another part of the object", {
  expect_code("bad_argument", check_assay_name("pca", pbmc_small()))
  expect_error(check_assay_name("pca", pbmc_small()), "something else")
  expect_code("bad_argument", check_assay_name("groups", pbmc_small()))
  expect_no_error(check_assay_name("RNA", pbmc_small()))
})
