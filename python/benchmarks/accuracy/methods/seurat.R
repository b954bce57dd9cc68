# Rscript seurat.R FOLDER KIND MODALITY REDUCTION: reads what seurat.py has written, writes calls.csv and
# facts.json.
suppressPackageStartupMessages(library(Seurat))
words <- commandArgs(trailingOnly = TRUE)
folder <- words[1]
set.seed(0)

read_matrix <- function(name, prefix) {
  x <- as(Matrix::readMM(file.path(folder, name, "matrix.mtx")), "CsparseMatrix")
  features <- gsub("_", "-", readLines(file.path(folder, name, "features"))) # as Seurat does
  dimnames(x) <- list(features, paste0(prefix, seq_len(ncol(x))))
  x
}

normalise <- function(x) {
  object <- CreateSeuratObject(x)
  if (words[2] != "counts") return(SetAssayData(object, "data", log1p(x)))
  NormalizeData(object, verbose = FALSE)
}

tf_idf <- function(peaks) {
  tf <- Matrix::t(Matrix::t(peaks) / pmax(Matrix::colSums(peaks), 1))
  log1p(tf * (ncol(peaks) / pmax(Matrix::rowSums(peaks), 1)) * 1e4)
}

lsi <- function(peaks) {
  parts <- irlba::irlba(Matrix::t(tf_idf(peaks)), nv = 30)
  embedding <- scale(parts$u)
  dimnames(embedding) <- list(colnames(peaks), paste0("LSI_", 1:30))
  dimnames(parts$v) <- list(rownames(peaks), colnames(embedding))
  CreateDimReducObject(embedding, parts$v, key = "LSI_", assay = "RNA", misc = list(d = parts$d))
}

with_peaks <- function(x) SetAssayData(CreateSeuratObject(x), "data", tf_idf(x))

of_genes <- function() {
  reference <- FindVariableFeatures(normalise(reference), verbose = FALSE)
  reference <- RunPCA(ScaleData(reference, verbose = FALSE), verbose = FALSE)
  query <- normalise(query)
  features <- VariableFeatures(reference)
  query <- ScaleData(query, features = features, verbose = FALSE)
  FindTransferAnchors(
    reference, query, features = features, dims = 1:30, verbose = FALSE,
    reduction = if (is.null(peaks)) "pcaproject" else words[4]
  )
}

of_peaks <- function() {
  known <- with_peaks(reference)
  known[["lsi"]] <- lsi(reference)
  FindTransferAnchors(
    known, with_peaks(query), features = rownames(known), dims = 2:30, verbose = FALSE,
    reference.reduction = "lsi", reduction = "lsiproject"
  )
}

reference <- read_matrix("reference", "r")
query <- read_matrix("query", "q")
peaks <- if (dir.exists(file.path(folder, "peaks"))) read_matrix("peaks", "q")
labels <- as.character(read.csv(file.path(folder, "labels.csv"))$label)

start <- proc.time()[["elapsed"]]
if (words[3] == "peaks") {
  anchors <- of_peaks()
  peaks <- query
} else {
  anchors <- of_genes()
}
weights <- if (is.null(peaks)) "pcaproject" else lsi(peaks[Matrix::rowSums(peaks) > 0, ])
dims <- if (is.null(peaks)) 1:30 else 2:30
found <- TransferData(
  anchors, labels, weight.reduction = weights, dims = dims, k.weight = 50, verbose = FALSE
)
seconds <- proc.time()[["elapsed"]] - start

write.csv(data.frame(call = found$predicted.id, confidence = found$prediction.score.max),
  file.path(folder, "calls.csv"), row.names = FALSE)
status <- grep("^VmHWM", readLines("/proc/self/status"), value = TRUE)
peak <- as.numeric(sub("^VmHWM:\\s*([0-9]+) kB$", "\\1", status)) / 1024
how <- if (words[3] == "peaks") " in the reference's LSI (lsiproject, without Signac)" else ""
writeLines(sprintf(
  '{"seconds": %f, "megabytes": %f, "note": "%d anchors%s"}',
  seconds, peak, nrow(anchors@anchors), how
), file.path(folder, "facts.json"))
