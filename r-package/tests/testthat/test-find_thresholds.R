test_that("each label has a threshold, which annotate uses", {
  skip_if_no_engine()
  found <- quietly(find_thresholds(trained(), pbmc_small(), "RNA_snn_res.1"))
  expect_named(found, c("label", "threshold", "sensitivity", "specificity", "auc", "cells"))
  expect_identical(found$label, c("0", "1", "2"))
  expect_true(all(found$threshold > 0 & found$threshold < 1))
  free <- quietly(annotate(trained(), counts_small(), threshold = 0))
  limits <- stats::setNames(found$threshold, found$label)
  wanted <- ifelse(
    free$deepscore_score >= limits[free$deepscore], free$deepscore, "Unclassified"
  )
  for (form in list(found, limits, as.list(limits))) {
    calls <- quietly(annotate(trained(), counts_small(), threshold = form))
    expect_identical(calls$deepscore, unname(wanted))
  }
})

test_that("thresholds that make no sense are refused", {
  skip_if_no_engine()
  call <- function(threshold) quietly(annotate(trained(), counts_small(), threshold = threshold))
  expect_code("bad_argument", call(c("0" = 2)))
  expect_code("bad_argument", call(c(none = 0.5)))
  expect_code("bad_argument", call(c("0" = NA)))
  expect_code("bad_argument", call(list("0" = c(0.1, 0.2))))
  expect_code("bad_argument", call(c(0.1, 0.2, 0.3)))
  expect_code("bad_argument", call(data.frame(x = 1)))
  expect_code("no_shared_labels", find_thresholds(trained(), pbmc_small(), "groups"))
})
