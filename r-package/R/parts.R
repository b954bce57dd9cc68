# Parts of a data set that holds several kinds of features of the same cells: the assays of a Seurat
# object, the alternative experiments of a SingleCellExperiment, the matrices of Read10X().

part_names <- function(x) UseMethod("part_names")

#' @export
part_names.default <- function(x) character()

#' @export
part_names.Seurat <- function(x) unique(c(SeuratObject::DefaultAssay(x), names(x@assays)))

#' @export
part_names.SingleCellExperiment <- function(x) SingleCellExperiment::altExpNames(x)

# Matrices named as 10x Genomics names kinds of features; other lists are several data sets.
#' @export
part_names.list <- function(x) if (is_kinds(x)) names(x) else character()

is_kinds <- function(x) {
  is.list(x) && !is.object(x) && length(x) > 0 && length(names(x)) > 0 &&
    all(grepl("^(Gene Expression|Peaks|Custom|[A-Za-z ]+ Capture)$", names(x)))
}

part <- function(x, name) UseMethod("part")

#' @export
part.Seurat <- function(x, name) x@assays[[name]] # x[[name]] may be a column

#' @export
part.SingleCellExperiment <- function(x, name) SingleCellExperiment::altExp(x, name)

#' @export
part.list <- function(x, name) x[[name]]

# The part to read of a data set with several: the default one, unless `modality` is another's.
choose_part <- function(x, modality) {
  names <- part_names(x)
  if (is.null(modality) || length(names) < 2) return(names[1])
  features <- lapply(names, function(name) strings(some_names(part(x, name))))
  call_engine("choose_part", strings(names), features, modality)
}

# The assay that corrected values were computed from, by SCTransform or an integration, where it is
# there: models are of counts.
origin_of <- function(x, name) {
  assay <- part(x, name)
  known <- setdiff(part_names(x), name)
  from <- unlist(lapply(attr(assay, "SCTModel.list"), attr, "umi.assay"))
  if (is.null(from) && is_corrected(assay)) {
    from <- Filter(function(other) {
      "counts" %in% assay_layers(part(x, other)) &&
        all(rownames(assay) %in% rownames(part(x, other)))
    }, known)
  }
  if (is.null(from)) return(name)
  found <- intersect(from, known)
  if (length(found)) {
    if (length(found) > 1) found <- rna_first(found)
    tell("Assay '", found[1], "' is read, not '", name, "', whose values are corrected.")
    return(found[1])
  }
  tell("Assay '", name, "' holds corrected values; the counts that they came from are not there.")
  name
}

# Without counts, and with values that no logarithm of counts has.
is_corrected <- function(assay) {
  layers <- assay_layers(assay)
  if (!length(layers) || "counts" %in% layers) return(FALSE)
  !"data" %in% layers || any(vapply(assay_matrices(assay, "data"), has_negative, NA))
}

# Of matrices on disk, a thousand cells are read at a time.
has_negative <- function(x) {
  if (is.matrix(x) || methods::is(x, "Matrix")) return(min(x) < 0)
  slices <- dense_slices(x)
  for (start in seq(0, ncol(x) - 1, by = 1000)) {
    if (any(slices(start, min(start + 1000, ncol(x)))$x < 0)) return(TRUE)
  }
  FALSE
}

part_blocks <- function(x, name, layer = NULL, modality = NULL) {
  if (!is.atomic(name)) refuse_object(name, "The name of an assay")
  known <- part_names(x)
  if (!is_string(name) || !name %in% known) {
    abort(
      "InputError", "layer_not_found",
      "The data set has no assay ", paste0("'", name, "'", collapse = ", "), ". Assays: ",
      if (length(known)) paste(known, collapse = ", ") else "none", "."
    )
  }
  where <- paste0("assay '", name, "', ")
  blocks <- as_blocks(part(x, name), layer, modality)
  if (!startsWith(blocks$source, where)) blocks$source <- paste0(where, blocks$source)
  blocks$assay <- blocks$read_from <- name
  blocks
}

# Does a data set, or a part of one, hold peaks?
holds_peaks <- function(x) {
  identical(call_engine("modality_of_names", strings(some_names(x))), "peaks")
}

# A thousand names of features, which tell what they are.
some_names <- function(x) {
  names <- rownames(x) %||% character()
  names[unique(round(seq(1, length(names), length.out = min(length(names), 1000))))]
}

# A part of a data set, or, without a name, the data set itself.
as_part_blocks <- function(x, name, ...) {
  if (is.null(name)) as_blocks(x, ...) else part_blocks(x, name, ...)
}

is_peak <- function(names) as.logical(call_engine("are_peaks", strings(names)))

