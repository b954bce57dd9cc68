test_that("the package loads without starting Python", {
  script <- "library(deepscore); cat(reticulate::py_available(), DeepScore |> is.function())"
  expect_match(run_r(script), "FALSE TRUE", fixed = TRUE, all = FALSE)
})

test_that("the handshake refuses an engine that does not fit", {
  ours <- as.character(utils::packageVersion("deepscore"))
  expect_silent(check_handshake(list(version = ours, bridge = bridge_version)))
  for (other in bridge_version + c(-1L, 1L)) {
    expect_code("version_mismatch", check_handshake(list(version = ours, bridge = other)))
  }
  expect_code("version_mismatch", check_handshake(list(version = "9.0.0", bridge = bridge_version)))
})

test_that("a missing engine is an error that says what to do", {
  expect_error(abort_no_engine("No module named 'deepscore'"), "install_deepscore",
    class = "deepscore_error_missing_package"
  )
  expect_code("engine_failed", abort_no_engine("Python shared library not found"))
})

test_that("Python is looked for where the option, the variable or a clone says", {
  temporary <- normalizePath(tempdir())
  clone <- file.path(temporary, "clone")
  dir.create(file.path(clone, ".venv", "bin"), recursive = TRUE)
  dir.create(file.path(clone, "deep", "down"), recursive = TRUE)
  file.create(file.path(clone, ".venv", "bin", "deepscore"))
  expect_identical(find_upwards(".venv", file.path(clone, "deep", "down")), clone)
  expect_null(find_upwards("no such file anywhere", clone))
  expect_null(find_upwards(".venv/bin/deepscore", clone, user = "somebody else"))
  expect_null(find_upwards("a working directory that was deleted", NULL))
  before <- options(deepscore.python = "/some/python")
  on.exit(options(before))
  expect_identical(find_python(), "/some/python")
})

test_that("notes of the engine become messages and warnings", {
  skip_if_no_engine()
  answer <- reticulate::r_to_py(list(
    value = 1,
    notes = list(list(level = "info", text = "counts"), list(level = "warning", text = "few"))
  ))
  expect_message(
    expect_warning(answer_value(answer), "few", class = "deepscore_warning"),
    "counts"
  )
})

test_that("values survive the way to Python and back", {
  skip_if_no_engine()
  builtins <- reticulate::import_builtins(convert = FALSE)
  expect_identical(reticulate::py_to_r(builtins$repr(strings(c("a", NA)))), "['a', None]")
  expect_identical(reticulate::py_to_r(builtins$repr(strings("a"))), "['a']")
  expect_identical(reticulate::py_to_r(builtins$repr(named_list(list()))), "{}")
  expect_identical(as_raw(builtins$bytes(as.raw(0:3))), as.raw(0:3))
})

test_that("a Python that is not there is an error of deepscore", {
  script <- "library(deepscore)
    cat(tryCatch(DeepScore(), deepscore_engine_error = function(e) 'told'))"
  told <- run_r(script, c(RETICULATE_PYTHON = "", DEEPSCORE_PYTHON = "/no/python"))
  expect_match(told, "told$", all = FALSE)
})

test_that("forked processes annotate, too", {
  skip_if_no_engine()
  skip_on_os("windows")
  path <- tempfile(fileext = ".deepscore")
  save_model(rna_model(), path)
  query <- tempfile(fileext = ".rds")
  saveRDS(multiome_small(seed = 4)$rna, query)
  script <- sprintf("suppressMessages(library(deepscore))
    once <- function(i) suppressMessages(annotate(load_model('%s'), readRDS('%s')))
    expected <- once(0)
    found <- parallel::mclapply(1:2, once, mc.cores = 2)
    cat(identical(found, list(expected, expected)))", path, query)
  told <- run_r(script, c(OMP_NUM_THREADS = "2")) # a fork would wait for the second thread
  expect_identical(utils::tail(told, 1), "TRUE")
})

test_that("torch that came first is told when it is needed, and by the doctor", {
  skip_if_no_engine()
  script <- "suppressMessages(library(deepscore)); reticulate::import('torch')
    x <- Matrix::rsparsematrix(30, 40, 0.3, rand.x = function(n) rpois(n, 3) + 1)
    dimnames(x) <- list(paste0('G', 1:30), paste0('c', 1:40))
    ds <- suppressMessages(DeepScore(epochs = 1) %>% set_reference(x, rep(c('a', 'b'), 20)))
    tryCatch(train(ds, progress = FALSE), warning = function(w) cat(conditionMessage(w), '\\n'))
    cat(deepscore_doctor()$problems)"
  told <- run_r(script)
  expect_length(grep("torch was loaded before deepscore", told), 2)
})

test_that("a Python that somebody else has planted is not run", {
  skip_on_os("windows")
  skip_if(Sys.info()[["effective_user"]] != "root", "only root can give files to others")
  outer <- file.path(normalizePath(tempdir()), "outer")
  inner <- file.path(outer, "work")
  for (folder in c(outer, inner)) {
    dir.create(file.path(folder, ".venv", "bin"), recursive = TRUE)
    file.create(file.path(folder, ".venv", "bin", "deepscore"))
  }
  path <- file.path(".venv", "bin", "deepscore")
  expect_identical(find_upwards(path, inner), inner)
  for (planted in c(".venv/bin/deepscore", ".venv/bin", ".venv", "")) {
    system2("chown", c("nobody", shQuote(file.path(inner, planted))))
    expect_identical(find_upwards(path, inner), outer)
    system2("chown", c("root", shQuote(file.path(inner, planted))))
  }
})

test_that("where the engine is in another Python, restarting R is what helps", {
  expect_match(way_to_engine(NULL, NULL), "install_deepscore\\(\\) to set it up\\.$")
  expect_match(way_to_engine("/a/python", NULL), "and then restart R\\.$")
  told <- way_to_engine("/a/python", "/b/python")
  expect_match(told, "started /a/python, the engine is in /b/python. Restart R")
  before <- started$installed
  on.exit(started$installed <- before)
  started$installed <- TRUE
  expect_match(way_to_engine("/a/python", "/a/python"), "Restart R")
  expect_false(grepl("install_deepscore", way_to_engine(NULL, NULL)))
})

test_that("a call gives each warning once, the next call again", {
  skip_if_no_engine()
  counts <- multiome_small()$rna
  counts@x <- counts@x * stats::rlnorm(length(counts@x), 0, 0.25)
  colnames(counts)[3] <- colnames(counts)[2]
  for (i in 1:2) {
    told <- character()
    withCallingHandlers(
      quietly(find_common_features(counts, list(counts, counts), n_features = 10)),
      warning = function(w) {
        told <<- c(told, conditionMessage(w))
        invokeRestart("muffleWarning")
      }
    )
    expect_length(grep("cell names occur more than once", told), 1)
    expect_identical(anyDuplicated(told), 0L)
  }
})
