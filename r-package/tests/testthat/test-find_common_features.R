test_that("features are found in one query or in several", {
  skip_if_no_engine()
  pbmc <- pbmc_small()
  one <- quietly(find_common_features(pbmc, pbmc_query(), n_features = 20))
  expect_length(unique(one), 20)
  expect_true(all(one %in% rownames(pbmc)))
  several <- quietly(find_common_features(pbmc, list(pbmc_query(), sce_small()), n_features = 20))
  expect_length(several, 20)
  named <- quietly(find_common_features(pbmc, list(a = pbmc_query()), n_features = 20))
  expect_identical(named, one)
})

test_that("one feature is a feature", {
  skip_if_no_engine()
  expect_length(quietly(find_common_features(pbmc_small(), pbmc_small(), n_features = 1)), 1)
})

test_that("asking for more than there are gives all of them and a warning", {
  skip_if_no_engine()
  expect_warning(
    found <- quietly(find_common_features(pbmc_small(), pbmc_query())),
    "2000", class = "deepscore_warning"
  )
  expect_gt(length(found), 50)
})

test_that("markers need labels", {
  skip_if_no_engine()
  find <- function(...) {
    quietly(find_common_features(pbmc_small(), pbmc_query(), n_features = 15, ...))
  }
  expect_code("no_labels", find(strategy = "markers"))
  expect_length(find(strategy = "markers", labels = "RNA_snn_res.1"), 15)
  expect_length(find(strategy = "markers_in_variable", labels = labels_small()), 15)
  expect_false(identical(
    find(strategy = "markers", labels = "RNA_snn_res.1", test = "wilcoxon"), find()
  ))
  expect_code("bad_argument", find(strategy = "best"))
})