# Peaks: the part that `modality` names, else the default assay of a Seurat object (or the main
# experiment) if it holds peaks, or the first part that does.
peaks_blocks <- function(x, layer = NULL, modality = NULL, feature_names = NULL) {
  x <- data_set(x, layer, modality %||% "peaks", feature_names)
  name <- peaks_part_name(x, modality)
  blocks <- as_part_blocks(x, name, layer, "peaks")
  tell_left_out(x, blocks)
  named_by(blocks, feature_names)
}

peaks_part <- function(x, modality = NULL) {
  name <- peaks_part_name(x, modality)
  if (is.null(name)) x else part(x, name)
}

peaks_part_name <- function(x, modality) {
  names_part <- !is.null(modality) && length(part_names(x)) && !identical(modality, "peaks")
  if (names_part || is_string(modality) && modality %in% part_names(x)) return(modality)
  if (inherits(x, "Seurat") || !holds_peaks(x)) first_part(x, holds_peaks)
}

first_part <- function(x, has, names = part_names(x)) {
  Find(function(name) has(part(x, name)), names)
}

# The RNA and the ATAC of a multiome, and the data set whose table of cells `batch` may name.
multiome_halves <- function(x, layer, rna_assay, atac_assay, feature_names = NULL,
                            atac_layer = NULL, atac_feature_names = NULL) {
  open <- list(
    rna = function(x, ...) data_set(x, layer, ..., feature_names = feature_names),
    atac = function(x, ...) data_set(x, atac_layer, ..., feature_names = atac_feature_names)
  )
  halves <- if (is_string(x)) {
    rna <- open$rna(x, "rna")
    list(rna = rna, atac = open$atac(x, "peaks"), cells = rna)
  } else {
    halves_of(x, layer, atac_layer, rna_assay, atac_assay, open)
  }
  halves$rna <- named_by(halves$rna, feature_names)
  halves$atac <- named_by(halves$atac, atac_feature_names)
  halves
}

# `open` opens halves that are paths.
halves_of <- function(x, layer, atac_layer, rna_assay, atac_assay, open) {
  if (is_kinds(x)) x <- list(rna = x[["Gene Expression"]], atac = x[["Peaks"]])
  atac_assay <- atac_assay %||% first_part(x, holds_peaks)
  if (inherits(x, "Seurat")) {
    rna_assay <- rna_assay %||% first_part(x, function(a) !holds_peaks(a), rna_first(part_names(x)))
    require_halves(rna_assay, atac_assay, part_names(x))
  }
  if (!is.null(atac_assay) || !is.null(rna_assay) && length(part_names(x))) {
    rna <- as_part_blocks(x, rna_assay, layer)
    return(list(rna = rna, atac = as_part_blocks(x, atac_assay, atac_layer), cells = x))
  }
  if (length(dim(x)) != 2 || is.data.frame(x)) return(pair_halves(x, layer, atac_layer, open))
  atac <- only(as_blocks(x, atac_layer), "peaks")
  list(rna = only(as_blocks(x, layer), "rna"), atac = atac, cells = x)
}

# Of genes and peaks in one matrix, those of one modality: the engine tells them apart.
only <- function(blocks, modality) {
  blocks$modality <- modality
  blocks
}

pair_halves <- function(x, layer, atac_layer, open) {
  if (!is.list(x) || is.object(x) || length(x) != 2) {
    abort(
      "InputError", "unknown_data",
      "A multiome is a Seurat object with two assays, or list(rna = , atac = ) of two data sets."
    )
  }
  names(x) <- tolower(names(x) %||% c("rna", "atac"))
  if (!setequal(names(x), c("rna", "atac"))) {
    abort(
      "InputError", "unknown_data", "The halves of a multiome are named rna and atac, not ",
      paste(names(x), collapse = " and "), "."
    )
  }
  x <- Map(function(half, open) open(half), x[c("rna", "atac")], open)
  list(rna = as_blocks(x$rna, layer), atac = as_blocks(x$atac, atac_layer), cells = x$rna)
}

rna_first <- function(names) unique(c(call_engine("first_part", strings(names), "rna"), names))

require_halves <- function(rna_assay, atac_assay, known) {
  missing <- c(if (is.null(rna_assay)) "rna_assay", if (is.null(atac_assay)) "atac_assay")
  if (!length(missing)) return(invisible())
  abort(
    "InputError", "modality_required",
    "A multiome needs an assay of genes and one of peaks. Name them with ",
    paste0("`", missing, "`", collapse = " and "), ". Assays: ", paste(known, collapse = ", "), "."
  )
}
