# Plots of what columns of cells, models and checks say.

#' Plot the scores of annotated cells
#'
#' Draws how many cells have which score, those without a label by the reason why.
#'
#' @param object Annotated cells: the Seurat object, SingleCellExperiment or data frame that
#'   [annotate()] returned.
#' @param threshold Where to draw the line of the threshold, 0 to 1. `NULL` for no line.
#'
#' @details Every plot says how large a picture it asks for, in inches:
#'   `attr(plot, "inches")`. `ggsave("plot.png", plot, width = attr(plot, "inches")[1],
#'   height = attr(plot, "inches")[2])` saves it so that all names have room; on a smaller device
#'   names at an axis that would lie on each other are left out.
#' @return A ggplot. Its data have one row per outcome that occurs and bin of scores: `outcome`,
#'   `colour`, `lower` bound and `width` of the bin, number of `cells`. Cells without a score are
#'   left out.
#' @section Errors: `column_not_found` where the cells are not annotated; `missing_package` without
#'   the package ggplot2.
#' @examplesIf deepscore:::engine_available() && requireNamespace("ggplot2", quietly = TRUE)
#' pbmc <- SeuratObject::pbmc_small
#' ds <- DeepScore(hidden_nodes = 32, epochs = 5) %>%
#'   set_reference(reference = pbmc, labels = pbmc$RNA_snn_res.1) %>%
#'   train(progress = FALSE)
#' plot_score_distribution(annotate(ds, query = pbmc))
#' @export
plot_score_distribution <- function(object, threshold = 0.5) {
  drawn <- cell_table(
    "score_distribution", object, list(scores = "deepscore_score", reasons = "deepscore_reason")
  )
  line <- if (!is.null(threshold)) ggplot2::geom_vline(xintercept = threshold, linetype = "dashed")
  drawn$outcome <- in_order(drawn$outcome)
  drawn$middle <- drawn$lower + drawn$width / 2
  plot <- ggplot2::ggplot(drawn, ggplot2::aes(.data$middle, .data$cells, fill = .data$outcome)) +
    ggplot2::geom_col(width = drawn$width[1], position = ggplot2::position_stack(reverse = TRUE)) +
    fill_of(drawn, "outcome") + line + plain_theme() +
    ggplot2::labs(x = "score", y = "cells", fill = NULL)
  sized(plot, 6.5, 4)
}

#' Plot the calls of each cluster or batch
#'
#' Draws which share of each group's cells has which call.
#'
#' @param object Annotated cells, as for [plot_score_distribution()]. Calls have the colours of
#'   `Misc(object, "deepscore_colors")` (`metadata(object)$deepscore_colors`) where there are some,
#'   named by the labels.
#' @param groups Name of the column with the clusters or batches. Cells without one are left out.
#'
#' @inherit plot_score_distribution details
#' @return A ggplot. Its data have one row per group and call: `group`, `call`, `colour`, number of
#'   `cells` and their `share` of the group, 0 to 1.
#' @section Errors: `column_not_found` where the cells are not annotated or have no such column;
#'   `missing_package` without the package ggplot2.
#' @examplesIf deepscore:::engine_available() && requireNamespace("ggplot2", quietly = TRUE)
#' pbmc <- SeuratObject::pbmc_small
#' ds <- DeepScore(hidden_nodes = 32, epochs = 5) %>%
#'   set_reference(reference = pbmc, labels = pbmc$RNA_snn_res.1) %>%
#'   train(progress = FALSE)
#' pbmc <- annotate(ds, query = pbmc)
#' plot_composition(pbmc, groups = "groups")
#' plot_confusion(pbmc, groups = "RNA_snn_res.1")
#' @export
plot_composition <- function(object, groups) {
  drawn <- cell_table(
    "composition", object, list(calls = "deepscore", groups = groups),
    colours = own_colours(object, "deepscore")
  )
  drawn$group <- in_order(drawn$group)
  drawn$call <- in_order(drawn$call)
  plot <- ggplot2::ggplot(drawn, ggplot2::aes(.data$group, .data$share, fill = .data$call)) +
    ggplot2::geom_col(width = 0.8, position = ggplot2::position_stack(reverse = TRUE)) +
    fill_of(drawn, "call") + names_below() + plain_theme() +
    ggplot2::labs(x = groups, y = "share of cells", fill = NULL)
  calls <- levels(drawn$call)
  width <- max(4, row_inches(levels(drawn$group))) + legend_inches(calls) + 1
  sized(plot, width, 4.5 + name_inches(levels(drawn$group)))
}

