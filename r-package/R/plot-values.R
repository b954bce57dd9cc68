# Plots for which the values of a data set are read.

#' Plot how well mean profiles of a query correlate with those of the reference
#'
#' The profiles are means of normalised values, standardised as the model does it (less the mean of
#' the reference's cells, divided by their deviation). The correlation is Pearson's over the model's
#' features that the query has.
#'
#' @param object An annotated query, as for [annotate()].
#' @param ds A trained [DeepScore()] object, or the path of its file.
#' @param groups Name of a metadata column, or one value per cell: the rows. By default the calls.
#' @param layer,values,feature_names,modality,assay How to read the query: see [annotate()].
#'
#' @inherit plot_score_distribution details
#' @return A ggplot. Its data have one row per group and label: `group`, `label`, `correlation`.
#' @section Errors: `column_not_found`; `no_profiles` where the model is from a file of format
#'   version 1; those of [annotate()]; `missing_package` without the package ggplot2.
#' @examplesIf deepscore:::engine_available() && requireNamespace("ggplot2", quietly = TRUE)
#' pbmc <- SeuratObject::pbmc_small
#' ds <- DeepScore(hidden_nodes = 32, epochs = 5) %>%
#'   set_reference(reference = pbmc, labels = pbmc$RNA_snn_res.1) %>%
#'   train(progress = FALSE)
#' pbmc <- annotate(ds, query = pbmc)
#' plot_label_correlation(pbmc, ds)
#' plot_label_correlation(pbmc, ds, groups = "RNA_snn_res.0.8")
#' @export
plot_label_correlation <- function(object, ds, groups = "deepscore", layer = NULL, values = NULL,
                                   feature_names = NULL, modality = NULL, assay = NULL) {
  need_ggplot()
  ds <- trained_model(ds)
  query <- plot_query(ds, object, groups, layer, values, feature_names, modality, assay)
  drawn <- as_plot_table(call_engine(
    "label_correlation_table", model_bytes(ds), query$blocks, query$groups, given("modality"),
    verb = "plot_label_correlation"
  ))
  scale <- ggplot2::scale_fill_distiller(palette = "RdBu", limits = c(-1, 1))
  tiles(drawn, "correlation", "label", "group", "correlation", c(-1, 1), scale = scale) +
    axis_names("label of the reference", name_of_groups(groups))
}

#' Plot the features that are evidence for each label
#'
#' Draws as dots which cells have them, and how much.
#'
#' @inheritParams plot_label_correlation
#' @param importance What [feature_importance()] returned: a data frame with the columns `label`,
#'   `feature` and `importance`. `NULL`: it is computed for the query's own calls.
#' @param n_features How many features of each label, the most important first.
#'
#' @inherit plot_score_distribution details
#' @return A ggplot. A dot's area is the share of the cells that have the feature, its colour the
#'   mean normalised value, between the lowest and the highest of all rows. Its data have one row
#'   per group and feature: `group`, `feature`, `label` (that it is evidence for), `mean`,
#'   `relative` (0 to 1) and `share`.
#' @section Errors: `column_not_found`; `features_not_found` where the table is of another model;
#'   those of [annotate()]; `missing_package` without the package ggplot2.
#' @examplesIf deepscore:::engine_available() && requireNamespace("ggplot2", quietly = TRUE)
#' pbmc <- SeuratObject::pbmc_small
#' ds <- DeepScore(hidden_nodes = 32, epochs = 5) %>%
#'   set_reference(reference = pbmc, labels = pbmc$RNA_snn_res.1) %>%
#'   train(progress = FALSE)
#' plot_markers(annotate(ds, query = pbmc), ds)
#' @export
plot_markers <- function(object, ds, groups = "deepscore", importance = NULL, n_features = 3,
                         layer = NULL, values = NULL, feature_names = NULL, modality = NULL,
                         assay = NULL) {
  need_ggplot()
  ds <- trained_model(ds)
  query <- plot_query(ds, object, groups, layer, values, feature_names, modality, assay)
  importance <- importance %||% feature_importance(
    ds, object, "deepscore",
    layer = layer, values = values, feature_names = feature_names, modality = modality,
    assay = assay
  )
  need_columns(importance, c("label", "feature", "importance"))
  evidence <- list(
    label = strings(as.character(importance$label)),
    feature = strings(as.character(importance$feature)),
    importance = numbers_as_bytes(importance$importance)
  )
  drawn <- as_plot_table(call_engine(
    "expression_table", model_bytes(ds), query$blocks, query$groups, evidence,
    plain_value(n_features, "n_features"), given("modality"),
    verb = "plot_markers"
  ))
  dots(drawn, name_of_groups(groups))
}

