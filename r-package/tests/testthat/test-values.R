test_that("only arguments that were given are forwarded", {
  verb <- function(a = 1, b = NULL, c = "x") given(c("a", "b", "c"))
  expect_identical(verb(), named_list(list()))
  expect_identical(verb(b = NULL), list(b = NULL))
  expect_identical(verb(1, c = "x"), list(a = 1, c = "x"))
})

test_that("what was given is known behind a generic, too", {
  told <- function(x, a = 1, b = 2) UseMethod("told")
  told.numeric <- function(x, a = 1, b = 2) given(c("a", "b")) # nolint: object_name_linter.
  expect_identical(with(environment(), told(1, b = 3)), list(b = 3))
})

test_that("NA is refused, factors are text and lists stay lists", {
  expect_code("bad_argument", plain_value(NA, "epochs"))
  expect_identical(plain_value(factor("relu"), "activation"), "relu")
  expect_identical(plain_value(64, "hidden_nodes"), list(64))
  expect_null(plain_value(NULL, "common_features"))
  expect_identical(plain_value(c(a = "CD3E"), "common_features"), list("CD3E"))
})
