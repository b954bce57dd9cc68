test_that("the best of several models is a model as any other", {
  skip_if_no_engine()
  ds <- quietly(DeepScore(hidden_nodes = 8, epochs = 2, seed = 3) %>%
    set_reference(pbmc_small(), labels_small(), test_prop = 0.3))
  best <- quietly(select_model(ds, n_models = 2, progress = FALSE))
  tried <- best$manifest$training$selection
  expect_equal(vapply(tried, `[[`, 1, "seed"), c(3, 4))
  losses <- vapply(tried, `[[`, 1, "loss")
  expect_equal(best$manifest$training$held_out$loss, min(losses))
  expect_equal(best$manifest$training$seed, c(3, 4)[which.min(losses)])
  expect_length(quietly(annotate(best, counts_small()))$deepscore, 80)
  expect_null(ds$model)
})

test_that("bad input has its code", {
  skip_if_no_engine()
  expect_code("no_reference", select_model(DeepScore()))
  expect_code("no_reference", select_model(trained()))
  expect_code("unknown_data", select_model(pbmc_small()))
  ds <- quietly(set_reference(DeepScore(epochs = 1), pbmc_small(), labels_small(), test_prop = 0))
  expect_code("bad_argument", select_model(ds, n_models = 0))
  expect_code("no_held_out_cells", quietly(select_model(ds, 2, progress = FALSE)))
})
