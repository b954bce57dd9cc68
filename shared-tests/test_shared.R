# Run the shared cases through the public R API, on Seurat objects and on dgCMatrix. test_shared.py is the twin.

testthat::local_edition(3)
library(deepscore)
source("shared_data.R")

archived <- "models/v1/toy_rna.deepscore"
# Where a case does not care, training is short.
short <- list(hidden_nodes = 4, epochs = 2)
tolerance <- 1e-5
cases <- read_cases()
known_differences <- read_json("known_differences.json")

# JSON arrays are vectors in R.
as_arguments <- function(values) {
  lapply(values, function(x) if (!is.list(x)) x else if (length(x)) unlist(x) else character())
}

# One case, ready to run: the objects of the caller. NULL where the container cannot hold its data.
make_call <- function(case, container, folder) {
  specs <- if (is.null(names(case$query))) case$query else list(case$query)
  data <- lapply(c(if (!is.null(case$reference)) list(case$reference), specs), read_fixture)
  objects <- lapply(data, make_container, container)
  if (any(vapply(objects, is.null, NA))) return(NULL)
  has_reference <- !is.null(case$reference)
  args <- as_arguments(case$args)
  if ("labels" %in% names(case)) args["labels"] <- list(make_labels(case$labels, data[[1]]))
  made <- lapply(case$objects, make_object, container, folder)
  if (any(vapply(made, is.null, NA))) return(NULL)
  if (container == "dgCMatrix") args <- columns_as_values(args, case)
  call <- list(
    case = case, args = args, folder = folder, path = make_path(case, folder), objects = made,
    reference = if (has_reference) objects[[1]],
    queries = if (has_reference) objects[-1] else objects
  )
  made <- listening(make_ds(call))
  call$ds <- made$value
  call$warnings <- made$warnings
  call
}

# What a case says of an argument: data sets, names, a file, a table, a model, or several of them.
make_object <- function(spec, container, folder) {
  if (is.null(names(spec))) return(lapply(spec, make_object, container, folder))
  if (!is.null(spec$fixture)) return(make_container(read_fixture(spec), container))
  if (!is.null(spec$rna)) return(make_multiome(read_fixture(spec$rna), read_fixture(spec$atac), container))
  if (!is.null(spec$file)) return(make_file(spec, folder))
  if ("model" %in% names(spec)) return(if (is.null(spec$model)) DeepScore() else load_model(spec$model))
  if (!is.null(spec$table)) return(as.data.frame(as_arguments(spec$table)))
  if (!is.null(spec$lists)) return(as_arguments(spec$lists))
  as.character(unlist(spec$names))
}

make_file <- function(spec, folder) {
  path <- file.path(folder, spec$file)
  if (isTRUE(spec$missing)) return(path)
  source <- file.path("fixtures", spec$file)
  content <- readBin(source, "raw", file.size(source))
  writeBin(if (is.null(spec$change)) content else change_file(content, spec$change), path)
  path
}

# A bare matrix has no columns to name: give the values of the data set that an argument describes.
columns_as_values <- function(args, case) {
  data <- Find(Negate(is.null), list(case$reference, case$query))
  described <- list(labels = data, batch = data, groups = data)
  objects <- case$objects
  first <- function(...) Find(Negate(is.null), list(...))
  if (is.null(data)) {
    described <- list(
      labels = first(objects$rna_model, objects$data, objects$reference), query_labels = objects$query,
      batch = objects$multiome$rna
    )
  }
  for (name in intersect(names(args), names(described))) {
    value <- args[[name]]
    if (!is.character(value) || length(value) != 1 || is.null(described[[name]])) next
    cells <- read_fixture(described[[name]])$cells
    if (value %in% names(cells)) args[[name]] <- cells[[value]]
  }
  args
}

