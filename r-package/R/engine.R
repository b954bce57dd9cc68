# The only file that touches Python: it finds it, starts it, checks its version and calls it.

# The Python module, once it is loaded. Python is never started when the package loads.
started <- new.env(parent = emptyenv())

# The number of the interface between the two packages, which deepscore.interfaces.r has too.
bridge_version <- 9L

engine <- function() {
  if (is.null(started$engine)) {
    started$engine <- start_engine()
    started$process <- Sys.getpid()
  }
  # A fork has none of the threads that torch would wait for.
  if (!identical(started$process, Sys.getpid())) {
    started$engine$one_thread()
    started$process <- Sys.getpid()
  }
  started$engine
}

engine_available <- function() {
  tryCatch(
    {
      engine()
      TRUE
    },
    deepscore_engine_error = function(e) FALSE
  )
}

start_engine <- function() {
  bridge <- tryCatch(
    {
      choose_python()
      import_bridge()
    },
    error = function(e) abort_no_engine(conditionMessage(e))
  )
  check_handshake(reticulate::py_to_r(bridge$handshake()))
  bridge
}

import_bridge <- function() {
  # reticulate must neither offer to install a Python nor make one: it would lack the engine.
  settings <- c(RETICULATE_MINICONDA_ENABLED = "FALSE", RETICULATE_USE_MANAGED_VENV = "no")
  # Python that starts in the C locale would find no file whose name is not ASCII.
  locale <- Sys.getlocale("LC_CTYPE")
  if (locale %in% c("C", "POSIX")) settings["LC_ALL"] <- "C.UTF-8"
  before <- Sys.getenv(names(settings), unset = NA, names = TRUE)
  do.call(Sys.setenv, as.list(settings))
  on.exit({
    Sys.unsetenv(names(before)[is.na(before)])
    if (!all(is.na(before))) do.call(Sys.setenv, as.list(before[!is.na(before)]))
    Sys.setlocale("LC_CTYPE", locale) # Python sets it
  })
  # Where the project's pyproject.toml is near, reticulate warns of Poetry, which is not used.
  withCallingHandlers(
    reticulate::import("deepscore.interfaces.r", convert = FALSE),
    warning = function(w) if (grepl("Poetry", conditionMessage(w))) invokeRestart("muffleWarning")
  )
}

# Where the engine's Python is looked for, first match wins:
# RETICULATE_PYTHON, then the option or variable below, the environment of install_deepscore(), and
# the .venv of the user's own clone of the project around the working directory. Else it is
# reticulate's choice.
choose_python <- function() {
  if (reticulate::py_available() || nzchar(Sys.getenv("RETICULATE_PYTHON"))) return(invisible())
  python <- find_python()
  if (!is.null(python)) reticulate::use_python(python, required = TRUE)
}

find_python <- function() {
  chosen <- getOption("deepscore.python", Sys.getenv("DEEPSCORE_PYTHON"))
  if (nzchar(chosen)) return(chosen)
  if (reticulate::virtualenv_exists("r-deepscore")) {
    return(reticulate::virtualenv_python("r-deepscore"))
  }
  clone <- find_upwards(file.path(".venv", "bin", "deepscore"))
  if (is.null(clone)) NULL else file.path(clone, ".venv", "bin", "python")
}

# The nearest folder that holds `path`, from the working directory upwards. What lies there is run:
# it and all that leads to it must be the user's own, as anybody may write to a parent such as /tmp.
find_upwards <- function(path, folder = getwd(), user = Sys.info()[["effective_user"]]) {
  if (is.null(folder)) return(NULL) # it was deleted
  while (!is_own(folder, path, user)) {
    if (dirname(folder) == folder) return(NULL)
    folder <- dirname(folder)
  }
  folder
}

is_own <- function(folder, path, user) {
  if (!file.exists(file.path(folder, path))) return(FALSE)
  steps <- Reduce(file.path, strsplit(path, "/")[[1]], folder, accumulate = TRUE)
  owner <- file.info(steps, extra_cols = TRUE)$uname
  is.null(owner) || all(owner == user) # Windows names no owner
}

abort_no_engine <- function(reason) {
  code <- if (grepl("No module named", reason)) "missing_package" else "engine_failed"
  python <- if (reticulate::py_available()) reticulate::py_config()$python
  found <- if (!nzchar(Sys.getenv("RETICULATE_PYTHON"))) find_python()
  abort(
    "EngineError", code, "The engine of deepscore could not be loaded: ", trimws(reason),
    " (Python: ", python %||% "none", ").\n", way_to_engine(python, found)
  )
}

# What to do without an engine, given the Python that runs, or NULL, and the one with the engine. A
# session keeps the Python that it has started.
way_to_engine <- function(running, found) {
  folder <- function(python) normalizePath(dirname(python), mustWork = FALSE)
  is_another <- !is.null(running) && !is.null(found) && folder(running) != folder(found)
  if (is_another || isTRUE(started$installed)) {
    return(paste0(
      "This session has started ", running %||% "no Python that has it", ", the engine is in ",
      found %||% "another", ". Restart R, and use a verb of deepscore before anything else that ",
      "starts Python."
    ))
  }
  paste0(
    "Run deepscore_doctor() to see what is wrong, or install_deepscore() to set it up",
    if (!is.null(running)) ", and then restart R", "."
  )
}

