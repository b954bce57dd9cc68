test_that("the doctor names what it found and prints it", {
  doctor <- deepscore_doctor()
  expect_s3_class(doctor, "deepscore_doctor")
  expect_identical(doctor$R, as.character(getRversion()))
  expect_type(doctor$problems %||% character(), "character")
  expect_output(print(doctor), "reticulate")
})

test_that("a Python that does not start is a problem", {
  probe <- probe_python(file.path(tempdir(), "no-python"))
  expect_match(probe$problem, "does not start")
  found <- list(deepscore = "0.1.0")
  expect_match(find_problems(found, probe), "install_deepscore", all = FALSE)
})

test_that("old Python, missing torch and another version are problems", {
  found <- list(deepscore = "0.1.0", engine = "0.7.2", torch = NULL)
  problems <- find_problems(found, list(python = "3.9.1"))
  expect_match(problems, "too old", all = FALSE)
  expect_match(problems, "torch is missing", all = FALSE)
  expect_match(problems, "libpython3-dev", all = FALSE)
  expect_match(problems, "bioframe is missing", all = FALSE)
  expect_match(problems, "0.7.2", all = FALSE)
})

test_that("a Python that is a name is told, as reticulate wants a path", {
  found <- list(deepscore = "0.1.0", engine = "0.1.0", python = "python3")
  problems <- find_problems(found, list(python = "3.12.1"))
  expect_match(problems, "wants a path, such as /", all = FALSE)
  expect_false(any(grepl("libpython3-dev", problems)))
})

test_that("with the engine all is well", {
  skip_if_no_engine()
  expect_identical(deepscore_doctor()$problems, character())
  expect_output(print(deepscore_doctor()), "All is well")
  expect_match(deepscore_doctor()$bioframe, "^0[.]")
  expect_true(file.exists(deepscore_doctor()$python_library))
})
