#' Exchange Seurat objects and files of AnnData
#'
#' `seurat_to_h5ad()` writes an assay of a Seurat object, with its cells, as an `.h5ad` that scanpy
#' and all else in Python reads; `h5ad_to_seurat()` makes a Seurat object of such a file. The engine
#' reads and writes: there is no other converter, and nothing is rounded.
#'
#' @param x A Seurat object, of Seurat V4 or V5.
#' @param path The file. For `h5ad_to_seurat()` anything that the engine opens as a data set: see
#'   [deepscore-package].
#' @param assay `seurat_to_h5ad()`: the assay to write, by default the default one; the others are
#'   told. `h5ad_to_seurat()`: what the assay is to be called, by default as in the object that the
#'   file comes from; else `RNA`, `peaks` or `ADT`, by its features.
#' @param modality Of an `.h5mu`, the modality to read.
#'
#' @details
#' | Seurat | AnnData |
#' |---|---|
#' | counts | `X` |
#' | data, where it is not the counts | `layers["data"]`; `X` where there are no counts |
#' | metadata of cells, of the assay's features | `obs`, `var` |
#' | variable features, the best first | `var["highly_variable"]`, `var["highly_variable_rank"]` |
#' | reductions | `obsm["X_<name>"]`; their keys in `uns["seurat"]` |
#'
#' Factors stay factors, with their levels and their order; missing values stay missing; text,
#' whole numbers, numbers and truth values stay what they are. Dates become text and lists are left
#' out, both told. The layers of a Seurat 5 assay that is split are joined: a gene that a layer
#' lacks is zero for its cells, which is told. Identities that are no column of the metadata become
#' the column `ident`. Scaled data, loadings, graphs and images are not written.
#'
#' Of a file that comes from elsewhere, `X`, `layers["counts"]`, `layers["data"]` or
#' `layers["logcounts"]` and `.raw` become counts and data as the engine recognises them. Where `X`
#' is scaled, `.raw` is read in its place. What a Seurat object has no place for is told. Features
#' get names that Seurat allows.
#'
#' @return `seurat_to_h5ad()`: the path, invisibly. `h5ad_to_seurat()`: a Seurat object.
#' @section Errors: `unknown_data` for what is no Seurat object or no data set, `layer_not_found`
#'   for an assay that is not there, `path_not_writable`, `write_failed` (whatever was there is
#'   unchanged), `file_not_found`, `scaled_data` where a file has neither counts nor log-normalised
#'   values.
#' @examplesIf deepscore:::engine_available()
#' path <- file.path(tempdir(), "pbmc.h5ad")
#' seurat_to_h5ad(SeuratObject::pbmc_small, path)
#' h5ad_to_seurat(path)
#' @export
seurat_to_h5ad <- function(x, path, assay = NULL) {
  if (!inherits(x, "Seurat")) {
    abort("InputError", "unknown_data", "`x` must be a Seurat object, not a ", class(x)[1], ".")
  }
  path <- one_path(path, "path")
  name <- assay %||% SeuratObject::DefaultAssay(x)
  layers <- layers_to_write(x, name)
  cells <- layers[[1]]$cells
  tell_left_out(x, layers[[1]])
  tell_not_written(x, name)
  own <- part(x, name)
  features <- rownames(own)
  table <- with_identities(x, cell_data(x, cells), cells)
  reductions <- reductions_to_write(x, cells)
  call_engine(
    "write_h5ad", path, strings(cells), strings(features), lapply(layers, exact_layer),
    columns_to_write(table$columns), columns_to_write(own_features(own)),
    strings(SeuratObject::VariableFeatures(own) %||% character()), reductions,
    list(assay = name, identities = table$identities),
    verb = "seurat_to_h5ad"
  )
  invisible(path)
}

# Counts and data of an assay as blocks, as far as they are there; data that are the counts are not.
layers_to_write <- function(x, name) {
  known <- part_blocks(x, name, layer = NULL) # which refuses what is not there
  own <- part(x, name)
  filled <- intersect(c("counts", "data"), assay_layers(own))
  if (!length(filled)) return(stats::setNames(list(known), "data"))
  values <- lapply(filled, function(layer) unname(assay_matrices(own, layer)))
  if (length(filled) == 2 && identical(values[[1]], values[[2]])) filled <- "counts"
  layers <- lapply(stats::setNames(nm = filled), function(layer) part_blocks(x, name, layer))
  for (layer in names(layers)) tell_joined(layers[[layer]])
  same <- vapply(layers, function(layer) identical(layer$cells, layers[[1]]$cells), NA)
  if (!all(same)) {
    tell("Layer '", names(layers)[!same], "' has other cells than the counts and is not written.")
  }
  layers[same]
}

