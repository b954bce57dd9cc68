test_that("a check has words, tables and a print method", {
  skip_if_no_engine()
  pbmc <- pbmc_small()
  found <- quietly(check_reference(pbmc, "RNA_snn_res.1", query = pbmc_query(), folds = 2))
  expect_s3_class(found, "deepscore_check")
  expect_type(found$words, "character")
  columns <- c("label", "cells", "tested", "recall", "precision", "f1", "trusted")
  expect_named(found$labels, columns)
  expect_identical(found$labels$label, c("0", "1", "2"))
  expect_equal(found$labels$cells, as.vector(table(labels_small())))
  expect_type(found$labels$trusted, "logical")
  expect_named(found$confusable, c("label", "taken_for", "share"))
  expect_identical(found$overlap$features, 230L)
  expect_identical(found$overlap$found, sum(rownames(pbmc) %in% rownames(pbmc_query())))
  printed <- utils::capture.output(again <- print(found))
  expect_identical(again, found)
  for (part in c(found$design, found$words, "recall")) {
    expect_match(paste(printed, collapse = "\n"), part, fixed = TRUE)
  }
})

test_that("recall is what it says: shares of the cells that are called by their label or another", {
  skip_if_no_engine()
  found <- quietly(check_reference(counts_small(), rep(c("a", "b"), 40), folds = 2, seed = 3))
  expect_null(found$overlap)
  expect_identical(found$confusable$label, found$labels$label[order(found$labels$recall)])
  expect_equal(found$confusable$share, 1 - sort(found$labels$recall))
  expect_true("overlap" %in% names(found))
})

test_that("labels that are never taken for others leave an empty table of text and numbers", {
  skip_if_no_engine()
  two <- as_table(list(label = list(), taken_for = list(), share = list()), c("label", "taken_for"))
  expect_identical(two, data.frame(label = character(), taken_for = character(), share = numeric()))
})

test_that("batches are left out as a whole", {
  skip_if_no_engine()
  labels <- labels_small()
  batch <- ifelse(labels == "2", "x", rep(c("x", "y"), 40))
  found <- quietly(check_reference(sce_small(), labels, batch = batch))
  expect_match(found$design, "whole batches left out: 2 folds of 2 batches")
  expect_equal(found$labels$tested[3], 0)
  expect_true(is.nan(found$labels$recall[3]))
  expect_match(found$words[1], "confounded", all = FALSE)
})

test_that("bad input has its code", {
  skip_if_no_engine()
  check <- function(...) quietly(check_reference(pbmc_small(), ...))
  expect_code("no_labels", check(NULL))
  expect_code("labels_length", check(labels_small()[-1]))
  expect_code("column_not_found", check("none"))
  expect_code("bad_argument", check("RNA_snn_res.1", folds = 1))
  expect_code("bad_argument", check("RNA_snn_res.1", folds = NA))
  expect_code("layer_not_found", check("RNA_snn_res.1", pbmc_small(), query_layer = "none"))
  expect_code("file_not_found", check("RNA_snn_res.1", query = "file.h5ad"))
})
