test_that("errors have a class for their code, their kind and the package", {
  error <- tryCatch(abort("ModelFileError", "truncated", "too ", "short"), error = identity)
  expect_s3_class(
    error,
    c("deepscore_error_truncated", "deepscore_model_file_error", "deepscore_error", "rlang_error"),
    exact = FALSE
  )
  expect_identical(error$code, "truncated")
  expect_identical(conditionMessage(error), "too short")
})

test_that("verbs refuse foreign objects and name the other package", {
  expect_error(annotate("text", x = 1, y = 1), "ggplot2::annotate", class = "deepscore_input_error")
  expect_error(train(Species ~ ., iris), "caret::train", class = "deepscore_input_error")
  expect_code("unknown_data", set_reference(1, 2, 3))
  expect_code("unknown_data", save_model(1, tempfile()))
})

test_that("verbs in the wrong order are refused", {
  ds <- new_deepscore()
  expect_code("not_trained", annotate(ds, pbmc_small()))
  expect_code("not_trained", save_model(ds, tempfile()))
  expect_code("no_reference", train(ds))
})

test_that("arguments that a verb does not have are refused as its own errors are", {
  expect_code("bad_argument", annotate(new_deepscore(), counts_small(), treshold = 0.3))
  expect_code("bad_argument", train(new_deepscore(), epochs = 3))
})

test_that("what is printed cannot command a terminal nor fill it", {
  odd <- paste0("\u03b2\u001b[2J", intToUtf8(c(0x9b, 0x202e)), "\n\tx\r")
  expect_identical(printable(odd), "\u03b2\\u001b[2J\\u009b\\u202e\n\tx\\u000d")
  expect_identical(printable(c("a", "")), c("a", ""))
  expect_identical(printable("\xff"), "<ff>")
  expect_lt(nchar(printable(strrep("x", 1e6))), 2100)
  expect_error(abort("InputError", "some_code", "a\033[2J"), "a\\u001b[2J", fixed = TRUE)
  expect_output(print_field("labels", c("B\033[2J\n", "T")), "B\\u001b[2J, T", fixed = TRUE)
})
