test_that("fragments are counted for the cells of any data set, in their order", {
  skip_if_no_engine()
  peaks <- c("chr1:100-200", "chr2:20-40")
  count <- function(cells, ...) {
    quietly(count_fragments(fragments_small(), peaks, cells, progress = FALSE, ...))
  }
  found <- count(c("b", "a"))
  expect_s4_class(found, "dgCMatrix")
  expect_equal(as.matrix(found), rbind(`chr1:100-200` = c(b = 1, a = 1), `chr2:20-40` = c(1, 0)))
  cells <- matrix(0, 1, 2, dimnames = list("x", c("b", "a")))
  expect_identical(count(cells), found)
  expect_identical(count(data.frame(n = 1:2, row.names = c("b", "a"))), found)
  expect_equal(unname(as.matrix(count("b", counting = "insertions"))), cbind(c(1, 1)))
  expect_identical(dim(count("a")), c(2L, 1L))
})

test_that("fragments that cannot be counted are refused", {
  skip_if_no_engine()
  count <- function(lines, cells = "a") count_fragments(fragments_small(lines), "chr1:1-900", cells)
  expect_code("fragments_format", count("chr1 1 9 a"))
  expect_code("fragments_unsorted", count(c("chr1\t9\t20\ta\t1", "chr1\t1\t8\ta\t1")))
  expect_code("fragments_truncated", count(c("chr1\t9\t20\ta\t1", "chr1\t10\t28")))
  expect_code("no_barcodes_matched", count("chr1\t9\t20\ta-1\t1"))
  expect_code("no_common_chromosomes", count("chr2\t9\t20\ta\t1"))
  expect_code("duplicate_cells", count("chr1\t9\t20\ta\t1", c("a", "a")))
  expect_code("empty_data", count("chr1\t9\t20\ta\t1", character()))
  expect_code("invalid_peaks", count_fragments(fragments_small(), c("CD3E", "LYZ"), "a"))
  expect_code("file_not_found", count_fragments("none.tsv", "chr1:1-9", "a"))
})