# Bring the model to where the verb of the case begins; an error on the way is raised by the verb.
make_ds <- function(call) {
  case <- call$case
  if (case$verb %in% c("annotate", "report", "save")) {
    model <- if ("model" %in% names(case)) case$model else archived
    return(if (is.null(model)) DeepScore() else load_model(model))
  }
  if (!case$verb %in% c("set_reference", "train", "select_model")) return(NULL)
  config <- utils::modifyList(short, as_arguments(case$config))
  ds <- tryCatch(do.call(DeepScore, config), deepscore_error = identity)
  if (case$verb != "set_reference" && !is.null(call$reference)) ds <- set_the_reference(ds, call)
  ds
}

set_the_reference <- function(ds, call) {
  if (inherits(ds, "condition")) rlang::cnd_signal(ds)
  do.call(set_reference, c(list(ds, call$reference), call$args))
}

# A table of cells, in which a value may be missing.
as_cells <- function(columns) {
  data.frame(lapply(columns, function(x) {
    x <- as.list(x)
    x[lengths(x) == 0] <- NA
    unlist(x)
  }), check.names = FALSE)
}

# Lay out the file that a case reads or the place where it saves.
make_path <- function(case, folder) {
  path <- file.path(folder, "model.deepscore")
  if (!is.null(case$file) && !isTRUE(case$file$missing)) {
    source <- if (is.null(case$file$of)) archived else case$file$of
    content <- readBin(source, "raw", file.size(source))
    if (!is.null(case$file$change)) content <- change_file(content, case$file$change)
    writeBin(content, path)
  }
  place <- case$path
  if (!is.null(place$existing)) cat(place$existing, file = path)
  if (isTRUE(place$folder)) {
    dir.create(path)
    cat("kept", file = file.path(path, "notes.txt"))
  }
  if (is.null(place$below)) return(path)
  file.path(if (place$below == "existing") path else file.path(folder, place$below), "model.deepscore")
}

verbs <- list(
  DeepScore = function(call) do.call(DeepScore, as_arguments(call$case$config)),
  find_common_features = function(call) {
    query <- if (is.null(names(call$case$query))) call$queries else call$queries[[1]]
    do.call(find_common_features, c(list(call$reference, query), call$args))
  },
  check_reference = function(call) {
    query <- if (length(call$queries)) list(query = call$queries[[1]])
    do.call(check_reference, c(list(call$reference), query, call$args))
  },
  set_reference = function(call) set_the_reference(call$ds, call),
  train = function(call) {
    args <- utils::modifyList(list(progress = FALSE), as_arguments(call$case$train))
    do.call(train, c(list(call$ds), args))
  },
  select_model = function(call) {
    args <- utils::modifyList(list(progress = FALSE), as_arguments(call$case$train))
    do.call(select_model, c(list(call$ds), args))
  },
  annotate = function(call) {
    query <- call$queries[[1]]
    # An annotation whose columns are there already; a bare matrix has no place for them.
    earlier <- if (inherits(query, "Seurat")) as_arguments(call$case$earlier)
    if (length(earlier)) query <- do.call(annotate, c(list(call$ds, query), earlier))
    do.call(annotate, c(list(call$ds, query), call$args, call$objects))
  },
  # Cells that the case lists, data sets or objects.
  plot = function(call) {
    cells <- call$case$cells
    given <- if (is.null(cells)) call$queries else list(as_cells(cells))
    do.call(getExportedValue("deepscore", paste0("plot_", call$case$plot)), c(given, call$objects, call$args))
  },
  report = function(call) {
    query <- call$queries[[1]]
    annotated <- if (isFALSE(call$case$annotated)) query else annotate(call$ds, query)
    page <- withr::local_tempfile(fileext = ".html")
    do.call(report, c(list(annotated, call$ds, page), call$args, call$objects))
    paste(readLines(page, encoding = "UTF-8"), collapse = "\n")
  },
  load = function(call) load_model(call$path),
  inspect = function(call) inspect_model(call$path),
  save = function(call) save_model(call$ds, call$path)
)

# The value of an expression, and the warnings on the way.
listening <- function(expression) {
  warnings <- character()
  value <- withCallingHandlers(
    expression,
    warning = function(w) {
      warnings <<- c(warnings, conditionMessage(w))
      rlang::cnd_muffle(w)
    },
    message = function(m) rlang::cnd_muffle(m)
  )
  list(value = value, warnings = warnings)
}

