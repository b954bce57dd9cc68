# Every plot of the cells that python/examples/pictures.py has drawn: `make pictures` runs this.

suppressMessages(library(deepscore))
out <- commandArgs(trailingOnly = TRUE)[1]

draw <- function(folder) {
  read <- function(name, ...) {
    utils::read.csv(file.path(folder, name), check.names = FALSE, na.strings = character(), ...)
  }
  counts <- methods::as(as.matrix(read("counts.csv", row.names = 1)), "CsparseMatrix")
  cells <- read("cells.csv", row.names = 1, colClasses = c(cluster = "character"))
  query <- SeuratObject::CreateSeuratObject(counts)
  query@meta.data <- cells[colnames(query), ] # names of labels stay as they are
  ds <- load_model(file.path(folder, "model.deepscore"))
  evidence <- read("importance.csv")
  peaks <- lapply(seq_along(unlist(ds$manifest$labels)), function(i) {
    start <- seq_len(400) * 5000
    end <- start + round(exp(stats::rnorm(400, log(300 + 40 * i), 0.5)))
    sprintf("chr1:%.0f-%.0f", start, end)
  })
  names(peaks) <- paste("set", seq_along(peaks))
  match <- match_markers(evidence, query, query_labels = "cluster", n_markers = 10)
  plots <- list(
    auc = plot_auc(query, "cell_type"),
    composition_of_clusters = plot_composition(query, "cluster"),
    composition_of_samples = plot_composition(query, "sample"),
    confusion_of_labels = plot_confusion(query, "cell_type"),
    confusion_of_clusters = plot_confusion(query, "cluster", values = "count"),
    embedding_of_calls = plot_embedding(query, ds = ds),
    embedding_of_scores = plot_embedding(query, "deepscore_score", ds = ds),
    importance = plot_importance(evidence),
    label_correlation = plot_label_correlation(query, ds),
    marker_match = plot_marker_match(match),
    markers = plot_markers(query, ds, importance = evidence),
    peak_widths = plot_peak_widths(peaks),
    probability_heatmap = plot_probability_heatmap(query),
    recall = plot_recall(ds),
    reliability = plot_reliability(query, "cell_type"),
    roc = plot_roc(query, "cell_type"),
    score_distribution = plot_score_distribution(query, threshold = 0.7),
    training_curve = plot_training_curve(ds)
  )
  for (name in names(plots)) {
    path <- file.path(folder, paste0(name, "_in_r.png"))
    inches <- attr(plots[[name]], "inches")
    ggplot2::ggsave(
      path, plots[[name]],
      width = inches["width"], height = inches["height"], dpi = 80, limitsize = FALSE
    )
    cat(path, "\n", sep = "")
  }
}

for (folder in list.dirs(out, recursive = FALSE)) draw(folder)
