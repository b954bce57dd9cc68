# Tests that need Python. On a user's machine they are skipped without it; where the engine must be
# there (DEEPSCORE_REQUIRE_ENGINE is set), a missing engine is a failure.

skip_if_no_engine <- function() {
  if (engine_available()) return(invisible())
  if (nzchar(Sys.getenv("DEEPSCORE_REQUIRE_ENGINE"))) {
    engine()
  }
  skip("the engine is not installed")
}

# A small trained model, made once.
trained <- local({
  ds <- NULL
  function() {
    if (is.null(ds)) {
      ds <<- suppressMessages(
        DeepScore(hidden_nodes = c(32, 16), epochs = 30) %>%
          set_reference(reference = pbmc_small(), labels = "RNA_snn_res.1") %>%
          train(progress = FALSE)
      )
    }
    ds
  }
})

# Evaluate without the messages that say what was recognised.
# Most queries of the tests are smaller than what it takes to look for unknown types, and say so.
quietly <- function(code) {
  withCallingHandlers(suppressMessages(code), warning = function(w) {
    if (startsWith(conditionMessage(w), "Unknown types are not looked for")) rlang::cnd_muffle(w)
  })
}

# testthat 3.1.6 has no expect_no_warning() of its own.
expect_no_warnings <- function(code) {
  expect_warning(value <- force(code), NA)
  value
}

expect_code <- function(code, object) {
  expect_error(object, class = paste0("deepscore_error_", code))
}