#' Plot calls against clusters or known labels
#'
#' @inheritParams plot_composition
#' @param groups Name of the column with the clusters or labels: the rows. Cells without one are
#'   left out.
#' @param values What the tiles show: the `"share"` of the cells of a row, or the `"count"` of
#'   cells.
#'
#' @inherit plot_score_distribution details
#' @return A ggplot; its data are as for [plot_composition()].
#' @section Errors: `column_not_found` where the cells are not annotated or have no such column;
#'   `bad_argument`; `missing_package` without the package ggplot2.
#' @inherit plot_composition examples
#' @export
plot_confusion <- function(object, groups, values = "share") {
  if (!is_string(values) || !values %in% c("share", "count")) {
    abort("ConfigError", "bad_argument", "`values` must be \"share\" or \"count\".")
  }
  drawn <- cell_table("confusion", object, list(calls = "deepscore", groups = groups))
  if (values == "share") {
    tiles(drawn, "share", "call", "group", "share\nof cells") + axis_names("call", groups)
  } else {
    tiles(drawn, "cells", "call", "group", "cells", c(0, NA), "%.4g") + axis_names("call", groups)
  }
}

#' Plot the mean probability of each label
#'
#' Draws it for the cells of each call or cluster.
#'
#' @param object Cells annotated with `probabilities = TRUE`, as for [plot_score_distribution()].
#' @param groups Name of a column: the rows. By default the calls.
#'
#' @inherit plot_score_distribution details
#' @return A ggplot. Its data have one row per group and label: `group`, `label`, number of `cells`
#'   of the group, mean `probability`.
#' @section Errors: `column_not_found` where the cells have no such column, or no probabilities;
#'   `missing_package` without the package ggplot2.
#' @examplesIf deepscore:::engine_available() && requireNamespace("ggplot2", quietly = TRUE)
#' pbmc <- SeuratObject::pbmc_small
#' ds <- DeepScore(hidden_nodes = 32, epochs = 5) %>%
#'   set_reference(reference = pbmc, labels = pbmc$RNA_snn_res.1) %>%
#'   train(progress = FALSE)
#' pbmc <- annotate(ds, query = pbmc, threshold = 0, probabilities = TRUE)
#' plot_probability_heatmap(pbmc)
#' # with known labels: are scores right, and how well is each label told from the others?
#' plot_reliability(pbmc, labels = "RNA_snn_res.1")
#' plot_roc(pbmc, labels = "RNA_snn_res.1")
#' plot_auc(pbmc, labels = "RNA_snn_res.1")
#' @export
plot_probability_heatmap <- function(object, groups = "deepscore") {
  drawn <- cell_table(
    "probability_heatmap", object, list(groups = groups),
    probabilities = plot_probabilities(object)
  )
  tiles(drawn, "probability", "label", "group", "mean\nprobability") +
    axis_names("label", if (groups == "deepscore") "call" else groups)
}

#' Plot how far scores mean what they say
#'
#' Draws, for cells whose label is known, which share of the calls with a score is right. On the
#' diagonal scores mean what they say; the title has the mean distance from it, the calibration
#' error.
#'
#' @param object Annotated cells, as for [plot_score_distribution()]. Cells that are Unclassified
#'   have no call that could be right, and are left out: annotate with `threshold = 0` to see low
#'   scores, too.
#' @param labels Name of the column with the true labels. Cells without one are left out.
#'
#' @inherit plot_score_distribution details
#' @return A ggplot. Its data have one row per bin of scores that has cells: `lower` bound and
#'   `width`, number of `cells`, their mean `score` and the share of them whose call is `right`.
#' @section Errors: `column_not_found` where the cells are not annotated or have no such column;
#'   `missing_package` without the package ggplot2.
#' @inherit plot_probability_heatmap examples
#' @export
plot_reliability <- function(object, labels) {
  drawn <- cell_table(
    "reliability", object, list(calls = "deepscore", scores = "deepscore_score", labels = labels)
  )
  drawn[] <- lapply(drawn, as.numeric)
  error <- sum(drawn$cells * abs(drawn$score - drawn$right)) / sum(drawn$cells)
  plot <- ggplot2::ggplot(drawn, ggplot2::aes(.data$score, .data$right)) +
    ggplot2::geom_abline(colour = grey, linetype = "dashed") +
    ggplot2::geom_line(colour = first_colours[1]) +
    ggplot2::geom_point(ggplot2::aes(size = .data$cells), colour = first_colours[1]) +
    ggplot2::scale_size_area(max_size = 6) + ggplot2::coord_equal(xlim = c(0, 1), ylim = c(0, 1)) +
    plain_theme() + ggplot2::labs(
      x = "score", y = "share of right calls",
      title = sprintf("calibration error %.3f (%d cells)", error, sum(drawn$cells))
    )
  sized(plot, 5.5, 4.8)
}

