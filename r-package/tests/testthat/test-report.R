# The data that the page's script draws.
data_of <- function(path) {
  text <- paste(readLines(path, encoding = "UTF-8"), collapse = "\n")
  jsonlite::fromJSON(sub("(?s).*id=\"data\">(.*?)</script>.*", "\\1", text, perl = TRUE))
}

page_text <- function(path) paste(readLines(path, encoding = "UTF-8"), collapse = "\n")

expect_said <- function(path, words) expect_true(grepl(words, page_text(path), fixed = TRUE))

trained <- function(object) {
  quietly(
    DeepScore(hidden_nodes = 16, epochs = 4) %>%
      set_reference(object, object$RNA_snn_res.1) %>%
      train(progress = FALSE)
  )
}

test_that("a report of a Seurat object shows its cells, reduction and record", {
  skip_if_no_engine()
  object <- pbmc_small()
  ds <- trained(object)
  object <- quietly(annotate(ds, object, threshold = 0.4, batch = "groups"))
  page <- tempfile(fileext = ".html")
  result <- withVisible(report(object, ds, page, batch = "groups", groups = "RNA_snn_res.0.8"))
  expect_false(result$visible)
  expect_identical(result$value, object)
  shown <- data_of(page)
  expect_identical(shown$names, colnames(object))
  expect_equal(shown$threshold, 0.4)
  expect_identical(shown$samples$names, c("g1", "g2"))
  expect_identical(shown$clusters$names, sort(unique(as.character(object$RNA_snn_res.0.8))))
  expect_said(page, ds$manifest$content_sha256)
  expect_said(page, "tSNE_1 and tSNE_2")
  report(object, ds, page, basis = "pca", title = "My <cells>")
  expect_said(page, "PC_1 and PC_2")
  expect_said(page, "<h1>My &lt;cells&gt;</h1>")
  expect_code("column_not_found", report(object, ds, page, basis = "none"))
})

test_that("the page is that of Python for the same cells", {
  skip_if_no_engine()
  object <- pbmc_small()
  object@reductions <- list()
  ds <- trained(object)
  object <- quietly(annotate(ds, object))
  pages <- c(tempfile(fileext = ".html"), tempfile(fileext = ".html"))
  report(object, ds, pages[1], batch = object$groups, title = "T")
  file <- tempfile(fileext = ".h5ad")
  seurat_to_h5ad(object, file)
  report(file, ds, pages[2], batch = "groups", title = "T")
  without_record <- function(path) { # which a file made by seurat_to_h5ad() lacks
    told <- "(?s)<section id=\"(verdict|again)\".*?</section>"
    text <- gsub(told, "", page_text(path), perl = TRUE)
    sub("\"threshold\":[^,]*", "", text)
  }
  expect_identical(data_of(pages[1])$best, data_of(pages[2])$best)
  expect_true(identical(without_record(pages[1]), without_record(pages[2])))
})

test_that("a SingleCellExperiment and a table of cells are reported on", {
  skip_if_no_engine()
  skip_if_not_installed("SingleCellExperiment")
  object <- pbmc_small()
  ds <- trained(object)
  sce <- SingleCellExperiment::SingleCellExperiment(
    list(counts = SeuratObject::GetAssayData(object)), colData = object[[]]
  )
  sce <- quietly(annotate(ds, sce))
  page <- tempfile(fileext = ".html")
  report(sce, ds, page, groups = "groups")
  expect_said(page, "drawn on two principal components")
  expect_identical(data_of(page)$clusters$names, c("g1", "g2"))
  SingleCellExperiment::reducedDims(sce) <- list(UMAP = matrix(rnorm(2 * ncol(sce)), ncol = 2))
  report(sce, ds, page)
  expect_said(page, "UMAP 1 and UMAP 2")
  cells <- as.data.frame(SummarizedExperiment::colData(sce))
  report(cells, ds, page, batch = "groups", groups = rep(c("a", "b"), 40))
  expect_said(page, "which features they have is not known")
  expect_said(page, "Samples</h3>")
  expect_code("column_not_found", report(cells, ds, page, batch = "none"))
})

test_that("probabilities tell the label that a withheld cell comes closest to", {
  skip_if_no_engine()
  object <- pbmc_small()
  ds <- trained(object)
  object <- quietly(annotate(ds, object, threshold = 1, probabilities = TRUE))
  labels <- unlist(ds$manifest$labels)
  table <- as.matrix(object[[]][paste0("deepscore_probability_", labels)])
  page <- tempfile(fileext = ".html")
  report(object, ds, page)
  best <- readBin(jsonlite::base64_dec(data_of(page)$best), "integer", 80, 2, endian = "little")
  expect_identical(best + 1L, unname(max.col(table, "first")))
})

test_that("a check is part of the report", {
  skip_if_no_engine()
  object <- pbmc_small()
  ds <- trained(object)
  check <- quietly(check_reference(object, object$RNA_snn_res.1, folds = 2))
  page <- tempfile(fileext = ".html")
  report(quietly(annotate(ds, object)), ds, page, check = check)
  expect_said(page, paste0("Reference check (", check$design, ")"))
})

test_that("what cannot be reported is refused", {
  skip_if_no_engine()
  object <- pbmc_small()
  ds <- trained(object)
  page <- tempfile(fileext = ".html")
  writeLines("older", page)
  expect_code("column_not_found", report(object, ds, page))
  object <- quietly(annotate(ds, object))
  expect_code("bad_argument", report(object, ds, 3))
  expect_code("bad_argument", report(object, ds, page, check = list()))
  expect_code("bad_argument", report(object, ds, page, title = 3))
  expect_code("path_not_writable", report(object, ds, file.path(page, "no", "r.html")))
  other <- object
  other$deepscore <- "neuron"
  expect_code("no_shared_labels", report(other, ds, page))
  expect_identical(readLines(page), "older")
})