# The value or the error of a verb, and all warnings. Where nothing is said of a verb here, its arguments are all
# named in the case.
run <- function(call) {
  verb <- verbs[[call$case$verb]]
  if (is.null(verb)) {
    verb <- function(call) do.call(getExportedValue("deepscore", call$case$verb), c(call$objects, call$args))
  }
  found <- listening(tryCatch(verb(call), deepscore_error = identity))
  found$warnings <- c(call$warnings, found$warnings)
  found
}

# Everything the caller holds, to compare before and after.
state <- function(call) {
  files <- list.files(call$folder, recursive = TRUE, full.names = TRUE, all.files = TRUE)
  contents <- lapply(files, function(file) readBin(file, "raw", file.size(file)))
  list(serialize(call[c("reference", "queries", "objects", "ds", "args")], NULL), files, contents)
}

# What only Python, or only the command line, calls so.
python_words <- paste(
  "(?<!')\\bNone\\b(?! of)", "\\b(True|False|AnnData|adata|mdata|dtype|DataFrame|Series)\\b", "[.](obs|var|uns|obsm|raw|X|astype)\\b",
  "\\b(obs|var)_names", "\\bds[.][a-z_]+\\(", "\\b[a-z_]+=['0-9]", "\\b[a-z]+_[a-z_]+=(?![=])", "--[a-z]", "''",
  sep = "|"
)

expect_speaks_r <- function(messages) {
  testthat::expect_identical(grep(python_words, messages, perl = TRUE, value = TRUE), character())
}

check_error <- function(found, expect) {
  testthat::expect_s3_class(found, paste0("deepscore_error_", expect$error))
  if (!inherits(found, "condition")) return()
  testthat::expect_identical(found$code, expect$error)
  expect_speaks_r(conditionMessage(found))
  for (part in expect$message) testthat::expect_match(conditionMessage(found), part, fixed = TRUE)
}

check_value <- function(call, found, expect, container) {
  if (inherits(found, "condition")) rlang::cnd_signal(found)
  if (!is.null(expect$values)) found <- check_counts(call, found, expect, container)
  if (!is.null(expect$recovers)) check_recovery(call, found, expect$recovers)
  if (!is.null(expect$features)) {
    wanted <- unlist(expect$features)
    if (container == "Seurat") wanted <- in_seurat(wanted)
    put <- if (isFALSE(expect$ordered)) sort else identity
    testthat::expect_identical(put(found), put(wanted))
  }
  check_figures(found, expect)
  for (part in expect$page) testthat::expect_true(grepl(part, found, fixed = TRUE), label = part)
  if (!is.null(expect$calls)) check_annotation(call$queries[[1]], found, expect)
  if (!is.null(expect$check)) check_check(found, expect$check)
  for (column in names(expect[["table"]])) { # `$table` would find `tables`, too
    values <- found$data[[column]]
    wanted <- unlist(expect[["table"]][[column]])
    if (is.factor(values)) values <- as.character(values)
    testthat::expect_equal(values, wanted, tolerance = 1e-5, label = column)
  }
  if (!is.null(expect$manifest)) check_manifest(found, expect)
  if (!is.null(expect$same_weights_with_labels)) {
    call$args$labels <- read_fixture(call$case$reference)$cells[[expect$same_weights_with_labels]]
    other <- listening(train(set_the_reference(do.call(DeepScore, short), call), progress = FALSE))$value
    testthat::expect_identical(other$manifest$content_sha256, found$manifest$content_sha256)
  }
  if (isTRUE(expect$saved)) {
    testthat::expect_identical(load_model(call$path)$manifest, call$ds$manifest)
    testthat::expect_identical(list.files(call$folder, all.files = TRUE, no.. = TRUE), basename(call$path))
  }
}

