#' Find out what is wrong with the engine
#'
#' Says which R packages, Python (with the shared library that R needs), numpy, torch, bioframe and
#' engine are found, and what to do about what is missing. Python is asked in a process of its own:
#' this session does not start one.
#'
#' @return An object of class `deepscore_doctor`: a list with the versions that were found and
#'   `problems`, a character vector that is empty when all is well.
#' @examples
#' deepscore_doctor()
#' @export
deepscore_doctor <- function() {
  python <- current_python()
  probe <- probe_python(python)
  found <- list(
    R = as.character(getRversion()),
    deepscore = package_version_or_null("deepscore"),
    reticulate = package_version_or_null("reticulate"),
    SeuratObject = package_version_or_null("SeuratObject"),
    BLAS = unname(extSoftVersion()["BLAS"]),
    python = python,
    python_version = probe$python,
    python_library = python_library(python),
    engine = probe$deepscore,
    numpy = probe$numpy,
    torch = probe$torch,
    bioframe = probe$bioframe
  )
  problems <- find_problems(found, probe) %||% character()
  structure(c(found, list(problems = problems)), class = "deepscore_doctor")
}

#' @export
print.deepscore_doctor <- function(x, ...) {
  cat("<deepscore doctor>\n")
  for (name in setdiff(names(x), "problems")) print_field(name, x[[name]] %||% "not found")
  if (!length(x$problems)) cat("All is well.\n")
  for (problem in x$problems) cat("Problem: ", problem, "\n", sep = "")
  invisible(x)
}

package_version_or_null <- function(package) {
  if (requireNamespace(package, quietly = TRUE)) as.character(utils::packageVersion(package))
}

# The Python that is running, or the one that would be started.
current_python <- function() {
  if (reticulate::py_available()) return(reticulate::py_config()$python)
  chosen <- Sys.getenv("RETICULATE_PYTHON")
  if (nzchar(chosen)) return(chosen)
  find_python() %||% tryCatch(reticulate::py_discover_config()$python, error = function(e) NULL)
}

# What inst/python/probe.py prints, or a list with the field `problem`.
probe_python <- function(python) {
  if (is.null(python)) return(list(problem = "no Python was found"))
  script <- system.file("python", "probe.py", package = "deepscore")
  output <- tryCatch(
    without_library_path(
      system2(path.expand(python), shQuote(script), stdout = TRUE, stderr = FALSE)
    ),
    error = function(e) "", warning = function(w) ""
  )
  tryCatch(
    jsonlite::parse_json(paste(output, collapse = "\n")),
    error = function(e) list(problem = "it does not start")
  )
}

# The shared library through which R runs Python, as reticulate finds it without starting Python.
python_library <- function(python) {
  if (reticulate::py_available()) return(reticulate::py_config()$libpython)
  before <- Sys.getenv("RETICULATE_PYTHON", unset = NA)
  if (!is.null(python)) Sys.setenv(RETICULATE_PYTHON = python)
  on.exit(
    if (is.na(before)) Sys.unsetenv("RETICULATE_PYTHON") else Sys.setenv(RETICULATE_PYTHON = before)
  )
  tryCatch(reticulate::py_discover_config()$libpython, error = function(e) NULL)
}

find_problems <- function(found, probe) {
  ours <- series(found$deepscore)
  is_name <- !is.null(found$python) && !grepl("[/\\\\]", found$python)
  starts <- !is.null(probe$python)
  c(
    problem_if(
      !is.null(probe$problem),
      "the engine cannot be used: ", probe$problem, ". Run install_deepscore(), or set ",
      "RETICULATE_PYTHON to a Python that has it, before the first verb in a new R session."
    ),
    problem_if(
      starts && utils::compareVersion(probe$python, "3.11") < 0,
      "Python ", probe$python, " is too old: 3.11 or newer is needed."
    ),
    problem_if(
      starts && is_name,
      "RETICULATE_PYTHON is '", found$python, "', but reticulate wants a path, such as ",
      Sys.which(found$python %||% ""), "."
    ),
    problem_if(
      starts && !is_name && is.null(found$python_library),
      "Python has no shared library, without which R cannot run it: install libpython3-dev ",
      "(Debian, Ubuntu), or use a Python that was built with --enable-shared."
    ),
    problem_if(
      !is.null(found$engine) && !identical(series(found$engine), ours),
      "the engine is version ", found$engine, ", the R package ", found$deepscore, "."
    ),
    problem_if(starts && is.null(found$torch), "torch is missing: train() needs it."),
    problem_if(
      starts && is.null(found$bioframe),
      "bioframe is missing: peaks and fragments need it. Run install_deepscore()."
    ),
    problem_if(
      torch_came_first(),
      "torch was loaded before deepscore, so training will be slow with R's own BLAS. ",
      "Start a new R session, or install OpenBLAS."
    )
  )
}

problem_if <- function(is_one, ...) if (is_one) paste0(...)

# torch must be loaded by the engine, which keeps it away from R's BLAS.
torch_came_first <- function() {
  if (!reticulate::py_available()) return(FALSE)
  if (!is.null(started$engine)) return(reticulate::py_to_r(started$engine$torch_came_first()))
  modules <- reticulate::import("sys", convert = FALSE)$modules
  reticulate::py_to_r(modules$`__contains__`("torch"))
}
