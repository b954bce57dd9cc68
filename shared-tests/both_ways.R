# The R half of test_languages.py: Rscript both_ways.R FOLDER
#
# FOLDER holds settings.json and python.deepscore. Written there: the calls of Python's model in R, a model trained in R
# with the same settings (r.deepscore), and its calls in R.

library(deepscore)
source("shared_data.R")

folder <- commandArgs(trailingOnly = TRUE)
settings <- read_json(folder, "settings.json")
config <- lapply(settings$config, function(x) if (is.list(x)) unlist(x) else x)
reference <- make_container(read_fixture(settings$reference), "Seurat")
query <- make_container(read_fixture(settings$query), "Seurat")

call_and_write <- function(ds, file) {
  calls <- annotate(ds, query, probabilities = TRUE)[[]]
  calls <- calls[grep("^deepscore", names(calls))]
  numbers <- vapply(calls, is.numeric, NA)
  calls[numbers] <- lapply(calls[numbers], sprintf, fmt = "%.17g") # every bit
  utils::write.csv(calls, file.path(folder, file))
}

call_and_write(load_model(file.path(folder, "python.deepscore")), "python_in_r.csv")
ds <- do.call(DeepScore, config) %>%
  set_reference(reference, labels = "label_missing", batch = settings$batch) %>%
  train(progress = FALSE)
save_model(ds, file.path(folder, "r.deepscore"))
call_and_write(ds, "r_in_r.csv")
