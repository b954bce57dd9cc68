# Run the tests of the R package, and fail where one that needs Seurat 5 was skipped.
stopifnot(utils::packageVersion("SeuratObject") >= "5")
results <- testthat::test_dir(
  "r-package/tests/testthat", package = "deepscore", load_package = "installed",
  reporter = "silent", stop_on_failure = FALSE
)
n <- c(success = 0, warning = 0, skip = 0, bad = 0)
without_seurat <- 0
for (test in results) {
  for (found in test$results) {
    kind <- intersect(sub("^expectation_", "", class(found)), names(n))
    kind <- if (length(kind)) kind[1] else "bad"
    n[[kind]] <- n[[kind]] + 1
    if (kind == "success") next
    text <- conditionMessage(found)
    if (kind == "skip" && grepl("SeuratObject 5", text)) without_seurat <- without_seurat + 1
    cat(kind, ": ", test$file, ", ", test$test, "\n  ", substr(text, 1, 1000), "\n", sep = "")
  }
}
cat(sprintf(
  "Seurat %s, R %s: %d expectations hold, %d do not; %d warnings, %d skipped, %d of them for want of Seurat 5\n",
  utils::packageVersion("Seurat"), getRversion(), n[["success"]], n[["bad"]], n[["warning"]], n[["skip"]],
  without_seurat
))
quit(status = n[["bad"]] > 0 || without_seurat > 0)