# Counts of features x cells: a matrix, or the default assay of a Seurat object. Returns the names of the features.
check_counts <- function(call, found, expect, container) {
  data <- Find(Negate(is.character), call$objects)
  if (inherits(found, "Seurat")) {
    assay <- found[[SeuratObject::DefaultAssay(found)]]
    if (!is.null(expect$covered)) testthat::expect_identical(assay[[]]$covered, unlist(expect$covered))
    found <- assay@counts
  }
  testthat::expect_s4_class(found, "dgCMatrix")
  wanted <- do.call(rbind, lapply(expect$values, unlist))
  testthat::expect_equal(unname(as.matrix(found)), wanted)
  cells <- if (is.null(call$objects$cells)) colnames(data) else call$objects$cells
  testthat::expect_identical(colnames(found), cells)
  rownames(found)
}

# Annotate a data set with the model that came out, and compare with the truth.
check_recovery <- function(call, ds, expect) {
  data <- read_fixture(expect$query)
  query <- data$x
  if (!is.null(expect$annotation)) {
    query <- suppressMessages(gene_activity(query, make_file(expect$annotation, withr::local_tempdir())))
  }
  found <- listening(annotate(ds, query))$value
  testthat::expect_gt(mean(found$deepscore == data$cells[[expect$labels]]), expect$least)
}

check_check <- function(found, expect) {
  for (column in intersect(c("cells", "tested", "trusted"), names(expect))) {
    values <- stats::setNames(found$labels[[column]], found$labels$label)
    testthat::expect_equal(as.list(values), expect[[column]])
  }
  if (!is.null(expect$confusable)) {
    pairs <- paste(found$confusable$label, found$confusable$taken_for)
    testthat::expect_identical(sort(pairs), vapply(expect$confusable, paste, "", collapse = " "))
  }
  overlap <- expect$overlap
  if (!is.null(overlap)) overlap$share <- overlap$found / overlap$features
  testthat::expect_equal(found$overlap, overlap)
  if (!is.null(expect$design)) testthat::expect_identical(found$design, expect$design)
  for (part in expect$words) testthat::expect_match(paste(found$words, collapse = "\n"), part, fixed = TRUE)
}

# Tables (rows of some labels, some columns; "" is the result itself), named matrices, and numbers.
check_figures <- function(found, expect) {
  for (i in seq_along(expect$tables)) {
    name <- names(expect$tables)[i]
    table <- if (nzchar(name)) found[[name]] else found
    testthat::expect_s3_class(table, "data.frame")
    table <- table[table$label %in% unlist(expect$tables[[i]]$label), ]
    for (column in names(expect$tables[[i]])) {
      testthat::expect_equal(table[[column]], unlist(expect$tables[[i]][[column]]), tolerance = 1e-4)
    }
  }
  for (name in names(expect$matrices)) {
    wanted <- expect$matrices[[name]]
    testthat::expect_identical(unname(dimnames(found[[name]])), list(unlist(wanted$rows), unlist(wanted$columns)))
    values <- do.call(rbind, lapply(wanted$values, unlist))
    testthat::expect_equal(unname(found[[name]]), values, tolerance = 1e-4)
  }
  for (name in names(expect$numbers)) {
    value <- if (is.null(found[[name]])) found$overall[[name]] else found[[name]]
    testthat::expect_equal(value, expect$numbers[[name]], tolerance = 1e-4)
  }
}

check_annotation <- function(query, found, expect) {
  cells <- if (inherits(found, "Seurat")) found[[]] else found
  if (!is.null(expect$tolerance)) tolerance <- expect$tolerance
  texts <- c(calls = "", raw = "_raw", reasons = "_reason", groups = "_group")
  for (key in intersect(names(texts), names(expect))) {
    testthat::expect_identical(cells[[paste0("deepscore", texts[key])]], unlist(expect[[key]]))
  }
  numbers <- c(scores = "_score", group_shares = "_group_share")
  for (key in intersect(names(numbers), names(expect))) {
    found_numbers <- cells[[paste0("deepscore", numbers[key])]]
    testthat::expect_lte(max(abs(found_numbers - unlist(expect[[key]]))), tolerance)
  }
  new <- c(
    "deepscore", paste0("deepscore_", c("score", "raw", "reason")),
    if (!is.null(expect$groups)) c("deepscore_group", "deepscore_group_share")
  )
  columns <- grep("^deepscore_probability_", names(cells), value = TRUE)
  testthat::expect_identical(grep("^deepscore", names(cells), value = TRUE), c(new, columns))
  testthat::expect_identical(columns, sprintf("deepscore_probability_%s", unlist(expect$labels)))
  if (length(columns)) {
    wanted <- do.call(rbind, lapply(expect$probabilities, unlist))
    testthat::expect_lte(max(abs(as.matrix(cells[columns]) - wanted)), tolerance)
  }
  if (!inherits(found, "Seurat")) return(testthat::expect_identical(rownames(found), colnames(query)))
  found@meta.data <- cells[setdiff(names(cells), c(new, columns))]
  testthat::expect_identical(names(found@misc), c(names(query@misc), "deepscore")) # where the calls come from
  found@misc <- query@misc
  testthat::expect_identical(found, query) # nothing else of the query has changed
}

