# Run code in a new R session that sees the same packages, and return what it prints.
run_r <- function(code, env = character()) {
  # Where the package is not installed (devtools), its source is loaded.
  installed <- nzchar(system.file("Meta", package = "deepscore"))
  if (!installed) {
    code <- gsub(
      "library(deepscore)",
      sprintf("pkgload::load_all('%s', quiet = TRUE)", system.file(package = "deepscore")),
      code, fixed = TRUE
    )
  }
  script <- tempfile(fileext = ".R")
  writeLines(c(sprintf(".libPaths(%s)", deparse1(.libPaths())), code), script)
  output <- system2(
    file.path(R.home("bin"), "Rscript"), c("--vanilla", shQuote(script)),
    stdout = TRUE, stderr = TRUE, env = sprintf("%s=%s", names(env), shQuote(env))
  )
  as.character(output)
}

print_quietly <- function(x) {
  utils::capture.output(out <- print(x))
  out
}
