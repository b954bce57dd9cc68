# Plain values for Python. reticulate turns character NA into "NA", logical NA into True and vectors
# of length one into scalars, all without a word: so everything is made explicit here.

# The arguments among `names` that the caller's user gave. Only these are forwarded, so that the
# defaults of the engine hold.
given <- function(names, env = parent.frame()) {
  is_given <- vapply(names, function(name) !eval(call("missing", as.name(name)), env), logical(1))
  values <- mget(names[is_given], envir = env)
  for (name in names(values)) values[name] <- list(plain_argument(values[[name]], name))
  named_list(values)
}

plain_argument <- function(value, name) {
  is_of_each <- name == "threshold" && !is.null(names(value))
  if (is_of_each) label_thresholds(value) else plain_value(value, name)
}

plain_value <- function(value, name) {
  if (is.null(value)) return(NULL)
  if (is.list(value) && !is.object(value) && all(lengths(value) == 1)) value <- unlist(value)
  if (!is.atomic(value) || length(dim(value)) > 1) refuse_object(value, paste0("`", name, "`"))
  if (anyNA(value)) {
    abort("ConfigError", "bad_argument", "`", name, "` must not be NA.")
  }
  value <- as.vector(unname(value)) # of a factor, its text
  if (is.character(value)) value <- as_utf8(value)
  # These are lists in Python, even with one element.
  lists <- c("hidden_nodes", "common_features", "biotypes", "missing", "cells")
  if (name %in% lists) as.list(value) else value
}

# One threshold for each label, by their names: of the table that find_thresholds() returns, or of a
# named vector.
label_thresholds <- function(value) {
  if (is.data.frame(value) && all(c("label", "threshold") %in% names(value))) {
    value <- stats::setNames(value$threshold, value$label)
  }
  values <- as.list(value)
  if (anyDuplicated(names(values)) || !all(lengths(values) == 1) || anyNA(values)) {
    abort("ConfigError", "bad_argument", "`threshold` must have one number for each label.")
  }
  stats::setNames(values, as_utf8(names(values)))
}

refuse_object <- function(value, what) {
  abort("ConfigError", "bad_argument", what, " must not be a ", class(value)[1], ".")
}

# A list without elements becomes a Python list; with (no) names it becomes a dict.
named_list <- function(values) {
  if (length(values)) values else structure(list(), names = character())
}

# Text without a mark of its encoding is taken as UTF-8 if it can be, whatever the locale: the C
# locale would write each byte of "\u03b2 cell" as "<ce><b2>", for good. Else it is the locale's.
as_utf8 <- function(text) {
  original <- text
  unmarked <- !is.na(text) & Encoding(text) == "unknown"
  other <- unmarked & !validUTF8(text)
  Encoding(text[unmarked & !other]) <- "UTF-8"
  text[other] <- iconv(text[other], "", "UTF-8")
  wrong <- original[other & is.na(text) | Encoding(text) == "UTF-8" & !validUTF8(text)]
  if (!length(wrong)) return(enc2utf8(text))
  abort(
    "InputError", "invalid_text", "Text that is not UTF-8, such as '",
    iconv(wrong[1], "UTF-8", "ASCII", sub = "byte"), "': use iconv(), or Encoding<-."
  )
}

# A list of strings, missing ones as None.
strings <- function(x) {
  if (is.null(x)) return(NULL)
  out <- as.list(as_utf8(unname(as.character(x))))
  out[is.na(x)] <- list(NULL)
  out
}

is_string <- function(x) is.character(x) && length(x) == 1

# What a verb has chosen or left out, as the engine tells such things.
tell <- function(...) rlang::inform(printable(paste0(...)), class = "deepscore_message")
