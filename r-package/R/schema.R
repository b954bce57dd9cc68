# The keywords of JSON Schema that the schemas of model files use: R reads manifests without Python.

# Refuse a value that is not as its schema says. Arrays are lists, objects are lists with names.
check_schema <- function(x, schema, at = "$", definitions = schema[["$defs"]]) {
  check <- function(x, schema, at) check_schema(x, schema, at, definitions)
  if (!is.null(schema[["$ref"]])) check(x, definitions[[basename(schema[["$ref"]])]], at)
  for (keyword in intersect(names(schema), names(keywords))) {
    if (!keywords[[keyword]](x, schema[[keyword]])) abort_invalid(at)
  }
  if (is_json$array(x)) check_each(x, schema$items, paste0(at, "[*]"), check)
  if (is_json$object(x)) check_members(x, schema, at, check)
}

# Values that are all plain are checked at once, as a vector.
check_each <- function(x, schema, at, check) {
  if (isFALSE(schema) && length(x)) abort_invalid(at)
  if (!is.list(schema)) return()
  x <- as_vector(x)
  if (!is.list(x)) return(check(x, schema, at))
  for (item in x) check(item, schema, at)
}

check_members <- function(x, schema, at, check) {
  known <- names(x) %in% names(schema$properties)
  for (name in names(x)[known]) {
    check(x[[name]], schema$properties[[name]], paste0(at, ".", name))
  }
  others <- paste0(at, ".", toString(utils::head(names(x)[!known], 3)))
  check_each(unname(x[!known]), schema$additionalProperties, others, check)
}

is_json <- list(
  object = function(x) is.list(x) && !is.null(names(x)),
  array = function(x) is.list(x) && is.null(names(x)),
  string = is.character,
  number = is.numeric,
  integer = function(x) is.numeric(x) && all(x == round(x)),
  boolean = is.logical,
  null = is.null
)

# Each tells whether a value, or each of a vector, is as its keyword says. Most say nothing of
# values of other types.
of_type <- function(is_type, holds) function(x, said) !is_type(x) || all(holds(x, said))

keywords <- list(
  type = function(x, said) is_json[[said]](x),
  const = function(x, said) mode(x) == mode(said) && all(x == said),
  enum = function(x, said) mode(x) == mode(unlist(said)) && all(x %in% unlist(said)),
  minLength = of_type(is.character, function(x, said) nchar(x) >= said),
  maxLength = of_type(is.character, function(x, said) nchar(x) <= said),
  pattern = of_type(is.character, function(x, said) {
    grepl(sub("\\u0000", intToUtf8(0xffff), said, fixed = TRUE), x, perl = TRUE)
  }),
  minimum = of_type(is.numeric, `>=`),
  exclusiveMinimum = of_type(is.numeric, `>`),
  maximum = of_type(is.numeric, `<=`),
  minItems = of_type(is_json$array, function(x, said) length(x) >= said),
  maxItems = of_type(is_json$array, function(x, said) length(x) <= said),
  uniqueItems = of_type(is_json$array, function(x, said) !said || !anyDuplicated(x)),
  required = of_type(is_json$object, function(x, said) said %in% names(x)),
  dependentRequired = of_type(is_json$object, function(x, said) {
    unlist(said[names(said) %in% names(x)]) %in% names(x)
  })
)
