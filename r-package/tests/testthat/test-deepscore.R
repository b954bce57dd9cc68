test_that("a DeepScore object prints what it is", {
  expect_output(print(new_deepscore()), "no reference")
  expect_output(print(new_deepscore(list(epochs = 3), prepared = raw(1))), "not trained")
  ds <- new_deepscore(model = model_bytes_of(example_manifest()))
  expect_output(print(ds), "<DeepScore> trained.*features +3.*accuracy +0.9")
  expect_identical(withVisible(print_quietly(ds))$value, ds)
})

test_that("figures of each label are printed, and summarised", {
  figures <- list("T\u00e9" = list(n_cells = 5, recall = 0.8), B = list(n_cells = 0))
  manifest <- example_manifest_v2()
  manifest$training$held_out <- list(n_cells = 5, labels = figures)
  ds <- new_deepscore(model = model_bytes_of(manifest))
  expect_identical(summary(ds)$labels$held_out, c(0L, 5L))
  expect_identical(summary(ds)$labels$recall, c(NA, 0.8))
  table <- "held-out cells +5\n *label +cells +held_out +recall\n +B +40 +0 +NA\n.* 50 +5 +0.8"
  expect_output(print(ds), table)
})

test_that("the summary counts cells per label", {
  found <- summary(new_deepscore(model = model_bytes_of(example_manifest())))
  expected <- data.frame(
    label = c("B", "T\u00e9"), cells = c(40L, 50L), held_out = NA_integer_, recall = NA_real_
  )
  expect_identical(found$labels, expected)
  expect_output(print(found), "label +cells +held_out +recall")
  expect_output(print(summary(new_deepscore())), "no reference")
})

test_that("formals agree with the documented call", {
  expect_identical(names(formals(DeepScore))[1:3], c("hidden_nodes", "common_features", "n_labels"))
  expect_identical(formals(annotate)$threshold, 0.5)
  for (verb in c("set_reference", "train", "annotate")) {
    method <- utils::getS3method(verb, "DeepScore")
    expect_identical(formals(method), formals(get(verb)), info = verb)
  }
})

test_that("arguments that make no sense are refused at once", {
  skip_if_no_engine()
  expect_code("bad_argument", DeepScore(dropout_rate = 2))
  expect_code("bad_argument", DeepScore(hidden_nodes = "many"))
  expect_code("bad_argument", DeepScore(epochs = NA))
  expect_s3_class(tryCatch(DeepScore(lr = -1), error = identity), "deepscore_config_error")
  expect_output(print(DeepScore(hidden_nodes = c(8, 4))), "8, 4")
})

test_that("unknown arguments are refused", {
  expect_error(train(new_deepscore(), epoch = 3), class = "deepscore_error_bad_argument")
  expect_error(annotate(new_deepscore(), 1, treshold = 3), class = "deepscore_error_bad_argument")
})
