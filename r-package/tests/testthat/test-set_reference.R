set <- function(reference = pbmc_small(), labels = labels_small(), ..., ds = DeepScore()) {
  quietly(set_reference(ds, reference, labels, ...))
}

test_that("setting a reference gives a new object and leaves the old one", {
  skip_if_no_engine()
  ds <- DeepScore()
  before <- ds
  after <- set(ds = ds)
  expect_identical(ds, before)
  expect_type(after$prepared, "raw")
  expect_output(print(after), "reference set")
})

test_that("Seurat, SingleCellExperiment and matrices are the same reference", {
  skip_if_no_engine()
  expected <- set()$prepared
  expect_identical(set(labels = "RNA_snn_res.1")$prepared, expected)
  expect_identical(set(labels = factor(labels_small()))$prepared, expected)
  expect_identical(set(sce_small(), "RNA_snn_res.1")$prepared, expected)
  expect_identical(set(counts_small())$prepared, expected)
  expect_identical(set(as.matrix(counts_small()))$prepared, expected)
})

test_that("what is read and recognised is told", {
  skip_if_no_engine()
  quietly({
    expect_message(set_reference(DeepScore(), pbmc_small(), "RNA_snn_res.1"), "counts")
    labels <- replace(labels_small(), 1:7, NA)
    expect_warning(set_reference(DeepScore(), pbmc_small(), labels), "7 of 80")
  })
})

test_that("words for a missing label are those that the caller names", {
  skip_if_no_engine()
  labels <- replace(labels_small(), 1:7, "NA")
  prepared <- function(...) {
    told <- NULL
    found <- withCallingHandlers(set(...)$prepared, warning = function(w) {
      told <<- c(told, conditionMessage(w))
      rlang::cnd_muffle(w)
    })
    list(found, told)
  }
  missing <- prepared(labels = replace(labels, 1:7, NA))
  expect_identical(missing[[2]], "7 of 80 cells have no label and are left out.")
  with_level <- addNA(factor(replace(labels, 1:7, NA)))
  for (given in list(labels, with_level, factor(labels))) {
    found <- prepared(labels = given)
    expect_identical(found[[1]], missing[[1]])
    expect_match(found[[2]], "^7 of 80")
  }
  kept <- prepared(labels = labels, missing = character())
  expect_match(kept[[2]], "fewer than 10 cells and cannot be trusted: 'NA' (7)", fixed = TRUE)
  expect_false(identical(kept[[1]], missing[[1]]))
  expect_identical(prepared(labels = labels, missing = "NA"), prepared(labels = labels))
  expect_code("bad_argument", set(labels = labels, missing = NA))
})

test_that("names that occur twice are told, and neither stops the work", {
  skip_if_no_engine()
  counts <- counts_small()
  rownames(counts)[2] <- rownames(counts)[1]
  expect_warning(ds <- set(counts), "1 feature names occur more than once in the reference")
  colnames(counts)[2] <- colnames(counts)[1]
  rownames(counts)[2] <- "another"
  expect_warning(ds <- set(counts), "1 cell names occur more than once")
  ds <- quietly(train(ds, progress = FALSE))
  expect_warning(found <- quietly(annotate(ds, counts)), "1 cell names occur more than once")
  expect_identical(rownames(found), make.unique(colnames(counts)))
  colnames(counts) <- paste0("c", seq_len(ncol(counts)))
  expect_identical(found$deepscore, quietly(annotate(ds, counts))$deepscore)
})

test_that("labels that do not fit are refused, each for its reason", {
  skip_if_no_engine()
  expect_code("labels_length", set(labels = labels_small()[-1]))
  expect_code("one_label", set(labels = rep("T", 80)))
  expect_code("no_labels", set(labels = rep(NA, 80)))
  expect_code("no_labels", set(labels = NULL))
  ds <- DeepScore(n_labels = 12)
  expect_error(set(ds = ds), "12.*3", class = "deepscore_error_n_labels_mismatch")
  expect_code("column_not_found", set(labels = "anno"))
})

test_that("data that do not fit are refused, each for its reason", {
  skip_if_no_engine()
  counts <- counts_small()
  change <- function(value) {
    counts@x[5] <- value
    counts
  }
  rename <- function(margin) {
    dimnames(counts)[[margin]][2] <- dimnames(counts)[[margin]][1]
    counts
  }
  expect_code("non_finite", set(change(NaN)))
  expect_code("non_finite", set(change(Inf)))
  expect_code("negative_values", set(change(-1)))
  needed <- DeepScore(common_features = rownames(counts)[1:2])
  expect_code("duplicate_features", set(rename(1), ds = needed))
  named <- stats::setNames(labels_small(), rev(colnames(counts)))
  expect_warning(expect_code("duplicate_cells", set(rename(2), named)), "1 cell names occur")
  expect_code("scaled_data", set(layer = "scale.data"))
  expect_code("empty_data", set(counts[, 0], character()))
  expect_code("layer_not_found", set(layer = "spliced"))
  expect_code("unknown_data", set(iris))
  expect_code("no_shared_features", set(ds = DeepScore(common_features = c("a1", "a2"))))
})