#' Plot how well each label is told from all others
#'
#' `plot_roc()` draws the ROC curve of each label, for cells whose label is known; the legend has
#' the areas under the curves. `plot_auc()` draws these as bars, with the number of cells of each
#' label.
#'
#' @param object Cells annotated with `probabilities = TRUE`, as for [plot_score_distribution()].
#' @param labels Name of the column with the true labels. Cells without one are left out.
#'
#' @inherit plot_score_distribution details
#' @return A ggplot. Its data have, of each label that some and not all cells have, `label`,
#'   `colour`, number of true `cells` and `auc`; those of `plot_roc()` a row per point of its curve,
#'   `false_positive_rate` and `true_positive_rate`, at most 200.
#' @section Errors: `column_not_found` where the cells have no such column, or no probabilities;
#'   `missing_package` without the package ggplot2.
#' @inherit plot_probability_heatmap examples
#' @export
plot_roc <- function(object, labels) {
  drawn <- roc_table("roc", object, labels)
  drawn$text <- in_order(with_number(drawn$label, sprintf("%.3f", drawn$auc)))
  plot <- ggplot2::ggplot(
    drawn, ggplot2::aes(.data$false_positive_rate, .data$true_positive_rate, colour = .data$text)
  ) +
    ggplot2::geom_abline(colour = grey, linetype = "dashed") + ggplot2::geom_line() +
    colours_of_lines(drawn, "text") + ggplot2::coord_equal() + plain_theme() +
    ggplot2::labs(x = "false positive rate", y = "true positive rate", colour = NULL)
  sized(plot, 4.8 + legend_inches(levels(drawn$text)), 4.8)
}

#' @rdname plot_roc
#' @export
plot_auc <- function(object, labels) {
  drawn <- roc_table("auc", object, labels)
  bars(drawn, "auc", "area under the ROC curve", 0.5, drawn$colour)
}

roc_table <- function(plot, object, labels) {
  cell_table(
    plot, object, list(labels = labels),
    probabilities = plot_probabilities(object), colours = own_colours(object, "deepscore")
  )
}

