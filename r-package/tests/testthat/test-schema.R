valid <- function(json, schema) {
  value <- jsonlite::parse_json(json)
  is.null(tryCatch(check_schema(value, jsonlite::parse_json(schema)), error = function(e) e))
}

# A schema, what is as it says, and what is not.
cases <- list(
  list('{"type": "object"}', c("{}", '{"a": 1}'), c("[]", "1", "null")),
  list('{"type": "array"}', c("[]", "[1]"), c("{}", '"a"')),
  list('{"type": "integer"}', c("3", "3.0", "1e9"), c("3.5", '"3"', "true", "[3]")),
  list('{"type": "number"}', c("3", "3.5"), c('"3"', "true", "null")),
  list('{"type": "string"}', c('""', '"NA"'), c("3", "[\"a\"]")),
  list('{"const": 3}', c("3", "3.0"), c("4", '"3"', "true", "[]", "[3]", "null")),
  list('{"const": "a"}', '"a"', c('"b"', "1", "{}")),
  list('{"enum": ["a", "b"]}', c('"a"', '"b"'), c('"c"', "1", "[]", '["a"]', "null")),
  list('{"required": ["a", "b"]}', c('{"a": null, "b": 1}', "[]"), c('{"a": 1}', "{}")),
  list('{"properties": {"a": {"type": "string"}}}', c("{}", '{"b": 1}', '{"a": ""}'), '{"a": 1}'),
  list('{"properties": {"a": {}}, "additionalProperties": false}', c("{}", '{"a": 1}'), '{"b": 1}'),
  list('{"additionalProperties": {"minimum": 1}}', c("{}", '{"a": 1}'), c('{"a": 1, "": 0}')),
  list('{"items": {"type": "string"}}', c("[]", '["a", "b"]'), c("[1]", '["a", null]', '[["a"]]')),
  list('{"items": {"type": "array", "items": {"maximum": 1}}}', "[[0], [], [1, 0.5]]", "[[0, 2]]"),
  list('{"minItems": 1, "maxItems": 2}', c("[1]", "[[], {}]", '"a"'), c("[]", "[1, 2, 3]")),
  list('{"uniqueItems": true}', c("[]", '["a", "A"]'), '["a", "b", "a"]'),
  list('{"minLength": 1, "maxLength": 2}', c('"\u00e9\u00e9"', "333"), c('""', '"abc"')),
  list('{"pattern": "^[a-z]+$"}', c('"ab"', "1"), c('"aB"', '""')),
  list('{"items": {"pattern": "^a"}}', '["ab", "ac"]', '["ab", "b"]'),
  list('{"minimum": 0, "maximum": 1}', c("0", "1", '"2"'), c("-0.1", "1.1")),
  list('{"exclusiveMinimum": 0}', "0.1", "0"),
  list('{"dependentRequired": {"a": ["b"]}}', c("{}", '{"b": 1}', '{"a": 1, "b": 1}'), '{"a": 1}'),
  list(
    '{"$ref": "#/$defs/n", "minItems": 1, "$defs": {"n": {"type": "array"}}}',
    "[1]", c("[]", '"a"')
  )
)

test_that("every keyword refuses what it must and nothing else", {
  for (case in cases) {
    for (json in case[[2]]) expect_true(valid(json, case[[1]]), info = paste(json, case[[1]]))
    for (json in case[[3]]) expect_false(valid(json, case[[1]]), info = paste(json, case[[1]]))
  }
})

test_that("every keyword of the schemas is known", {
  words_of <- function(schema) {
    inner <- c(schema$properties, schema[["$defs"]], schema[c("items", "additionalProperties")])
    c(names(schema), unlist(lapply(Filter(is.list, inner), words_of)))
  }
  known <- c(
    names(keywords), "properties", "additionalProperties", "items", "$ref", "$defs",
    "$schema", "$id", "title"
  )
  for (path in list.files(schema_folder(), full.names = TRUE)) {
    expect_identical(setdiff(words_of(jsonlite::read_json(path)), known), character())
  }
})

test_that("the place of what is wrong is told", {
  schema <- '{"properties": {"a": {"items": {"properties": {"b": {"type": "string"}}}}}}'
  check <- function(json) check_schema(jsonlite::parse_json(json), jsonlite::parse_json(schema))
  expect_error(check('{"a": [{"b": 1}]}'), "$.a[*].b", fixed = TRUE)
  expect_code("invalid_manifest", check('{"a": [{"b": 1}]}'))
})