tell_joined <- function(blocks) {
  if (is.null(blocks$part_of)) return(invisible())
  lacking <- lengths(blocks$lacking)
  tell(
    blocks$source, ": the layers ", toString(names(lacking)), " are joined",
    if (any(lacking > 0)) {
      paste0("; features that one of them lacks are zero for its cells (up to ", max(lacking), ")")
    },
    "."
  )
}

tell_not_written <- function(x, name) {
  others <- setdiff(names(x@assays), name)
  own <- part(x, name)
  # Every layer of Seurat 5 that is neither counts nor data, and the scaled data of Seurat 4.
  layers <- setdiff(assay_layers(own), c("counts", "data"))
  layers <- layers[!grepl("^(counts|data)\\.", layers)]
  left <- c(
    if (length(others)) paste("the assays", toString(others)),
    if (length(layers)) paste("the layers", toString(layers)),
    if (length(x@graphs)) paste("the graphs", toString(names(x@graphs))),
    if (length(x@images)) paste("the images", toString(names(x@images)))
  )
  if (length(left)) {
    tell("Assay '", name, "' is written. Not written: ", paste(left, collapse = "; "), ".")
  }
}

# The table of cells, and which of its columns has the identities; they become one where none has.
with_identities <- function(x, table, cells) {
  identities <- unname(SeuratObject::Idents(x)[cells])
  same <- function(column) identical(as.character(column), as.character(identities))
  name <- names(table)[vapply(table, same, NA)][1]
  if (is.na(name)) {
    name <- utils::tail(make.unique(c(names(table), "ident")), 1)
    table[[name]] <- identities
  }
  list(columns = table, identities = name)
}

# The table of features of an assay, without what Seurat 5 keeps of the variable ones.
own_features <- function(assay) {
  table <- feature_table(assay)
  table[setdiff(names(table), c("var.features", "var.features.rank"))]
}

# The embeddings of all cells that are written, with their keys.
reductions_to_write <- function(x, cells) {
  found <- list()
  for (name in names(x@reductions)) {
    reduction <- x@reductions[[name]]
    values <- SeuratObject::Embeddings(reduction)
    if (!all(cells %in% rownames(values))) {
      tell("The reduction '", name, "' lacks some of the cells and is not written.")
      next
    }
    deviations <- SeuratObject::Stdev(reduction)
    found[[name]] <- list(
      values = writeBin(as.vector(t(values[cells, , drop = FALSE])), raw()),
      facts = list(
        key = SeuratObject::Key(reduction), assay = SeuratObject::DefaultAssay(reduction),
        stdev = if (length(deviations)) as.list(deviations), global = reduction@global
      )
    )
  }
  named_list(found)
}

# The values of a layer for Python in double precision.
exact_layer <- function(blocks) {
  read <- function(start, stop) {
    slice <- blocks$slices(start, stop)
    list(p = writeBin(slice$p, raw()), i = writeBin(slice$i, raw()), x = writeBin(slice$x, raw()))
  }
  list(features = strings(blocks$features), nnz = blocks$nnz, read = tidy_reader(read))
}

columns_to_write <- function(table) {
  columns <- lapply(stats::setNames(nm = names(table)), function(name) {
    column_to_write(plain_column(table[[name]]))
  })
  left_out <- names(columns)[vapply(columns, is.null, NA)]
  if (length(left_out)) {
    tell("Columns that hold no single values are not written: ", toString(left_out), ".")
  }
  dated <- names(table)[vapply(table, is_dated, NA)]
  if (length(dated)) tell("Dates and times are written as text: ", toString(dated), ".")
  named_list(Filter(Negate(is.null), columns))
}

is_dated <- function(values) inherits(values, c("Date", "POSIXt", "difftime"))

plain_column <- function(values) {
  if (is_dated(values)) return(as.character(values))
  if (inherits(values, "AsIs")) class(values) <- setdiff(class(values), "AsIs")
  values
}

column_to_write <- function(values) {
  if (!is.atomic(values) || length(dim(values)) > 1) return(NULL)
  if (is.factor(values)) {
    return(list(
      kind = "factor", values = strings(values), levels = strings(levels(values)),
      ordered = is.ordered(values)
    ))
  }
  values <- as.vector(unname(values))
  switch(typeof(values),
    character = list(kind = "character", values = strings(values)),
    logical = list(kind = "logical", values = writeBin(as.integer(values), raw())),
    integer = list(kind = "integer", values = writeBin(values, raw())),
    double = list(kind = "double", values = writeBin(values, raw()))
  )
}

