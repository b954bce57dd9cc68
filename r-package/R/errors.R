# Errors of the package: rlang conditions with a class per code, as in the Python package.

error_classes <- function(kind, code) {
  snake <- tolower(gsub("([a-z])([A-Z])", "\\1_\\2", kind))
  c(paste0("deepscore_error_", code), paste0("deepscore_", snake), "deepscore_error")
}

# `kind` is the name of the Python class: InputError, ConfigError, ModelFileError, EngineError.
abort <- function(kind, code, ..., call = NULL) {
  rlang::abort(
    paste0(...),
    class = error_classes(kind, code), code = code, call = call, parent = NULL
  )
}

# Refuse arguments that a method does not have: misspelt ones, too.
no_more_arguments <- function(env = parent.frame()) {
  refuse <- function(cnd) abort("ConfigError", "bad_argument", conditionMessage(cnd))
  rlang::check_dots_empty(env, error = refuse)
}
