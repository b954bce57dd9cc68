#' Install the engine
#'
#' Makes a virtual environment with the Python package deepscore and what it needs for chromatin
#' (bioframe), pictures of the training (matplotlib, pillow) and TensorBoard, all of them in the
#' versions that the engine is tested with, where the verbs then find it. Restart R after it.
#'
#' @param engine What to install: the folder of a clone of the project, a wheel, or anything that
#'   pip understands. `NULL`: your clone around the working directory.
#' @param envname Name or folder of the virtual environment. One of another name than
#'   `"r-deepscore"` is only found through `RETICULATE_PYTHON` or `options(deepscore.python = )`.
#' @param python The Python (3.11 or newer) to make it with. `NULL`: reticulate's choice.
#' @param torch The version of torch to install, as pip writes it. `NULL`: what the engine asks for.
#' @return The path of the environment's Python, invisibly. After a failure (`engine_failed`) an
#'   environment that was there is kept, and none is left that was not.
#' @examples
#' \dontrun{
#' install_deepscore("~/deepscore")
#' }
#' @export
install_deepscore <- function(engine = NULL, envname = "r-deepscore", python = NULL,
                              torch = "torch==2.13.0") {
  engine <- engine %||% find_upwards(file.path("python", "src", "deepscore"))
  if (is.null(engine)) {
    abort(
      "ConfigError", "bad_argument",
      "There is no clone of deepscore around the working directory. ",
      "Say what to install: install_deepscore(\"path/to/deepscore\")."
    )
  }
  check_install(engine, envname)
  check_environment(envname)
  if (dir.exists(engine)) engine <- normalizePath(engine)
  create <- list(envname = envname)
  create$python <- python
  folder <- environment_folder(envname)
  is_new <- !file.exists(folder)
  done <- FALSE
  # Half an environment would hide a working one.
  on.exit(if (is_new && !done) unlink(folder, recursive = TRUE))
  pins <- pins_file()
  on.exit(unlink(pins), add = TRUE)
  install <- function() {
    if (is_new) do.call(reticulate::virtualenv_create, create)
    reticulate::py_install(
      c(torch, with_extras(engine)),
      envname = envname, method = "virtualenv", pip = TRUE, pip_options = c("--constraint", pins)
    )
  }
  tryCatch(without_library_path(install()), error = function(e) {
    abort("EngineError", "engine_failed", "The installation failed: ", conditionMessage(e))
  })
  done <- TRUE
  started$installed <- TRUE
  tell("The engine is installed. Restart R: a session keeps the Python that it has started.")
  invisible(reticulate::virtualenv_python(envname))
}

# The versions that the engine is tested with, for pip. That of torch is an argument.
pins_file <- function() {
  pins <- readLines(system.file("python", "constraints.txt", package = "deepscore"))
  path <- tempfile(fileext = ".txt")
  writeLines(grep("^torch==", pins, value = TRUE, invert = TRUE), path)
  path
}

check_install <- function(engine, envname) {
  are_strings <- is_string(engine) && is_string(envname)
  if (!are_strings || anyNA(c(engine, envname)) || !nzchar(envname)) {
    abort("ConfigError", "bad_argument", "`engine` and `envname` must be one string each.")
  }
  if (grepl("[/\\\\]", engine) && !grepl("://", engine) && !file.exists(engine)) {
    abort("ConfigError", "bad_argument", "There is no folder or file '", engine, "'.")
  }
}

# A folder of the user's would be filled, and removed after a failure.
check_environment <- function(envname) {
  if (file.exists(environment_folder(envname)) && !reticulate::virtualenv_exists(envname)) {
    abort(
      "ConfigError", "bad_argument",
      "'", envname, "' is there already and no virtual environment: choose another `envname`."
    )
  }
}

# As reticulate reads `envname`: a path, or a name in the folder of all environments.
environment_folder <- function(envname) {
  if (grepl("[/\\\\]", envname)) return(path.expand(envname))
  file.path(path.expand(reticulate::virtualenv_root()), envname)
}

# With the packages that verbs of R can need; a requirement that names extras keeps its own.
with_extras <- function(engine) {
  extras <- "[chromatin,plots,tensorboard]"
  if (file.exists(engine)) return(paste0(engine, extras))
  sub("^([A-Za-z0-9._-]+)(?=$|[ =<>~!@])", paste0("\\1", extras), engine, perl = TRUE)
}

# R's own library path would make another Python load the wrong libpython, without its ssl.
without_library_path <- function(code) {
  before <- Sys.getenv("LD_LIBRARY_PATH", unset = NA)
  Sys.unsetenv("LD_LIBRARY_PATH")
  on.exit(if (!is.na(before)) Sys.setenv(LD_LIBRARY_PATH = before))
  force(code)
}
