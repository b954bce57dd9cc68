# Plots of annotated cells. The engine makes the table that a plot draws, for both languages.

#' Plot the scores of annotated cells
#'
#' Draws how many cells have which score, those without a label by the reason why.
#'
#' @param object Annotated cells: the Seurat object, SingleCellExperiment or data frame that
#'   [annotate()] returned.
#' @param threshold Where to draw the line of the threshold, 0 to 1. `NULL` for no line.
#'
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
  drawn <- plot_table(
    "score_distribution", object, c(scores = "deepscore_score", reasons = "deepscore_reason")
  )
  line <- if (!is.null(threshold)) ggplot2::geom_vline(xintercept = threshold, linetype = "dashed")
  drawn$outcome <- factor(drawn$outcome, unique(drawn$outcome))
  drawn$middle <- drawn$lower + drawn$width / 2
  ggplot2::ggplot(drawn, ggplot2::aes(.data$middle, .data$cells, fill = .data$outcome)) +
    ggplot2::geom_col(width = drawn$width[1], position = ggplot2::position_stack(reverse = TRUE)) +
    fill_of(drawn, "outcome") + line +
    ggplot2::labs(x = "score", y = "cells", fill = NULL)
}

# The table of a plot, made of columns of the cells.
plot_table <- function(plot, object, columns) {
  if (!requireNamespace("ggplot2", quietly = TRUE)) {
    caller <- sys.call(-1)
    abort("EngineError", "missing_package", "Plots need the R package ggplot2.", call = caller)
  }
  cells <- if (is.data.frame(object)) object else cell_data(object)
  missing <- setdiff(columns, names(cells))
  if (length(missing)) {
    abort(
      "InputError", "column_not_found", "The cells have no column '", missing[1],
      "'. Annotate them first.", call = sys.call(-1)
    )
  }
  values <- lapply(columns, function(name) {
    if (name == "deepscore_score") return(as.list(cells[[name]]))
    strings(as_text(plain_vector(cells[[name]])))
  })
  table <- lapply(call_engine("plot_table", plot, values), unlist)
  as.data.frame(table, stringsAsFactors = FALSE)
}

# The colours that the engine gave, in the order of its table.
fill_of <- function(table, by) {
  first <- table[!duplicated(table[[by]]), ]
  ggplot2::scale_fill_manual(
    values = stats::setNames(first$colour, first[[by]]), breaks = first[[by]]
  )
}

#' Plot the calls of each cluster or batch
#'
#' Draws which share of each group's cells has which call.
#'
#' @param object Annotated cells, as for [plot_score_distribution()].
#' @param groups Name of the column with the clusters or batches. Cells without one are left out.
#'
#' @return A ggplot. Its data have one row per group and call: `group`, `call`, `colour`, number of
#'   `cells` and their `share` of the group, 0 to 1.
#' @section Errors: `column_not_found` where the cells are not annotated or have no such column;
#'   `missing_package` without the package ggplot2.
#' @examplesIf deepscore:::engine_available() && requireNamespace("ggplot2", quietly = TRUE)
#' pbmc <- SeuratObject::pbmc_small
#' ds <- DeepScore(hidden_nodes = 32, epochs = 5) %>%
#'   set_reference(reference = pbmc, labels = pbmc$RNA_snn_res.1) %>%
#'   train(progress = FALSE)
#' plot_composition(annotate(ds, query = pbmc), groups = "groups")
#' @export
plot_composition <- function(object, groups) {
  if (!is_string(groups)) {
    abort("ConfigError", "bad_argument", "`groups` is the name of a column of the cells.")
  }
  drawn <- plot_table("composition", object, c(calls = "deepscore", groups = groups))
  drawn$call <- factor(drawn$call, unique(drawn$call))
  ggplot2::ggplot(drawn, ggplot2::aes(.data$group, .data$share, fill = .data$call)) +
    ggplot2::geom_col(width = 0.8, position = ggplot2::position_stack(reverse = TRUE)) +
    fill_of(drawn, "call") + ggplot2::labs(x = groups, y = "share of cells", fill = NULL)
}
