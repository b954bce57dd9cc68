# Plain values for Python. reticulate turns character NA into "NA", logical NA into True and vectors
# of length one into scalars, all without a word: so everything is made explicit here.

# The arguments among `names` that the caller's user gave. Only these are forwarded, so that the
# defaults of the engine hold.
given <- function(names, env = parent.frame()) {
  is_given <- vapply(names, function(name) !eval(call("missing", as.name(name)), env), logical(1))
  values <- mget(names[is_given], envir = env)
  for (name in names(values)) values[name] <- list(plain_value(values[[name]], name))
  named_list(values)
}

plain_value <- function(value, name) {
  if (is.null(value)) return(NULL)
  if (is.factor(value)) value <- as.character(value)
  if (is.list(value) && !is.object(value) && all(lengths(value) == 1)) value <- unlist(value)
  if (!is.atomic(value)) {
    abort("ConfigError", "bad_argument", "`", name, "` must not be a ", class(value)[1], ".")
  }
  if (anyNA(value)) {
    abort("ConfigError", "bad_argument", "`", name, "` must not be NA.")
  }
  value <- unname(value)
  # These are lists in Python, even with one element.
  if (name %in% c("hidden_nodes", "common_features", "biotypes")) as.list(value) else value
}

# A list without elements becomes a Python list; with (no) names it becomes a dict.
named_list <- function(values) {
  if (length(values)) values else structure(list(), names = character())
}

# Text without a mark of its encoding is taken as UTF-8, whatever the locale: the C locale would
# write each byte of "\u03b2 cell" as "<ce><b2>", for good.
as_utf8 <- function(text) {
  unmarked <- !is.na(text) & Encoding(text) == "unknown" & !l10n_info()[["Latin-1"]]
  Encoding(text[unmarked]) <- "UTF-8"
  wrong <- text[!is.na(text) & Encoding(text) != "latin1" & !validUTF8(text)]
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