#' Plot a model, or the check of a reference
#'
#' `plot_training_curve()` draws loss and accuracy of each epoch of a training, and the epoch whose
#' weights were kept; with early stopping also of the cells that it watched. `plot_recall()` draws
#' which share of each label's cells was called right, with the number of cells that were tested:
#' those held out from training, those of a check, or those whose label is known. The dashed line is
#' at 0.7, below which a label is not trusted. `plot()` of a model draws the first, of a check or a
#' performance the second.
#'
#' @param ds A trained [DeepScore()] object.
#' @param x A trained [DeepScore()] object, or what [check_reference()] or [performance()] returned.
#' @param what What to draw of a model.
#' @param ... Not used.
#'
#' @inherit plot_score_distribution details
#' @return A ggplot. The data of `plot_training_curve()` have one row per `measure` (`"loss"` or
#'   `"accuracy"`), `cells` (`"training"` or `"set apart"`) and `epoch`, with its `value`; those of
#'   `plot_recall()` a row per label: `label`, number of `cells` (`NA` where nothing is known),
#'   `recall`.
#' @section Errors: `not_trained`; `missing_package` without the package ggplot2.
#' @examplesIf deepscore:::engine_available() && requireNamespace("ggplot2", quietly = TRUE)
#' pbmc <- SeuratObject::pbmc_small
#' ds <- DeepScore(hidden_nodes = 32, epochs = 5) %>%
#'   set_reference(reference = pbmc, labels = pbmc$RNA_snn_res.1) %>%
#'   train(progress = FALSE)
#' plot(ds)
#' plot_recall(ds)
#' plot(check_reference(pbmc, pbmc$RNA_snn_res.1, folds = 2))
#' @export
plot_training_curve <- function(ds) {
  model_bytes(ds)
  training <- ds$manifest$training
  drawn <- plot_table("training_curve", list(history = unname(training$history)))
  drawn$measure <- in_order(drawn$measure)
  drawn$cells <- in_order(drawn$cells)
  kept <- training$best_epoch
  plot <- ggplot2::ggplot(
    drawn, ggplot2::aes(.data$epoch, .data$value, colour = .data$measure, linetype = .data$cells)
  ) +
    ggplot2::geom_line() + ggplot2::geom_point(size = 0.8) +
    (if (!is.null(kept)) ggplot2::geom_vline(xintercept = kept, colour = grey, linetype = 3)) +
    ggplot2::facet_wrap(ggplot2::vars(.data$measure), scales = "free_y", ncol = 1) +
    ggplot2::scale_colour_manual(values = first_colours, guide = "none") +
    ggplot2::scale_x_continuous(breaks = whole_breaks) + plain_theme() +
    ggplot2::labs(
      x = "epoch", y = NULL, linetype = "cells",
      title = if (!is.null(kept)) paste("The weights of epoch", kept, "are kept")
    )
  sized(plot, 6, 4.5)
}

#' @rdname plot_training_curve
#' @export
plot_recall <- function(x) {
  if (inherits(x, "deepscore_performance")) {
    figures <- x$labels
    figures$held_out <- figures$cells
    figures$recall <- figures$sensitivity
  } else if (inherits(x, "deepscore_check")) {
    figures <- x$labels
    figures$held_out <- figures$tested
  } else {
    model_bytes(x)
    figures <- label_figures(x$manifest$training)
  }
  drawn <- plot_table("recall", list(
    labels = strings(figures$label), cells = numbers_as_bytes(figures$held_out),
    recalls = numbers_as_bytes(figures$recall)
  ))
  bars(drawn, "recall", "recall", 0.7, first_colours[1])
}

#' @rdname plot_training_curve
#' @export
plot.DeepScore <- function(x, what = c("training_curve", "recall"), ...) {
  what <- match.arg(what)
  if (what == "recall") plot_recall(x) else plot_training_curve(x)
}

#' @rdname plot_training_curve
#' @export
plot.deepscore_check <- function(x, ...) plot_recall(x)

#' @rdname plot_training_curve
#' @export
plot.deepscore_performance <- function(x, ...) plot_recall(x)

#' Plot the most important features of each label
#'
#' @param table What [feature_importance()] returned: a data frame with the columns `label`,
#'   `feature` and `importance`.
#' @param n_features How many features of each label, the most important first.
#'
#' @inherit plot_score_distribution details
#' @return A ggplot: a row per label. Its data have one row per label and feature: `label`, `rank`
#'   (from 1), `feature`, `importance`.
#' @section Errors: `column_not_found` where the table lacks one of the columns; `missing_package`
#'   without the package ggplot2.
#' @examplesIf deepscore:::engine_available() && requireNamespace("ggplot2", quietly = TRUE)
#' plot_importance(data.frame(
#'   label = c("T", "T", "B", "B"), feature = c("CD3E", "IL7R", "MS4A1", "CD79A"),
#'   importance = c(2, 1, 3, 2)
#' ))
#' @export
plot_importance <- function(table, n_features = 5) {
  need_columns(table, c("label", "feature", "importance"))
  drawn <- plot_table("importance", list(
    labels = strings(as.character(table$label)), features = strings(as.character(table$feature)),
    importances = numbers_as_bytes(table$importance),
    n_features = plain_value(n_features, "n_features")
  ))
  drawn$rank <- in_order(drawn$rank)
  drawn$text <- vapply(drawn$feature, short_names, "", longest = 14)
  plot <- tile_layers(drawn, "importance", "rank", "label", "importance", c(NA, NA)) +
    ggplot2::geom_text(
      ggplot2::aes(label = .data$text, colour = is_light(.data$importance)),
      size = 2.2
    ) + text_colours() + axis_names("rank", NULL)
  wide <- max(0.6, name_inches(drawn$text) * 0.75)
  labels <- unique(drawn$label)
  sized(
    plot, wide * nlevels(drawn$rank) + name_inches(labels) + 1.5,
    max(2.5, row_inches(labels) + 1)
  )
}

