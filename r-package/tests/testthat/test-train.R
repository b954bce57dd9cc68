test_that("training gives a new object with a model and without the reference", {
  skip_if_no_engine()
  ds <- trained()
  expect_type(ds$model, "raw")
  expect_null(ds$prepared)
  expect_identical(ds$manifest$labels, c("0", "1", "2"))
  expect_equal(ds$manifest$network$hidden_nodes, c(32, 16))
  expect_output(print(ds), "trained")
  expect_output(print(summary(ds)), "label +cells +held_out +recall")
})

test_that("the same seed gives the same model, another one another", {
  skip_if_no_engine()
  fit <- function(seed) {
    ds <- DeepScore(hidden_nodes = 16, epochs = 3, seed = seed)
    ds <- quietly(set_reference(ds, pbmc_small(), "RNA_snn_res.1"))
    quietly(train(ds, progress = FALSE))$model
  }
  expect_identical(fit(1), fit(1))
  expect_false(identical(fit(1), fit(2)))
})

test_that("arguments reach the engine", {
  skip_if_no_engine()
  ds <- DeepScore(hidden_nodes = 16, epochs = 4)
  ds <- quietly(set_reference(ds, pbmc_small(), "RNA_snn_res.1"))
  expect_length(quietly(train(ds, progress = FALSE))$manifest$training$history, 4)
  gif <- tempfile(fileext = ".gif")
  quietly(train(ds, progress = FALSE, gif = gif, query = pbmc_query()))
  expect_identical(readBin(gif, "raw", 3), charToRaw("GIF"))
  quietly(train(ds, progress = FALSE, gif = gif, query = pbmc_small(), query_layer = "data"))
  expect_identical(readBin(gif, "raw", 3), charToRaw("GIF"))
  expect_code("layer_not_found", train(ds, gif = gif, query = pbmc_query(), query_layer = "none"))
  expect_code("bad_argument", train(ds, gif = gif, query = pbmc_query(), query_values = "log"))
  expect_code("bad_argument", train(ds, query_layer = "data"))
  expect_code("bad_argument", train(ds, patience = 0))
  expect_code("bad_argument", train(ds, lr_schedule = "whenever"))
})

test_that("objects that were changed by hand are refused", {
  skip_if_no_engine()
  ds <- quietly(set_reference(DeepScore(), pbmc_small(), "RNA_snn_res.1"))
  for (prepared in list("abc", ds$prepared[1:100], replace(ds$prepared, 5000, as.raw(255)))) {
    changed <- ds
    changed$prepared <- prepared
    expect_code("no_reference", train(changed, progress = FALSE))
  }
  ds$config <- NULL
  expect_code("bad_argument", train(ds, progress = FALSE))
  expect_code("bad_argument", set_reference(ds, pbmc_small(), "RNA_snn_res.1"))
})
