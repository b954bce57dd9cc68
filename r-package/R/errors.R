# Errors of the package: rlang conditions with a class per code, as in the Python package.

error_classes <- function(kind, code) {
  snake <- tolower(gsub("([a-z])([A-Z])", "\\1_\\2", kind))
  c(paste0("deepscore_error_", code), paste0("deepscore_", snake), "deepscore_error")
}

# `kind` is the name of the Python class: InputError, ConfigError, ModelFileError, EngineError.
abort <- function(kind, code, ..., call = NULL) {
  rlang::abort(
    printable(paste0(...)),
    class = error_classes(kind, code), code = code, call = call, parent = NULL
  )
}

# Refuse arguments that a method does not have: misspelt ones, too.
no_more_arguments <- function(env = parent.frame()) {
  refuse <- function(cnd) abort("ConfigError", "bad_argument", conditionMessage(cnd))
  rlang::check_dots_empty(env, error = refuse)
}

# Text that a terminal shows and does not obey: control characters, which names may hold, as their
# escapes. New lines and tabs stay. Of a very long text the middle is left out.
printable <- function(text) {
  text <- ifelse(validUTF8(text), text, iconv(text, "UTF-8", "ASCII", sub = "byte"))
  long <- nchar(text) > 2000
  ends <- substring(text[long], nchar(text[long]) - 999)
  text[long] <- paste0(substr(text[long], 1, 1000), " ... ", ends)
  odd <- gregexpr("(?![\\n\\t])[\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}]", text, perl = TRUE)
  regmatches(text, odd) <- lapply(regmatches(text, odd), function(found) {
    sprintf("\\u%04x", vapply(found, utf8ToInt, 1L))
  })
  text
}
