# How plots are drawn: sizes that grow with the names on them, names cut short, legends, tiles.

grey <- "#999999"
outcome_colour <- "#D55E00" # of a frame
first_colours <- c("#0072B2", "#E69F00") # as those of the engine, of Okabe and Ito (2008)
longest_name <- 24 # characters
names_in_legend <- 20 # of a column
most_numbers <- 20 # rows and columns of tiles at most that have numbers in them

# The inches that a plot asks for.
sized <- function(plot, width, height) {
  attr(plot, "inches") <- c(width = width, height = height)
  plot
}

row_inches <- function(names, each = 0.21) each * length(unique(names))

name_inches <- function(names) 0.085 * max(nchar(short_names(unique(as.character(names)))), 0)

legend_inches <- function(names) {
  ceiling(length(names) / names_in_legend) * (name_inches(names) + 0.5)
}

# Names with their middle cut out where they are long: they often differ at their ends. Those that
# would then look alike stay whole.
short_names <- function(names, longest = longest_name) {
  names <- as.character(names)
  tail <- (longest - 3) %/% 2
  cut <- paste0(
    substr(names, 1, longest - 3 - tail), "...", substring(names, nchar(names) - tail + 1)
  )
  cut <- ifelse(nchar(names) > longest, cut, names)
  different <- unique(data.frame(names, cut, stringsAsFactors = FALSE))
  alike <- different$cut[duplicated(different$cut)]
  ifelse(cut %in% alike, names, cut)
}

with_number <- function(names, numbers) {
  short <- stats::setNames(short_names(unique(names)), unique(names))
  paste0(short[names], " (", numbers, ")")
}

# A factor whose levels are in the order of the table.
in_order <- function(values) factor(values, unique(values))

plain_theme <- function() {
  ggplot2::theme_bw(base_size = 10) + ggplot2::theme(
    panel.grid = ggplot2::element_blank(), legend.text = ggplot2::element_text(size = 8),
    legend.key.size = ggplot2::unit(0.42, "cm"), plot.title = ggplot2::element_text(size = 10),
    plot.margin = ggplot2::margin(6, 14, 6, 6)
  )
}

axis_names <- function(x, y) ggplot2::labs(x = x, y = y)

names_below <- function() {
  ggplot2::scale_x_discrete(
    labels = short_names,
    guide = ggplot2::guide_axis(angle = 90, check.overlap = TRUE)
  )
}

names_beside <- function() {
  ggplot2::scale_y_discrete(
    labels = function(names) short_names(names, longest_name + 8),
    limits = rev, guide = ggplot2::guide_axis(check.overlap = TRUE)
  )
}

whole_breaks <- function(limits) unique(round(pretty(limits)))

# The colours that the engine gave, in the order of its table.
fill_of <- function(table, by) colour_scale(ggplot2::scale_fill_manual, table, by)

colours_of_lines <- function(table, by) colour_scale(ggplot2::scale_colour_manual, table, by)

colour_scale <- function(scale, table, by) {
  first <- table[!duplicated(table[[by]]), ]
  columns <- ceiling(nrow(first) / names_in_legend)
  scale(
    values = stats::setNames(first$colour, first[[by]]), breaks = as.character(first[[by]]),
    labels = function(names) short_names(names, longest_name + 8),
    guide = ggplot2::guide_legend(ncol = max(columns, 1))
  )
}

# A horizontal bar for each label, the first at the top, with its number of cells; values are
# shares.
bars <- function(table, value, what, line, colours) {
  cells <- ifelse(is.na(table$cells), 0, table$cells)
  table$text <- in_order(with_number(table$label, cells))
  plot <- ggplot2::ggplot(table, ggplot2::aes(.data[[value]], .data$text)) +
    ggplot2::geom_col(width = 0.8, fill = colours, na.rm = TRUE) +
    ggplot2::geom_vline(xintercept = line, colour = grey, linetype = "dashed") +
    names_beside() + ggplot2::scale_x_continuous(limits = c(0, 1), expand = c(0, 0)) +
    plain_theme() + ggplot2::labs(x = what, y = NULL)
  sized(plot, 4 + name_inches(table$text), max(3, row_inches(table$text) + 0.8))
}

# A column of a table as tiles, with numbers where there are few.
tiles <- function(table, value, columns, rows, what, limits = c(0, 1), numbers = "%.2f",
                  scale = NULL) {
  names <- list(unique(table[[columns]]), unique(table[[rows]]))
  few <- max(lengths(names)) <= most_numbers
  plot <- tile_layers(table, value, columns, rows, what, limits, scale)
  if (few) {
    written <- ifelse(is.finite(table[[value]]), sprintf(numbers, table[[value]]), "")
    light <- if (is.null(scale)) is_light(table[[value]], limits) else abs(table[[value]]) < 0.8
    plot <- plot + ggplot2::geom_text(
      ggplot2::aes(label = written, colour = light),
      size = 2.3
    ) + text_colours()
  }
  each <- if (few) 0.45 else 0.21
  sized(
    plot, max(3.5, row_inches(names[[1]], each)) + name_inches(names[[2]]) + 1.5,
    max(2.5, row_inches(names[[2]], each)) + name_inches(names[[1]]) + 0.8
  )
}

tile_layers <- function(table, value, columns, rows, what, limits, scale = NULL) {
  for (by in c(columns, rows)) table[[by]] <- in_order(table[[by]])
  scale <- scale %||% ggplot2::scale_fill_viridis_c(limits = limits)
  ggplot2::ggplot(table, ggplot2::aes(.data[[columns]], .data[[rows]], fill = .data[[value]])) +
    ggplot2::geom_tile() + scale + names_below() + names_beside() + plain_theme() +
    ggplot2::labs(fill = what)
}

# Is the colour of a value light, so that black can be read on it?
is_light <- function(values, limits = c(NA, NA)) {
  if (anyNA(limits)) limits <- ifelse(is.na(limits), range(values, finite = TRUE), limits)
  (values - limits[1]) / max(limits[2] - limits[1], 1e-12) > 0.6
}

text_colours <- function() {
  ggplot2::scale_colour_manual(
    values = c("TRUE" = "black", "FALSE" = "white"), guide = "none", na.value = "black"
  )
}
