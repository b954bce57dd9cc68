test_that("calls are weighed as a table of them says", {
  skip_if_no_engine()
  found <- quietly(performance(trained(), pbmc_small(), "RNA_snn_res.1", threshold = 0.6))
  calls <- quietly(annotate(trained(), pbmc_small(), threshold = 0.6))$deepscore
  truth <- labels_small()
  expect_s3_class(found, "deepscore_performance")
  columns <- c("0", "1", "2", "Unclassified")
  expect_equal(found$confusion, unclass(table(label = truth, call = factor(calls, columns))))
  expect_equal(found$overall[["accuracy"]], mean(calls == truth))
  expect_equal(found$overall[["n_cells"]], 80)
  expect_equal(found$labels$cells, as.vector(table(truth)))
  sensitivity <- vapply(found$labels$label, function(x) mean(calls[truth == x] == x), 1)
  expect_equal(found$labels$sensitivity, unname(sensitivity))
  expect_named(found$roc, c("label", "threshold", "false_positive_rate", "true_positive_rate"))
  expect_equal(found, quietly(performance(trained(), counts_small(), truth, 0.6)))
  printed <- utils::capture.output(again <- print(found))
  expect_identical(again, found)
  for (part in c("80 cells, accuracy", "sensitivity", "Unclassified")) {
    expect_match(paste(printed, collapse = "\n"), part, fixed = TRUE)
  }
})

test_that("bad input has its code", {
  skip_if_no_engine()
  weigh <- function(...) quietly(performance(trained(), pbmc_small(), ...))
  expect_code("no_labels", weigh(NULL))
  expect_code("labels_length", weigh(labels_small()[-1]))
  expect_code("column_not_found", weigh("none"))
  expect_code("no_shared_labels", weigh("groups"))
  expect_code("bad_argument", weigh("RNA_snn_res.1", threshold = 2))
})