# A row per group and a column per feature, in a panel for each label.
dots <- function(drawn, groups) {
  for (by in c("group", "feature", "label")) drawn[[by]] <- in_order(drawn[[by]])
  n <- nrow(drawn) / nlevels(drawn$group)
  plot <- ggplot2::ggplot(
    drawn,
    ggplot2::aes(.data$feature, .data$group, size = .data$share, colour = .data$relative)
  ) +
    ggplot2::geom_point() + ggplot2::scale_size_area(max_size = 4, limits = c(0, 1)) +
    ggplot2::scale_colour_viridis_c(limits = c(0, 1)) + names_below() + names_beside() +
    ggplot2::facet_grid(
      cols = ggplot2::vars(.data$label), scales = "free_x", space = "free_x",
      labeller = ggplot2::as_labeller(short_names)
    ) +
    plain_theme() + ggplot2::theme(
      strip.text.x = ggplot2::element_text(angle = 90, hjust = 0, size = 8),
      strip.background = ggplot2::element_blank(), panel.spacing = ggplot2::unit(0.04, "inches")
    ) +
    ggplot2::labs(x = NULL, y = groups, size = "share\nof cells", colour = "mean, of\nits range")
  labels <- levels(drawn$label)
  sized(
    plot,
    max(4, 0.21 * n + 0.06 * length(labels)) + name_inches(levels(drawn$group)) + 1.5,
    max(3, row_inches(levels(drawn$group))) + name_inches(levels(drawn$feature)) +
      name_inches(labels) + 0.6
  )
}