check_handshake <- function(theirs) {
  ours <- as.character(utils::packageVersion("deepscore"))
  same_series <- identical(series(ours), series(theirs$version))
  if (same_series && isTRUE(theirs$bridge == bridge_version)) return(invisible())
  abort(
    "EngineError", "version_mismatch",
    "The R package deepscore ", ours, " and the Python package deepscore ", theirs$version,
    " do not fit together (interfaces ", bridge_version, " and ", theirs$bridge,
    "). Install the same version of both."
  )
}

# "0.1.3" -> "0.1": patches of one series work together.
series <- function(version) sub("^(\\d+\\.\\d+).*$", "\\1", version)

# Call one function of the bridge with plain values and return its value. Errors name the `verb`
# without its arguments, which may be whole data sets.
call_engine <- function(name, ..., verb = name, progress = getOption("deepscore.progress", TRUE)) {
  call <- call(verb)
  arguments <- list(...) # what is wrong with the data is said before Python is started
  progress <- plain_value(progress, "progress")
  bridge <- engine()
  ask <- function(name, ...) {
    answer <- tryCatch(
      bridge_function(bridge, name)(..., progress = progress),
      error = function(e) abort("EngineError", "engine_failed", conditionMessage(e), call = call)
    )
    answer_value(answer, call)
  }
  do.call(ask, c(name, lapply(arguments, send, ask = ask)))
}

# What has to do with chromatin, evidence, plots, files of AnnData, and the report, is in modules of
# its own.
bridge_function <- function(bridge, name) {
  parts <- c("r_chromatin", "r_evidence", "r_exchange", "r_paths", "r_plots", "r_report")
  for (part in parts) {
    if (reticulate::py_has_attr(bridge, name)) break
    bridge <- reticulate::import(paste0("deepscore.interfaces.", part), convert = FALSE)
  }
  bridge[[name]]
}

# Data sets, alone or among several values, become handles of the bridge; all else is sent as it is.
send <- function(x, ask) {
  if (is_blocks(x) && !is.null(x$handle)) {
    if (is.null(x$values)) x$handle else ask("known_values", x$handle, x$values)
  } else if (is_blocks(x)) {
    ask(
      "blocks", strings(x$features), strings(x$cells), x$nnz, tidy_reader(x$read), x$source,
      x$modality, x$assay, strings(x$part_of), lapply(x$lacking, strings),
      name_columns(x), x$feature_names, x$values
    )
  } else if (inherits(x, "deepscore_several")) {
    lapply(unclass(x), send, ask = ask)
  } else {
    x
  }
}

several <- function(values) structure(unname(values), class = "deepscore_several")

# A read function for Python that drops the blocks that were read before. R itself lets garbage grow
# with the session, to a gigabyte beside a large object. The collection is a call of its own: run
# within read(), it would make R keep the block that read() returns.
tidy_reader <- function(read) {
  both <- reticulate::py_eval(
    "lambda tidy, read: lambda start, stop: (tidy(), read(start, stop))[1]",
    convert = FALSE
  )
  blocks_read <- 0
  tidy <- function() {
    blocks_read <<- blocks_read + 1
    # It takes longer than making a block, of 250,000 values (interfaces/r.py).
    if (blocks_read %% 32 == 0) gc(full = FALSE)
    NULL
  }
  # With convert = TRUE, start and stop come as R numbers.
  both$`__call__`(
    reticulate::r_to_py(tidy, convert = TRUE), reticulate::r_to_py(read, convert = TRUE)
  )
}

# What Python answered: notes to pass on, and an error or a value.
answer_value <- function(answer, call = NULL) {
  answer <- reticulate::py_to_r(answer)
  for (note in answer$notes) {
    if (note$level != "warning") {
      rlang::inform(note$text, class = "deepscore_message")
    } else if (is_news(note$text)) {
      rlang::warn(note$text, class = "deepscore_warning")
    }
  }
  error <- answer$error
  if (!is.null(error)) abort(error$class, error$code, error$message, call = call)
  answer$value
}

# Is a warning not given yet in this call of a verb by the user, which may call the engine several
# times? The frame of that call remembers.
is_news <- function(text) {
  frames <- seq_len(sys.nframe())
  own <- vapply(frames, function(i) identical(environment(sys.function(i)), topenv()), NA)
  verb <- sys.frame(which(own)[1])
  is_new <- !text %in% verb$.warnings_given
  verb$.warnings_given <- c(verb$.warnings_given, text)
  is_new
}

# Python bytes as a raw vector: reticulate converts bytearray only.
as_raw <- function(bytes) {
  if (is.null(bytes) || is.raw(bytes)) return(bytes)
  reticulate::py_to_r(reticulate::import_builtins(convert = FALSE)$bytearray(bytes))
}

as_doubles <- function(bytes) {
  bytes <- as_raw(bytes)
  readBin(bytes, "double", n = length(bytes) / 8, size = 8, endian = "little")
}
