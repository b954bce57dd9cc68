# One data set in every form that has a path.
written <- function(env = parent.frame()) {
  folder <- temporary_folder(env)
  counts <- counts_small()
  dir.create(file.path(folder, "tenx"))
  Matrix::writeMM(counts, file.path(folder, "tenx", "matrix.mtx"))
  writeLines(colnames(counts), file.path(folder, "tenx", "barcodes.tsv"))
  writeLines(paste(rownames(counts), rownames(counts), "Gene Expression", sep = "\t"),
             file.path(folder, "tenx", "features.tsv"))
  utils::write.csv(as.matrix(counts), file.path(folder, "genes.csv"))
  utils::write.csv(
    data.frame(t(as.matrix(counts)), cluster = paste0("type", labels_small()), check.names = FALSE),
    file.path(folder, "cells.csv")
  )
  folder
}

temporary_folder <- function(env) {
  folder <- tempfile()
  dir.create(folder)
  do.call("on.exit", list(substitute(unlink(x, recursive = TRUE), list(x = folder)), add = TRUE),
          envir = env)
  folder
}

test_that("a path gets the calls of the matrix, as a data frame", {
  skip_if_no_engine()
  folder <- written()
  expected <- quietly(annotate(trained(), counts_small()))
  for (name in c("tenx", "tenx/matrix.mtx", "genes.csv", "cells.csv")) {
    found <- quietly(annotate(trained(), file.path(folder, name)))
    expect_s3_class(found, "data.frame")
    expect_identical(rownames(found), colnames(counts_small()))
    expect_identical(found$deepscore, expected$deepscore, label = name)
    expect_equal(found$deepscore_score, expected$deepscore_score, tolerance = 1e-6)
  }
})

test_that("a path is a reference, whose table of cells has labels and batches", {
  skip_if_no_engine()
  path <- file.path(written(), "cells.csv")
  quietly({
    genes <- find_common_features(path, list(path, counts_small()), n_features = 60)
    by_path <- DeepScore(8, genes, epochs = 2) %>%
      set_reference(path, "cluster", batch = "cluster") %>%
      train(progress = FALSE)
    labels <- paste0("type", labels_small())
    by_matrix <- DeepScore(8, genes, epochs = 2) %>%
      set_reference(counts_small(), labels, batch = labels) %>%
      train(progress = FALSE)
  })
  expect_identical(genes, quietly(find_common_features(counts_small(), counts_small(), 60)))
  expect_equal(quietly(annotate(by_path, path)), quietly(annotate(by_matrix, counts_small())))
  found <- quietly(annotate(by_path, path, groups = "cluster"))
  expect_identical(tapply(found$deepscore_group, labels, function(x) length(unique(x))),
                   tapply(labels, labels, function(x) 1L))
  expect_code("column_not_found", annotate(by_path, path, groups = "none"))
})

test_that("of a large reference on disk the object holds where it lies, not its values", {
  skip_if_no_engine()
  path <- file.path(written(), "cells.csv")
  set <- function() quietly(set_reference(DeepScore(8, epochs = 2), path, "cluster"))
  whole <- set()
  references <- reticulate::import("deepscore.training.reference", convert = FALSE)
  deal_out <- references$deal_out
  withr::defer(reticulate::py_set_attr(references, "deal_out", deal_out))
  partial <- reticulate::import("functools", convert = FALSE)$partial
  few <- partial(deal_out, per_shard = 500L, held = 500L)
  reticulate::py_set_attr(references, "deal_out", few)
  ds <- unserialize(serialize(set(), NULL))
  expect_lt(length(ds$prepared), length(whole$prepared) / 5)
  facts <- function(ds) quietly(train(ds, progress = FALSE))$manifest$training$cells_per_label
  expect_identical(facts(ds), facts(whole))
  unlink(path)
  expect_code("no_reference", train(ds, progress = FALSE))
})

test_that("what cannot be read has the error of the engine", {
  skip_if_no_engine()
  folder <- written()
  writeLines("hello", file.path(folder, "x.csv"))
  expect_code("file_not_found", quietly(annotate(trained(), file.path(folder, "none.h5ad"))))
  expect_code("unknown_data", quietly(annotate(trained(), file.path(folder, "x.csv"))))
  expect_code("unknown_data", quietly(annotate(trained(), folder)))
  expect_code("unknown_data", as_blocks(c("a", "b")))
})

test_that("a Seurat object and an experiment say where their calls come from", {
  skip_if_no_engine()
  found <- quietly(annotate(trained(), pbmc_small(), threshold = 0.7, groups = labels_small()))
  origin <- SeuratObject::Misc(found, "deepscore")
  expect_identical(origin$model, trained()$manifest$content_sha256)
  expect_identical(origin$threshold, 0.7)
  expect_identical(origin$groups, "given")
  expect_identical(origin$labels, as.character(unlist(trained()$manifest$labels)))
  expect_match(origin$date, "^\\d{4}-\\d\\d-\\d\\dT")
  again <- unserialize(serialize(found, NULL))
  expect_identical(SeuratObject::Misc(again, "deepscore"), origin)
  expect_identical(
    S4Vectors::metadata(quietly(annotate(trained(), sce_small())))$deepscore$model, origin$model
  )
})

test_that("several paths are one data set, whose table of calls names their files", {
  skip_if_no_engine()
  folder <- written()
  paths <- file.path(folder, c("cells.csv", "cells.csv", "genes.csv"))
  counts <- counts_small()
  names <- make.unique(rep(colnames(counts), 3))
  expected <- quietly(annotate(trained(), `colnames<-`(cbind(counts, counts, counts), names)))
  for (query in list(paths, as.list(paths))) {
    found <- quietly(annotate(trained(), query))
    expect_identical(found$file, rep(paths, each = ncol(counts)))
    expect_identical(rownames(found), names)
    expect_identical(found$deepscore, expected$deepscore)
  }
  both <- paths[1:2]
  ds <- quietly(set_reference(DeepScore(hidden_nodes = 8), both, labels = "cluster"))
  whole <- `colnames<-`(cbind(counts, counts), names[seq_len(2 * ncol(counts))])
  labels <- rep(paste0("type", labels_small()), 2)
  one <- quietly(set_reference(DeepScore(hidden_nodes = 8), whole, labels = labels))
  expect_identical(
    train(ds, progress = FALSE)$manifest$self_check,
    train(one, progress = FALSE)$manifest$self_check
  )
  features <- quietly(find_common_features(both, counts, n_features = 10))
  expect_identical(features, quietly(find_common_features(whole, counts, n_features = 10)))
  expect_error(
    set_reference(DeepScore(), paths, labels = "cluster"),
    class = "deepscore_error_column_not_found"
  )
})
