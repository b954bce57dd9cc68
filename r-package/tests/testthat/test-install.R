test_that("without a clone and without an engine to install, nothing is installed", {
  before <- setwd(tempdir())
  on.exit(setwd(before))
  expect_code("bad_argument", install_deepscore())
})

test_that("the extra for chromatin is asked for", {
  expect_identical(with_extra(tempdir()), paste0(tempdir(), "[chromatin]"))
  expect_identical(with_extra("deepscore"), "deepscore[chromatin]")
  expect_identical(with_extra("deepscore==0.1.0"), "deepscore[chromatin]==0.1.0")
  expect_identical(with_extra("deepscore @ file:///a b"), "deepscore[chromatin] @ file:///a b")
  expect_identical(with_extra("deepscore[plots]"), "deepscore[plots]")
  expect_identical(with_extra("git+file:///clone"), "git+file:///clone")
})

test_that("the library path is left out of calls and put back", {
  before <- Sys.getenv("LD_LIBRARY_PATH")
  inside <- without_library_path(Sys.getenv("LD_LIBRARY_PATH"))
  expect_identical(inside, "")
  expect_identical(Sys.getenv("LD_LIBRARY_PATH"), before)
})
