# Real cells that come with SeuratObject and sctransform.

pbmc_small <- function() SeuratObject::pbmc_small

# 80 cells, three clusters as labels.
labels_small <- function() as.character(pbmc_small()$RNA_snn_res.1)

counts_small <- function() methods::slot(pbmc_small()[["RNA"]], "counts")

# 283 other cells: a Seurat object made from a plain matrix of counts.
pbmc_query <- function() {
  skip_if_not_installed("sctransform")
  SeuratObject::CreateSeuratObject(sctransform::pbmc)
}

sce_small <- function() {
  skip_if_not_installed("SingleCellExperiment")
  SingleCellExperiment::SingleCellExperiment(
    list(logcounts = methods::slot(pbmc_small()[["RNA"]], "data"), counts = counts_small()),
    colData = pbmc_small()[["RNA_snn_res.1"]]
  )
}

# What the engine would see: the cells x features matrix behind the read function.
read_all <- function(blocks, start = 0, stop = length(blocks$cells)) {
  read <- blocks$read(start, stop)
  p <- readBin(read$p, "integer", length(read$p) / 4)
  i <- readBin(read$i, "integer", length(read$i) / 4)
  x <- readBin(read$x, "double", length(read$x) / 4, size = 4)
  Matrix::sparseMatrix(
    i = i + 1, p = p, x = x, dims = c(length(blocks$features), stop - start),
    dimnames = list(blocks$features, blocks$cells[seq_len(stop - start) + start])
  )
}

# Values cross to Python in single precision: seven digits.
expect_single <- function(actual, expected) expect_equal(actual, expected, tolerance = 1e-6)
