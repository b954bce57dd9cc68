test_that("without a clone and without an engine to install, nothing is installed", {
  before <- setwd(tempdir())
  on.exit(setwd(before))
  expect_code("bad_argument", install_deepscore())
})

test_that("the extras that R can use are asked for", {
  extras <- "[chromatin,plots,tensorboard]"
  expect_identical(with_extras(tempdir()), paste0(tempdir(), extras))
  for (rest in c("", "==0.1.0", " @ file:///a b")) {
    expect_identical(with_extras(paste0("deepscore", rest)), paste0("deepscore", extras, rest))
  }
  expect_identical(with_extras("deepscore[plots]"), "deepscore[plots]")
  expect_identical(with_extras("git+file:///clone"), "git+file:///clone")
})

test_that("the library path is left out of calls and put back", {
  before <- Sys.getenv("LD_LIBRARY_PATH")
  inside <- without_library_path(Sys.getenv("LD_LIBRARY_PATH"))
  expect_identical(inside, "")
  expect_identical(Sys.getenv("LD_LIBRARY_PATH"), before)
})

test_that("what cannot be installed makes no environment", {
  before <- reticulate::virtualenv_list()
  for (engine in list("/no/such/folder", 123, NA_character_, c("a", "b"))) {
    expect_code("bad_argument", install_deepscore(engine))
  }
  for (envname in list(5, NA_character_, "")) {
    expect_code("bad_argument", install_deepscore(tempdir(), envname = envname))
  }
  expect_identical(reticulate::virtualenv_list(), before)
})

test_that("a folder that is no environment is kept, and a failure leaves none", {
  folder <- tempfile()
  dir.create(folder)
  file.create(file.path(folder, "notes.txt"))
  expect_code("bad_argument", install_deepscore(tempdir(), envname = folder))
  expect_identical(list.files(folder), "notes.txt")
  new <- tempfile()
  expect_code(
    "engine_failed", install_deepscore(tempdir(), envname = new, python = "/no/such/python")
  )
  expect_false(file.exists(new))
})

test_that("the versions that the engine is tested with are asked for, but for torch", {
  path <- pins_file()
  on.exit(unlink(path))
  pins <- readLines(path)
  expect_match(pins, "^[A-Za-z0-9_.-]+==[0-9][^ ]*$")
  expect_true(all(c("numpy", "anndata", "bioframe", "tensorboard") %in% sub("==.*", "", pins)))
  expect_false(any(startsWith(pins, "torch==")))
})