#' Plot cells on two coordinates
#'
#' Coloured by their calls, scores or any other column.
#'
#' @param object An annotated query: a Seurat object or a SingleCellExperiment.
#' @param color Name of a metadata column: `"deepscore"` (calls), `"deepscore_score"`, or any other.
#'   Texts have the colours of `Misc(object, "<column>_colors")`
#'   (`metadata(object)$<column>_colors`) where there are some, named by the texts or in the order
#'   of the levels; numbers a scale.
#' @param basis Name of a reduction, whose first two columns are drawn. `NULL`: the first that is
#'   there of UMAP, t-SNE and PCA. Where none is, the first two principal components are computed,
#'   of the normalised values of the features of `ds` or, without it, of the most variable features.
#'   The object is not changed.
#' @param ds A trained [DeepScore()] object, or the path of its file; it is looked at only where
#'   components are computed.
#' @param layer,values,feature_names,modality,assay How to read the query where components are
#'   computed: see [annotate()].
#'
#' @inherit plot_score_distribution details
#' @return A ggplot. Its data have one row per cell: `x`, `y` and `value`.
#' @section Errors: `column_not_found` where there is no such column or reduction; those of
#'   [annotate()]; `missing_package` without the package ggplot2.
#' @examplesIf deepscore:::engine_available() && requireNamespace("ggplot2", quietly = TRUE)
#' pbmc <- SeuratObject::pbmc_small
#' ds <- DeepScore(hidden_nodes = 32, epochs = 5) %>%
#'   set_reference(reference = pbmc, labels = pbmc$RNA_snn_res.1) %>%
#'   train(progress = FALSE)
#' pbmc <- annotate(ds, query = pbmc)
#' plot_embedding(pbmc)
#' plot_embedding(pbmc, color = "deepscore_score")
#' @export
plot_embedding <- function(object, color = "deepscore", basis = NULL, ds = NULL, layer = NULL,
                           values = NULL, feature_names = NULL, modality = NULL, assay = NULL) {
  need_ggplot()
  column <- plot_column(object, color)
  points <- reduction_of(object, basis)
  if (is.null(points)) {
    if (!is.null(ds)) ds <- trained_model(ds)
    query <- plot_query(ds, object, NULL, layer, values, feature_names, modality, assay)
    answer <- call_engine(
      "plot_coordinates", query$blocks, if (!is.null(ds)) model_bytes(ds), given("modality"),
      verb = "plot_embedding"
    )
    points <- matrix(
      as_doubles(answer),
      ncol = 2, byrow = TRUE,
      dimnames = list(query$blocks$cells, paste("principal component", 1:2))
    )
  }
  column <- column[match(rownames(points), rownames(plot_cells(object)))]
  drawn <- data.frame(x = points[, 1], y = points[, 2], value = column)
  if (is.numeric(column)) {
    drawn <- drawn[order(drawn$value, na.last = FALSE), ] # the highest on top
    limits <- if (color == "deepscore_score") c(0, 1)
    scale <- ggplot2::scale_colour_viridis_c(limits = limits)
    width <- 5.6
  } else {
    told <- plot_table("embedding", list(
      labels = strings(as_text(column)), colours = own_colours(object, color)
    ))
    drawn$value <- factor(as_text(column), told$label)
    drawn <- drawn[order(drawn$value == "Unclassified", decreasing = TRUE), ] # beneath all others
    told$text <- with_number(told$label, told$cells)
    texts <- stats::setNames(told$text, told$label)
    scale <- colours_of_lines(told, "label")
    scale$labels <- function(labels) unname(texts[labels])
    width <- 4.6 + legend_inches(told$text)
  }
  size <- min(max(0.5, 60 / sqrt(nrow(drawn))), 2)
  plot <- ggplot2::ggplot(drawn, ggplot2::aes(.data$x, .data$y, colour = .data$value)) +
    ggplot2::geom_point(size = size, stroke = 0) + scale + plain_theme() +
    ggplot2::theme(axis.text = ggplot2::element_blank(), axis.ticks = ggplot2::element_blank()) +
    ggplot2::labs(
      x = colnames(points)[1], y = colnames(points)[2],
      colour = if (is.numeric(column)) color
    )
  if (!is.numeric(column)) {
    plot <- plot + ggplot2::guides(colour = ggplot2::guide_legend(
      ncol = ceiling(nrow(told) / names_in_legend), override.aes = list(size = 2)
    ))
  }
  sized(plot, width, 4.6)
}

# The values and the groups of the cells that a plot reads.
plot_query <- function(ds, object, groups, layer, values, feature_names, modality, assay) {
  object <- data_set(object, layer, modality, feature_names)
  blocks <- if (is.null(ds)) {
    blocks_of(object, layer, modality, assay)
  } else {
    query_blocks(ds, object, layer, modality, assay)
  }
  blocks <- read_as(named_by(blocks, feature_names), values)
  list(blocks = blocks, groups = cell_values(groups, object, "groups", blocks$cells))
}

name_of_groups <- function(groups) {
  if (!is_string(groups)) return("group")
  if (groups == "deepscore") "call" else groups
}

# The first two columns of a reduction; NULL where there is none and none was asked for.
reduction_of <- function(object, basis) {
  known <- reductions_of(object)
  found <- if (is.null(basis)) {
    stats::na.omit(match(c("umap", "tsne", "pca"), tolower(known)))[1]
  } else {
    match(tolower(basis), tolower(known))
  }
  if (!is.na(found)) {
    points <- if (inherits(object, "Seurat")) {
      SeuratObject::Embeddings(object@reductions[[known[found]]])
    } else {
      SingleCellExperiment::reducedDim(object, known[found])
    }
    points <- as.matrix(points)[, 1:2, drop = FALSE]
    rownames(points) <- rownames(points) %||% colnames(object)
    colnames(points) <- colnames(points) %||% paste(known[found], 1:2)
    return(points)
  }
  if (is.null(basis)) return(NULL)
  abort(
    "InputError", "column_not_found", "The object has no reduction '", basis, "'; there are: ",
    if (length(known)) paste(known, collapse = ", ") else "none", "."
  )
}

reductions_of <- function(object) {
  if (inherits(object, "Seurat")) return(names(object@reductions))
  if (inherits(object, "SingleCellExperiment")) {
    return(SingleCellExperiment::reducedDimNames(object))
  }
  character()
}
