test_that("without a clone and without an engine to install, nothing is installed", {
  before <- setwd(tempdir())
  on.exit(setwd(before))
  expect_code("bad_argument", install_deepscore())
})

test_that("the library path is left out of calls and put back", {
  before <- Sys.getenv("LD_LIBRARY_PATH")
  inside <- without_library_path(Sys.getenv("LD_LIBRARY_PATH"))
  expect_identical(inside, "")
  expect_identical(Sys.getenv("LD_LIBRARY_PATH"), before)
})
