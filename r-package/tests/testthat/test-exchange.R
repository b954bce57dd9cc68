layer <- function(x, name, assay = "RNA") assay_matrices(x[[assay]], name)[[1]]

# A real object whose table of cells has a column of every kind.
object_of_all_kinds <- function() {
  x <- pbmc_small()
  x$factor <- factor(rep(c("b", "a", NA, "b"), 20), c("b", "a", "unused"))
  x$ordered <- factor(rep(c("low", "high"), 40), c("low", "high"), ordered = TRUE)
  x$text <- rep(c("x", NA), 40)
  x$truth <- rep(c(TRUE, NA, FALSE, TRUE), 20)
  x$whole <- rep(c(1L, NA), 40)
  x$number <- rep(c(1.1, NA, NaN, -Inf), 20)
  x$all_true <- TRUE
  x
}

there_and_back <- function(x, ...) {
  path <- tempfile(fileext = ".h5ad")
  suppressMessages(seurat_to_h5ad(x, path, ...))
  quietly(h5ad_to_seurat(path))
}

test_that("a Seurat object comes back from a file as it was", {
  skip_if_no_engine()
  x <- object_of_all_kinds()
  SeuratObject::Idents(x) <- "factor"
  found <- expect_no_warnings(there_and_back(x))
  for (name in c("counts", "data")) {
    expected <- layer(x, name)
    actual <- layer(found, name)
    for (slot in c("i", "p", "x", "Dim", "Dimnames")) {
      expect_identical(methods::slot(actual, slot), methods::slot(expected, slot))
    }
  }
  expect_identical(found@meta.data, x@meta.data)
  expect_identical(SeuratObject::Idents(found), SeuratObject::Idents(x))
  table <- x[["RNA"]]@meta.features
  expect_equal(own_features(found[["RNA"]])[names(table)], table, ignore_attr = TRUE)
  expect_identical(SeuratObject::VariableFeatures(found), SeuratObject::VariableFeatures(x))
  expect_identical(names(found@reductions), c("pca", "tsne"))
  for (name in c("pca", "tsne")) {
    ours <- found[[name]]
    theirs <- x[[name]]
    expect_identical(SeuratObject::Embeddings(ours), SeuratObject::Embeddings(theirs))
    expect_identical(SeuratObject::Key(ours), SeuratObject::Key(theirs))
    expect_identical(SeuratObject::Stdev(ours), SeuratObject::Stdev(theirs))
    expect_identical(ours@global, theirs@global)
  }
})

test_that("a reduction keeps a key of its own, and identities that are no column become one", {
  skip_if_no_engine()
  x <- pbmc_small()
  x[["mine"]] <- SeuratObject::CreateDimReducObject(
    SeuratObject::Embeddings(x, "pca")[, 1:2] / 3,
    key = "other_", assay = "RNA"
  )
  own <- factor(rep(c("u", "v", "w", "v"), 20), c("w", "u", "v"))
  SeuratObject::Idents(x) <- stats::setNames(own, colnames(x))
  found <- there_and_back(x)
  expect_identical(SeuratObject::Key(found[["mine"]]), "other_")
  expect_identical(
    SeuratObject::Embeddings(found, "mine"),
    `colnames<-`(SeuratObject::Embeddings(x, "mine"), c("other_1", "other_2"))
  )
  expect_identical(found$ident, SeuratObject::Idents(x))
  expect_identical(SeuratObject::Idents(found), SeuratObject::Idents(x))
})

test_that("one assay is written, and the others are told", {
  skip_if_no_engine()
  x <- pbmc_small()
  other <- counts_small()[1:30, ] * 2
  rownames(other) <- paste0("tag", 1:30)
  x[["ADT"]] <- SeuratObject::CreateAssayObject(counts = other)
  path <- tempfile(fileext = ".h5ad")
  expect_message(seurat_to_h5ad(x, path), "'RNA' is written. Not written: the assays ADT")
  expect_message(seurat_to_h5ad(x, path, assay = "ADT"), "the assays RNA")
  found <- quietly(h5ad_to_seurat(path))
  expect_identical(names(found@assays), "ADT")
  expect_identical(layer(found, "counts", "ADT")@x, other@x)
  expect_identical(names(found@reductions), names(x@reductions))
  found <- quietly(h5ad_to_seurat(path, assay = "protein"))
  expect_identical(names(found@assays), "protein")
  expect_identical(SeuratObject::Key(found[["protein"]]), "protein_")
})