check_manifest <- function(found, expect) {
  manifest <- if (inherits(found, "DeepScore")) found$manifest else found
  for (key in names(expect$manifest)) {
    value <- Reduce(function(x, name) x[[name]], strsplit(key, ".", fixed = TRUE)[[1]], manifest)
    testthat::expect_equal(in_order(value), in_order(expect$manifest[[key]]), label = key)
  }
  n <- if (is.null(expect$n_features)) length(manifest$features) else expect$n_features
  testthat::expect_length(manifest$features, n)
}

in_order <- function(x) {
  x <- unlist(x)
  if (is.null(names(x))) x else x[sort(names(x))]
}

is_known <- function(case, container) {
  is_seurat5 <- container == "Seurat" && utils::packageVersion("SeuratObject") >= "5"
  containers <- c(container, if (is_seurat5) "Seurat 5")
  any(vapply(known_differences, function(entry) entry$case == case$name && entry$container %in% containers, NA))
}

holds_data <- function(spec) is.list(spec) && ("fixture" %in% names(spec) || any(vapply(spec, holds_data, NA)))

for (case in cases) {
  has_data <- any(vapply(case[c("reference", "query", "objects")], holds_data, NA))
  for (container in if (has_data) c("dgCMatrix", "Seurat") else "no data") {
    testthat::test_that(paste0(case$name, " (", container, ")"), {
      call <- suppressMessages(make_call(case, container, withr::local_tempdir()))
      # What is listed is checked too: the container must be unable to hold the data of the case.
      testthat::expect_identical(is.null(call), is_known(case, container))
      if (is.null(call)) return()
      before <- state(call)
      found <- run(call)
      if (is.null(case$expect$error)) {
        check_value(call, found$value, case$expect, container)
      } else {
        check_error(found$value, case$expect)
      }
      expect_speaks_r(found$warnings)
      if (!isTRUE(case$expect$saved)) testthat::expect_identical(state(call), before)
      for (part in case$expect$warning) testthat::expect_match(found$warnings, part, fixed = TRUE, all = FALSE)
      if (is.null(case$expect$error)) testthat::expect_length(found$warnings, length(case$expect$warning))
    })
  }
}

for (contract in read_json("arguments.json")) {
  testthat::test_that(paste("the arguments of", contract$r, "are those of the contract"), {
    arguments <- c(contract$arguments, contract$r_only) # those that only R has come last
    names <- vapply(arguments, `[[`, "", 1)
    defaults <- lapply(arguments, function(argument) as_arguments(argument[-1]))
    method <- utils::getS3method(contract$r, "DeepScore", optional = TRUE, envir = asNamespace("deepscore"))
    for (verb in c(getExportedValue("deepscore", contract$r), method)) {
      found <- as.list(formals(verb))
      found <- found[!names(found) %in% c("ds", "object", "...")] # as test_shared.py has it
      testthat::expect_identical(names(found), names)
      required <- vapply(found, function(x) identical(x, quote(expr = )), NA)
      testthat::expect_identical(unname(required), lengths(defaults) == 0)
      values <- lapply(found[!required], function(x) list(eval(x)))
      testthat::expect_equal(unname(values), defaults[!required])
    }
  })
}
