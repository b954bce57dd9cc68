# The main job in R on real Seurat objects; `make demo` runs it between the two halves of the
# demo in Python.
suppressPackageStartupMessages({
  library(deepscore)
  library(Seurat)
})
out <- commandArgs(trailingOnly = TRUE)[1]

# Two real data sets that come with R packages.
utils::data("pbmc_small", package = "SeuratObject")
queries <- list(
  pbmc_small = pbmc_small,
  pbmc_sctransform = CreateSeuratObject(sctransform::pbmc)
)

write_for_python <- function(object, folder) {
  dir.create(folder, showWarnings = FALSE)
  counts <- GetAssayData(object[["RNA"]], "counts") # a slot of Seurat 4, a layer of Seurat 5
  Matrix::writeMM(counts, file.path(folder, "matrix.mtx"))
  writeLines(rownames(counts), file.path(folder, "features.txt"))
  writeLines(colnames(counts), file.path(folder, "cells.txt"))
}

write_calls <- function(ds, object, path) {
  annotated <- annotate(ds, query = object, probabilities = TRUE)
  prefix <- "^deepscore_probability_"
  probabilities <- annotated[[]][grep(prefix, colnames(annotated[[]]))]
  names(probabilities) <- sub(prefix, "", names(probabilities))
  calls <- data.frame(
    cell = colnames(annotated), deepscore = annotated$deepscore,
    lapply(probabilities, format, digits = 17), check.names = FALSE
  )
  utils::write.csv(calls, path, row.names = FALSE)
  print(table(annotated$deepscore))
}

# The model that Python trained.
ds <- load_model(file.path(out, "pbmc.deepscore"))
for (name in names(queries)) {
  cat("R annotates", name, "with the model that Python trained:\n")
  write_for_python(queries[[name]], file.path(out, name))
  write_calls(ds, queries[[name]], file.path(out, paste0(name, "_by_pbmc.csv")))
}

# The same reference in R, as a Seurat object.
folder <- file.path(out, "reference")
values <- methods::as(Matrix::readMM(file.path(folder, "matrix.mtx")), "CsparseMatrix")
cells <- utils::read.csv(file.path(folder, "cells.csv"), row.names = "cell")
dimnames(values) <- list(readLines(file.path(folder, "features.txt")), rownames(cells))
ref_rna <- CreateSeuratObject(CreateAssayObject(data = values))
ref_rna$anno <- cells$bulk_labels

# R trains by itself.
my_data <- queries$pbmc_sctransform
common_genes <- find_common_features(ref_rna, queries, n_features = 100)
ds <- DeepScore(hidden_nodes = c(512, 256, 64),
                common_features = common_genes,
                n_labels = 10) %>%
  set_reference(reference = ref_rna, labels = ref_rna$anno) %>%
  train()
my_data <- annotate(ds, query = my_data)
print(ds)
save_model(ds, file.path(out, "from_r.deepscore"))
for (name in names(queries)) {
  cat("R annotates", name, "with the model that R trained:\n")
  write_calls(ds, queries[[name]], file.path(out, paste0(name, "_by_from_r.csv")))
}
