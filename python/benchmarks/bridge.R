# The R half of bridge.py: Rscript bridge.R FOLDER train|annotate prints one line of JSON.
suppressPackageStartupMessages({
  library(deepscore)
  library(SeuratObject)
})
arguments <- commandArgs(trailingOnly = TRUE)

read_object <- function(folder) {
  read <- function(name, what) {
    size <- if (what == "integer") 4 else 8
    readBin(file.path(folder, name), what, file.size(file.path(folder, name)) / size)
  }
  genes <- readLines(file.path(folder, "genes"))
  labels <- readLines(file.path(folder, "labels"))
  counts <- methods::new(
    "dgCMatrix",
    p = read("p", "integer"), i = read("i", "integer"), x = read("x", "double"),
    Dim = c(length(genes), length(labels)), Dimnames = list(genes, paste0("c", seq_along(labels) - 1L))
  )
  object <- CreateSeuratObject(counts)
  object$label <- labels
  object
}

memory <- function(field) {
  line <- grep(field, readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("\\D", "", line)) * 1024 / 1e6 # MB: a million bytes
}

# The greatest resident memory from now on is counted anew.
reset_peak <- function() cat("5", file = "/proc/self/clear_refs")

measure_train <- function() {
  object <- read_object(file.path(arguments[1], "train"))
  ds <- DeepScore(common_features = rownames(object), epochs = 3) %>%
    set_reference(reference = object, labels = object$label)
  train(ds, progress = FALSE) # the first one pays for the import of torch
  seconds <- system.time(train(ds, progress = FALSE))[["elapsed"]]
  list(seconds = seconds)
}

measure_annotate <- function() {
  object <- read_object(file.path(arguments[1], "large"))
  ds <- load_model(file.path(arguments[1], "large.deepscore"))
  annotate(ds, object[, 1:100])
  gc()
  reset_peak()
  before <- memory("VmRSS")
  seconds <- system.time(annotate(ds, object))[["elapsed"]]
  list(seconds = seconds, megabytes = memory("VmHWM") - before)
}

result <- suppressMessages(switch(arguments[2], train = measure_train(), annotate = measure_annotate()))
cat("\n", jsonlite::toJSON(result, auto_unbox = TRUE, digits = 6), "\n", sep = "")
