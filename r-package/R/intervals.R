# Peaks and genes as they are sent to the engine. Positions of tables, BED files and names count
# from 0 and are half open; those of GRanges count from 1 and include both ends.

# Peak names as a list of strings, the path of a BED file, or a data set that holds peaks.
# How to read a data set, `feature_names` and `assay` say.
as_peaks <- function(x, feature_names = NULL, assay = NULL) UseMethod("as_peaks")

#' @export
as_peaks.default <- function(x, feature_names = NULL, assay = NULL) {
  if (length(dim(x)) == 2 || !(is.null(x) || is.atomic(x)) || is_data_path(x)) {
    if (!length(part_names(x))) assay <- NULL
    return(peaks_blocks(x, modality = assay, feature_names = feature_names))
  }
  abort(
    "InputError", "invalid_peaks",
    "Peaks are names such as chr1:10-20, not values of type ", typeof(x), "."
  )
}

#' @export
as_peaks.character <- function(x, ...) {
  if (!is_path(x)) return(strings(x))
  if (is_data_path(x)) as_peaks.default(x, ...) else as_utf8(path.expand(x))
}

#' @export
as_peaks.factor <- function(x, ...) strings(x)

#' @export
as_peaks.DeepScore <- function(x, ...) {
  model_bytes(x)
  strings(x$manifest$features)
}

#' @export
as_peaks.GenomicRanges <- function(x, ...) as_peaks(as_table_of(x))

#' @export
as_peaks.data.frame <- function(x, ...) {
  missing <- setdiff(c("chrom", "start", "end"), names(x))
  if (length(missing)) {
    abort(
      "InputError", "invalid_peaks",
      "The table of peaks has no column ", paste(missing, collapse = ", "), ". Expected chrom, ",
      "start and end (from 0, half open)."
    )
  }
  if (anyNA(x[c("chrom", "start", "end")])) {
    abort("InputError", "invalid_peaks", "Some chromosomes, starts or ends of peaks are missing.")
  }
  strings(paste0(x$chrom, ":", as_text(x$start), "-", as_text(x$end), recycle0 = TRUE))
}

# The name of a file that is there, or one string that looks like one and is no peak.
is_path <- function(x) {
  is_string(x) && !is.na(x) && (file.exists(x) || grepl("[./\\\\]", x) && !is_peak(x))
}

# What `datasets` lists: data sets of any kind, ranges, files, or one of them.
each_data_set <- function(x) {
  if (methods::is(x, "GRangesList")) return(as.list(x))
  if (is.character(x) && !any(is_peak(utils::head(x, 1000)))) return(as.list(x))
  if (is.list(x) && !is.object(x)) x else list(x)
}

# A gene annotation as the path of a file or as a table: lists of strings and the bytes of numbers.
# What tells the genes, their names and biotypes in it, the engine knows.
as_annotation <- function(x) UseMethod("as_annotation")

#' @export
as_annotation.default <- function(x) {
  if (is.null(x)) return(NULL)
  abort(
    "InputError", "annotation_format",
    "Cannot read genes from an object of class ", class(x)[1], ". Give the path of a GTF, GFF3 or ",
    "BED file, a data frame with the columns chrom, start, end, gene and strand, or a GRanges."
  )
}

#' @export
as_annotation.character <- function(x) one_path(x, "annotation")

#' @export
as_annotation.data.frame <- function(x) {
  read <- call_engine("read_of_table", strings(unique(as.character(x[["type"]]))))
  if (length(read$types)) x <- x[x[["type"]] %in% read$types, ]
  columns <- intersect(read$columns, names(x))
  columns <- lapply(stats::setNames(columns, columns), function(column) {
    if (column %in% c("start", "end")) as_bytes(x[[column]]) else strings(x[[column]])
  })
  named_list(columns)
}

#' @export
as_annotation.GenomicRanges <- function(x) as_annotation(as_table_of(x))

# A GRanges as a table with BED positions and all that is known of each range.
as_table_of <- function(x) {
  names(x) <- NULL # they need not be unique
  table <- as.data.frame(x)
  table$chrom <- as.character(table$seqnames)
  table$start <- table$start - 1L
  table
}

# Numbers as the bytes of float64; what is no number is refused by the engine, as NaN.
as_bytes <- function(x) {
  if (!is.numeric(x)) x <- suppressWarnings(as.double(as.character(x)))
  writeBin(as.double(x), raw(), endian = "little")
}

one_path <- function(x, what) {
  if (is_string(x) && !is.na(x)) return(as_utf8(path.expand(x)))
  abort("ConfigError", "bad_argument", "`", what, "` must be the path of one file.")
}

# Names of cells: given, or those of a data set.
as_cell_names <- function(cells) {
  if (is.null(cells)) return(NULL)
  if (is.factor(cells)) cells <- as.character(cells)
  names <- if (is.data.frame(cells)) rownames(cells) else cell_names(cells)
  if (is.character(cells)) names <- cells
  if (!is.null(names) && !anyNA(names)) return(names)
  abort(
    "InputError", "unknown_data",
    "`cells` must be the names of cells, or a data set whose cells have names."
  )
}