#' @rdname seurat_to_h5ad
#' @export
h5ad_to_seurat <- function(path, assay = NULL, modality = NULL) {
  path <- one_path(path, "path")
  modality <- plain_value(modality, "modality")
  if (!is.null(assay)) check_assay_name(assay)
  read <- call_engine("read_h5ad", path, modality, verb = "h5ad_to_seurat")
  cells <- different_names(as.character(read$cells), "cells")
  given <- as.character(read$features)
  features <- different_names(features_of_seurat(given), "features")
  layers <- lapply(read$layers, function(layer) {
    values <- as_counts(layer, cells)
    rownames(values) <- features
    values
  })
  name <- assay %||% read$assay
  own <- with_features(new_assay(layers), read, given, features)
  SeuratObject::Key(own) <- paste0(tolower(gsub("[^A-Za-z0-9]", "", name)), "_")
  if (is.null(layers$counts)) { # Seurat 5 would look for them, to add them up
    before <- options(Seurat.object.assay.calcn = FALSE)
    on.exit(options(before))
  }
  object <- SeuratObject::CreateSeuratObject(own, assay = name)
  object@meta.data <- with_columns(object@meta.data, as_frame(read$obs, cells))
  if (!is.null(read$identities)) {
    SeuratObject::Idents(object) <- stats::setNames(object@meta.data[[read$identities]], cells)
  }
  for (one in names(read$reductions)) {
    object[[one]] <- as_reduction(one, read$reductions[[one]], cells, name)
  }
  object
}

# An assay of the class that Seurat makes by itself. Of Seurat 4 it has data, too: the counts.
new_assay <- function(layers) {
  if (utils::packageVersion("SeuratObject") >= "5" &&
    identical(getOption("Seurat.object.assay.version", "v5"), "v5")) {
    return(do.call(seurat_object("CreateAssay5Object"), layers))
  }
  own <- do.call(SeuratObject::CreateAssayObject, layers[1])
  if (length(layers) == 2) methods::slot(own, "data") <- layers$data
  own
}

with_features <- function(own, read, given, features) {
  table <- as_frame(read$var, features)
  if (methods::is(own, "Assay")) {
    own@meta.features <- table
  } else {
    for (name in names(table)) {
      own <- SeuratObject::AddMetaData(own, stats::setNames(table[[name]], features), name)
    }
  }
  variable <- features[match(as.character(read$variable), given)]
  if (length(variable)) SeuratObject::VariableFeatures(own) <- variable
  own
}

# The table of a new object with the columns of the file, which come first.
with_columns <- function(computed, table) {
  cbind(table, computed[setdiff(names(computed), names(table))])
}

as_reduction <- function(name, read, cells, assay) {
  values <- matrix(
    as_doubles(read$values),
    ncol = read$dimensions, byrow = TRUE, dimnames = list(cells, NULL)
  )
  key <- read$facts$key %||% reduction_key(name)
  colnames(values) <- paste0(key, seq_len(ncol(values)))
  SeuratObject::CreateDimReducObject(
    values,
    key = key, assay = assay, stdev = as.numeric(unlist(read$facts$stdev)),
    global = isTRUE(read$facts$global)
  )
}

# As Seurat itself names the dimensions of well-known reductions.
reduction_key <- function(name) {
  known <- c(pca = "PC_", umap = "UMAP_", tsne = "tSNE_", lsi = "LSI_", ica = "IC_")
  if (name %in% names(known)) return(known[[name]])
  paste0(sub("^([0-9])", "r\\1", gsub("[^A-Za-z0-9]", "", name)), "_")
}

as_frame <- function(columns, rows) {
  table <- data.frame(row.names = rows)
  for (name in names(columns)) table[[name]] <- as_column(columns[[name]])
  table
}

as_column <- function(column) {
  texts <- function(values) {
    values <- as.list(values)
    values[lengths(values) == 0] <- NA
    as.character(unlist(values))
  }
  integers <- function(bytes) readBin(as_raw(bytes), "integer", length(as_raw(bytes)) / 4)
  switch(column$kind,
    factor = factor(texts(column$values), texts(column$levels), ordered = column$ordered),
    character = texts(column$values),
    logical = as.logical(integers(column$values)),
    integer = integers(column$values),
    double = as_doubles(column$values)
  )
}

# Seurat has no _ and | in names of features.
features_of_seurat <- function(names) {
  changed <- gsub("[_|]", "-", names)
  if (!identical(changed, names)) {
    first <- which(changed != names)[1]
    tell(
      sum(changed != names), " names of features have a '-' in the place of '_' or '|', such as ",
      changed[first], "."
    )
  }
  changed
}

different_names <- function(names, what) {
  if (!anyDuplicated(names)) return(names)
  tell(sum(duplicated(names)), " names of ", what, " occur more than once and get a number.")
  make.unique(names)
}
