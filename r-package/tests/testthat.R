library(testthat)
library(deepscore)

test_check("deepscore")
