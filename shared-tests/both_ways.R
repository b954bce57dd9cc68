# The R half of test_languages.py: Rscript both_ways.R FOLDER
#
# FOLDER holds settings.json and python.deepscore. Written there: the calls of Python's model in R (python_in_r.csv, and
# python_in_r_alone.csv without refine), a model trained in R with the same settings (r.deepscore), its calls in R, and
# what a check of the reference finds (labels.csv, confusable.csv, words.txt). With `bridge` in the settings, the path of
# a model of RNA, reference and query are the halves of a multiome; then activity.csv and activity_by_model.csv, the calls
# of the query's gene activity in view of its peaks, and of what Python's model says of these, take the place of the check.

library(deepscore)
source("shared_data.R")

folder <- commandArgs(trailingOnly = TRUE)
settings <- read_json(folder, "settings.json")
config <- lapply(settings$config, function(x) if (is.list(x)) unlist(x) else x)
reference <- make_container(read_fixture(settings$reference), "Seurat")
query <- make_container(read_fixture(settings$query), "Seurat")

write_table <- function(table, file) {
  numbers <- vapply(table, is.numeric, NA)
  table[numbers] <- lapply(table[numbers], sprintf, fmt = "%.17g") # every bit
  utils::write.csv(table, file.path(folder, file))
}

# The calls with and without a look at the query as a whole.
call_and_write <- function(ds, origin) {
  for (refine in c(TRUE, FALSE)) {
    found <- annotate(
      ds, query, 0.9, settings$batch,
      probabilities = TRUE, refine = refine, groups = "cluster_missing"
    )
    calls <- found[[]]
    file <- paste0(origin, if (refine) "_in_r.csv" else "_in_r_alone.csv")
    write_table(calls[grep("^deepscore", names(calls))], file)
  }
}

check_and_write <- function() {
  found <- check_reference(
    reference, "label_missing", query,
    common_features = config$common_features, batch = settings$batch, folds = 2, seed = config$seed
  )
  write_table(found$labels, "labels.csv")
  write_table(found$confusable, "confusable.csv")
  writeLines(enc2utf8(found$words), file.path(folder, "words.txt"), useBytes = TRUE)
}

call_and_write(load_model(file.path(folder, "python.deepscore")), "python")
if (is.null(settings$bridge)) {
  ds <- do.call(DeepScore, config) %>%
    set_reference(reference, labels = "label_missing", batch = settings$batch) %>%
    train(progress = FALSE)
  check_and_write()
} else {
  ds <- load_model(settings$bridge) %>%
    train_bridge(list(rna = reference, atac = query), seed = config$seed, batch = settings$batch, progress = FALSE)
  rna_model <- load_model(settings$bridge)
  activity <- gene_activity(query, "fixtures/genes.gtf")
  models <- list(activity.csv = NULL, activity_by_model.csv = file.path(folder, "python.deepscore"))
  for (file in names(models)) {
    calls <- annotate(rna_model, activity, peaks = "RNA", peaks_model = models[[file]])[[]]
    write_table(calls[grep("^deepscore", names(calls))], file)
  }
}
save_model(ds, file.path(folder, "r.deepscore"))
call_and_write(ds, "r")
