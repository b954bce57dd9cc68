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

test_that("text without a mark is UTF-8 in every locale, and what is not is refused", {
  bytes <- as.raw(c(0x43, 0x44, 0x34, 0xe2, 0x81, 0xba))
  expect_identical(charToRaw(as_utf8(rawToChar(bytes))), bytes)
  expect_identical(as_utf8(c("T", NA)), c("T", NA))
  expect_identical(charToRaw(as_utf8("b\u00eata")), charToRaw("b\u00eata"))
  latin1 <- "b\xeata"
  expect_code("invalid_text", strings(latin1))
  Encoding(latin1) <- "latin1"
  expect_identical(strings(latin1), list("b\u00eata"))
  script <- "x <- rawToChar(as.raw(c(0xce, 0xb2))); cat(charToRaw(deepscore:::strings(x)[[1]]))"
  expect_identical(run_r(script, c(LC_ALL = "C")), "ce b2")
})

test_that("what is no plain value is refused", {
  for (value in list(mean, new.env(), list(1, 1:2), matrix(1:4, 2))) {
    expect_code("bad_argument", plain_value(value, "epochs"))
  }
  expect_code("bad_argument", plain_value(list("CD3E", NA), "common_features"))
})
