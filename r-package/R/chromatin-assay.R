# Assays of Signac (ChromatinAssay, and ChromatinAssay5 of Signac 2): an assay of peaks that knows
# where the genes are and which fragments files its cells are from. Signac need not be installed:
# its slots are attributes.

own_slot <- function(assay, name) {
  value <- if (isS4(assay)) attr(assay, name, exact = TRUE)
  if (is.symbol(value)) NULL else value # how a slot holds NULL
}

own_annotation <- function(assay) {
  ranges <- own_slot(assay, "annotation")
  if (!is.null(ranges)) requireNamespace("GenomicRanges", quietly = TRUE) # which reads them
  ranges
}

# The fragments files of an assay: of each its path, the cells that it holds, their barcodes there,
# which have other names where the cells were renamed, and its own names of chromosomes, if it has.
own_fragments <- function(assay, cells) {
  files <- lapply(own_slot(assay, "fragments"), function(fragments) {
    barcodes <- own_slot(fragments, "cells") %||% cells
    names(barcodes) <- names(barcodes) %||% barcodes
    barcodes <- barcodes[names(barcodes) %in% cells]
    list(
      path = own_slot(fragments, "path") %||% own_slot(fragments, "file.path"),
      cells = names(barcodes), barcodes = unname(barcodes),
      chromosomes = own_slot(fragments, "seqlevels")
    )
  })
  Filter(function(file) length(file$cells) > 0, files)
}

# An annotation with the names that chromosomes have in a file.
annotation_of_file <- function(annotation, chromosomes) {
  if (is.null(chromosomes)) return(annotation)
  table <- as_table_of(annotation)
  renamed <- table$chrom %in% names(chromosomes)
  table$chrom[renamed] <- chromosomes[table$chrom[renamed]]
  table
}

# Can the files be read? Objects are moved from machine to machine, and their files are not.
are_there <- function(files) {
  paths <- vapply(files, `[[`, "", "path")
  missing <- paths[!file.exists(paths)]
  if (length(missing)) {
    rlang::warn(
      printable(paste0(
        "The fragments file ", missing[1], " of the assay is not there, so that peaks are summed, ",
        "which is less exact. Where the file is now: give its path as `x`, with `cells`."
      )),
      class = "deepscore_warning"
    )
  }
  length(files) > 0 && !length(missing)
}

# Counts of each file (`count` takes one and returns features x cells), brought together: features
# x cells. A cell of two files has the sum of both.
count_files <- function(files, cells, count) {
  missing <- setdiff(cells, unlist(lapply(files, `[[`, "cells")))
  if (length(missing)) {
    rlang::warn(
      printable(paste0(
        length(missing), " of ", length(cells), " cells are in no fragments file of the assay and ",
        "have no counts, such as ", missing[1], "."
      )),
      class = "deepscore_warning"
    )
  }
  counts <- do.call(cbind, lapply(files, count))
  belongs <- Matrix::sparseMatrix(
    i = seq_len(ncol(counts)), j = match(colnames(counts), cells),
    x = 1, dims = c(ncol(counts), length(cells)), dimnames = list(NULL, cells)
  )
  methods::as(counts %*% belongs, "CsparseMatrix")
}

# A new assay of peaks of the class of another one, whose annotation and fragments it keeps.
as_chromatin_assay <- function(assay, like) {
  of_version_2 <- methods::is(like, "ChromatinAssay5")
  if (!of_version_2 && !methods::is(like, "ChromatinAssay")) return(assay)
  if (of_version_2) assay <- methods::as(assay, "Assay5")
  kept <- intersect(c("annotation", "fragments", "seqinfo"), methods::slotNames(like))
  slots <- lapply(stats::setNames(kept, kept), function(name) methods::slot(like, name))
  if ("ranges" %in% methods::slotNames(like)) {
    names <- sub("^(.*)[:-]([0-9]+-[0-9]+)$", "\\1:\\2", rownames(assay))
    slots$ranges <- methods::as(names, class(like@ranges))
  }
  do.call(methods::new, c(list(class(like), assay), slots))
}