#' Plot which labels of a reference and of a query have the same markers
#'
#' @param match What [match_markers()] returned.
#'
#' @inherit plot_score_distribution details
#' @return A ggplot: a row per label of the reference, in which the best match is framed. Its data
#'   have one row per pair: `label`, `group` (of the query), `jaccard`, and whether it is the
#'   `best`.
#' @section Errors: `missing_package` without the package ggplot2.
#' @examplesIf deepscore:::engine_available() && requireNamespace("ggplot2", quietly = TRUE)
#' plot_marker_match(match_markers(
#'   list(T = c("CD3D", "CD3E", "IL7R"), B = c("MS4A1", "CD79A")),
#'   list("1" = c("CD3D", "CD3E", "CCR7"), "2" = c("CD79A", "MS4A1"))
#' ))
#' @export
plot_marker_match <- function(match) {
  pairs <- as.data.frame(as.table(match$jaccard), stringsAsFactors = FALSE)
  drawn <- plot_table("marker_match", list(
    labels = strings(pairs[[1]]), groups = strings(pairs[[2]]),
    values = numbers_as_bytes(pairs[[3]]),
    best = stats::setNames(strings(match$best$match), match$best$label)
  ))
  best <- drawn[drawn$best, ]
  tiles(drawn, "jaccard", "group", "label", "Jaccard\nindex") +
    ggplot2::geom_tile(data = best, fill = NA, colour = outcome_colour, linewidth = 0.6) +
    ggplot2::labs(title = sprintf("matchSCore %.2f", match$score)) +
    axis_names("label of the query", "label of the reference")
}

#' Plot how wide peaks are
#'
#' @param peaks Names of peaks, a data set whose row names they are (or GRanges), or a named list of
#'   several of these.
#'
#' @inherit plot_score_distribution details
#' @return A ggplot: the share of the peaks of each set, on a logarithmic scale of base pairs. Its
#'   data have one row per set and bin: `peaks_of` (name of the set), `colour`, `lower` and `upper`
#'   bound, number of `peaks` and their `share`.
#' @section Errors: `invalid_peaks` where a name is not that of a peak; `missing_package` without
#'   the package ggplot2.
#' @examplesIf deepscore:::engine_available() && requireNamespace("ggplot2", quietly = TRUE)
#' plot_peak_widths(c("chr1:1000-1500", "chr1:3000-3200", "chr2:100-1500"))
#' @export
plot_peak_widths <- function(peaks) {
  sets <- if (is.list(peaks) && !is.object(peaks)) peaks else list(peaks = peaks)
  names_of_peaks <- function(x) {
    if (is.character(x) || is.factor(x)) return(strings(as.character(x)))
    strings(rownames(x) %||% as.character(x))
  }
  drawn <- plot_table("peak_widths", list(peaks = lapply(sets, names_of_peaks)))
  totals <- tapply(drawn$peaks, drawn$peaks_of, sum)
  drawn$text <- in_order(with_number(drawn$peaks_of, totals[drawn$peaks_of]))
  # a step ends where the next one begins, and the last one at its own end
  last <- drawn[!duplicated(drawn$text, fromLast = TRUE), ]
  last$lower <- last$upper
  plot <- ggplot2::ggplot(drawn, ggplot2::aes(.data$lower, .data$share, colour = .data$text)) +
    ggplot2::geom_step(data = rbind(drawn, last)) + colours_of_lines(drawn, "text") +
    ggplot2::scale_x_log10(guide = ggplot2::guide_axis(check.overlap = TRUE)) + plain_theme() +
    ggplot2::labs(x = "width of peaks (base pairs)", y = "share of peaks", colour = NULL)
  sized(plot, 5.2 + legend_inches(levels(drawn$text)), 4.2)
}

need_columns <- function(table, columns) {
  missing <- setdiff(columns, names(table))
  if (!length(missing)) return(invisible())
  abort(
    "InputError", "column_not_found", "The table has no column '", missing[1], "'; columns: ",
    paste(names(table), collapse = ", "), "."
  )
}
