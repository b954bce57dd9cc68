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
  if (is.atomic(value) && anyNA(value)) {
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

# A list of strings, missing ones as None.
strings <- function(x) {
  if (is.null(x)) return(NULL)
  out <- as.list(enc2utf8(unname(as.character(x))))
  out[is.na(x)] <- list(NULL)
  out
}