test_that("counts that were not normalised, and data without counts, come back", {
  skip_if_no_engine()
  x <- SeuratObject::CreateSeuratObject(counts_small())
  found <- there_and_back(x)
  expect_identical(layer(found, "counts"), layer(x, "counts"))
  expect_identical(assay_layers(found[["RNA"]]), assay_layers(x[["RNA"]]))

  only <- suppressWarnings(SeuratObject::CreateSeuratObject( # of the key
    SeuratObject::CreateAssayObject(data = layer(pbmc_small(), "data"))
  ))
  found <- expect_no_warnings(there_and_back(only))
  expect_identical(layer(found, "data")@x, layer(pbmc_small(), "data")@x)
  expect_false("counts" %in% assay_layers(found[["RNA"]]))
})

test_that("what a file cannot hold is told", {
  skip_if_no_engine()
  x <- pbmc_small()
  x$day <- as.Date("2020-02-29") + seq_len(80)
  x@meta.data$lists <- I(as.list(seq_len(80)))
  path <- tempfile(fileext = ".h5ad")
  expect_message(seurat_to_h5ad(x, path), "no single values are not written: lists")
  expect_message(seurat_to_h5ad(x, path), "as text: day")
  expect_message(seurat_to_h5ad(x, path), "Not written: .*scale.data; the graphs RNA_snn")
  found <- quietly(h5ad_to_seurat(path))
  expect_identical(found$day[[1]], "2020-03-01")
  expect_null(found@meta.data$lists)
})

test_that("an annotated object is read by the engine from its file", {
  skip_if_no_engine()
  x <- quietly(annotate(trained(), pbmc_small()))
  path <- tempfile(fileext = ".h5ad")
  suppressMessages(seurat_to_h5ad(x, path))
  found <- quietly(annotate(trained(), path))
  expect_identical(found$deepscore, unname(x$deepscore))
  expect_identical(quietly(h5ad_to_seurat(path))$deepscore_score, x$deepscore_score)
})

test_that("wrong objects, assays and paths are refused, and a file survives", {
  skip_if_no_engine()
  path <- tempfile(fileext = ".h5ad")
  writeLines("before", path)
  expect_code("unknown_data", seurat_to_h5ad(counts_small(), path))
  expect_code("layer_not_found", seurat_to_h5ad(pbmc_small(), path, assay = "none"))
  expect_code("bad_argument", seurat_to_h5ad(pbmc_small(), NULL))
  expect_code("path_not_writable", suppressMessages(seurat_to_h5ad(pbmc_small(), "no/folder.h5ad")))
  expect_code("path_not_writable", suppressMessages(seurat_to_h5ad(pbmc_small(), tempfile())))
  expect_identical(readLines(path), "before")
  expect_code("file_not_found", h5ad_to_seurat("none.h5ad"))
  expect_code("unknown_data", h5ad_to_seurat(path))
  expect_code("bad_argument", h5ad_to_seurat(path, assay = "1"))
})

test_that("names that Seurat does not allow are changed and told", {
  expect_message(found <- features_of_seurat(c("a_b", "c|d", "e")), "2 names of features")
  expect_identical(found, c("a-b", "c-d", "e"))
  expect_message(found <- different_names(c("a", "a"), "cells"), "1 names of cells")
  expect_identical(found, c("a", "a.1"))
  expect_identical(reduction_key("umap"), "UMAP_")
  expect_identical(reduction_key("3D view.x"), "r3Dviewx_")
})

test_that("layers of Seurat 5 are joined, and what they lack is told", {
  skip_if_not_seurat5()
  skip_if_no_engine()
  made <- typed_cells(1, 60)$counts
  other <- typed_cells(2, 40)$counts[1:100, ]
  x <- merge(
    SeuratObject::CreateSeuratObject(made), SeuratObject::CreateSeuratObject(other)
  )
  expect_length(SeuratObject::Layers(x[["RNA"]]), 2)
  path <- tempfile(fileext = ".h5ad")
  expect_message(seurat_to_h5ad(x, path), "are joined; features .* zero for its cells")
  found <- quietly(h5ad_to_seurat(path))
  expected <- SeuratObject::LayerData(SeuratObject::JoinLayers(x), layer = "counts")
  actual <- SeuratObject::LayerData(found[["RNA"]], layer = "counts")
  expect_identical(dimnames(actual), dimnames(expected))
  expect_identical(as.matrix(actual), as.matrix(expected))
  expect_s4_class(found[["RNA"]], "Assay5")
  x <- SeuratObject::JoinLayers(x)
  x[["RNA"]]$data <- log1p(x[["RNA"]]$counts)
  SeuratObject::VariableFeatures(x) <- c("G007", "G003")
  found <- there_and_back(x)
  expect_identical(found[["RNA"]]$data@x, x[["RNA"]]$data@x)
  expect_identical(SeuratObject::VariableFeatures(found), c("G007", "G003"))
})
