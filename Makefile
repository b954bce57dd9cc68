# One command per task; `make help` lists them. Everything is set up on first use and not again.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

ROOT := $(CURDIR)
PYTHON := .venv/bin/python
# R finds the engine of this checkout; an engine that would be skipped is a failure; threads do not spin on a busy machine.
export RETICULATE_PYTHON := $(ROOT)/.venv/bin/python
export DEEPSCORE_REQUIRE_ENGINE := 1
export GOMP_SPINCOUNT ?= 0
export MPLBACKEND := Agg

R_SOURCES := $(shell find r-package -type f -not -path '*/vignettes/*.html')

.PHONY: help setup demo pictures test lint lint-ruff lint-format lint-types lint-r test-python test-pythons test-shared check-r test-seurat5 docs docs-r report-picture \
  bench-bridge bench-speed bench-size bench-accuracy bench-openset bench-novelty bench-laws bench-chromatin bench-atlas bench-scaling clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: .venv/.system .venv/.python .venv/.r-package ## R, its packages, one virtual environment, the R package

.venv/.system: .ci/setup-system
	.ci/setup-system
	mkdir -p .venv && touch $@

# The version is read from version.py when the package is installed.
.venv/.python: pyproject.toml python/src/deepscore/version.py python/constraints.txt .venv/.system
	test -x $(PYTHON) || python3 -m venv .venv
	$(PYTHON) -m pip install --quiet --upgrade pip
	grep -E '^torch==' python/constraints.txt | xargs $(PYTHON) -m pip install --quiet
	$(PYTHON) -m pip install --quiet --constraint python/constraints.txt --editable '.[test]'
	touch $@

.venv/.r-package: $(R_SOURCES) .venv/.system
	.ci/install-r-package
	touch $@

demo: setup ## train, annotate and compare in Python and R on real cells; results in demo-output/
	mkdir -p demo-output
	$(PYTHON) python/examples/demo.py train
	Rscript r-package/inst/scripts/demo.R demo-output
	$(PYTHON) python/examples/demo.py compare

pictures: setup ## draw every plot with 3 and with 60 labels, in both languages, to be looked at; results in pictures-output/
	$(PYTHON) python/examples/pictures.py
	Rscript r-package/inst/scripts/pictures.R pictures-output

test: setup lint docs test-python ## everything: lint, types, the site, tests of both languages, R CMD check
	$(MAKE) --jobs 2 --output-sync=target test-shared check-r # each keeps one core busy

# Tests are many small jobs: two threads wait for each other longer than they work.
test-python test-pythons test-shared check-r: export OMP_NUM_THREADS := 1

lint: lint-ruff lint-format lint-types lint-r ## ruff, mypy (strict) and lintr

lint-ruff: .venv/.python
	$(PYTHON) -m ruff check .

lint-format: .venv/.python
	$(PYTHON) -m ruff format --check .

lint-types: .venv/.python
	$(PYTHON) -m mypy

lint-r: .venv/.system
	Rscript -e 'found <- lintr::lint_package("r-package"); print(found); quit(status = length(found) > 0)'

test-python: setup ## tests of the Python package
	$(PYTHON) -m pytest python/tests -q -n auto

test-pythons: ## tests of the Python package on each of python3.11, 3.12, 3.13 on the PATH; PINNED=1: with the pins of 3.11
	.ci/test-pythons

test-shared: setup ## the cases that both languages must pass, and models going both ways
	$(PYTHON) -m pytest shared-tests -q

check-r: setup ## R CMD check of r-package, with its tests, examples and vignettes
	.ci/check-r-package

test-seurat5: setup ## the tests of the R package with Seurat 5, in a folder with Debian 13 (root; made once, 2 GB)
	.ci/test-seurat5

docs: export OMP_NUM_THREADS := 1
docs: setup ## the site, in docs-output/html: tutorials are run, a warning is a failure, and what was built is tested
	Rscript python/docs/r_pages.R r-package python/docs/r
	rm -rf docs-output
	$(PYTHON) -m sphinx --quiet --fail-on-warning --keep-going --nitpicky --jobs 2 python/docs docs-output/html
	$(PYTHON) -m pytest python/docs -q

report-picture: setup ## draw the report that the README shows (chromium)
	$(PYTHON) python/docs/report_picture.py python/docs/images/report.png

docs-r: setup ## write man/ and NAMESPACE from the roxygen comments
	Rscript -e 'roxygen2::roxygenise("r-package")'

bench-bridge: setup ## measure the bridge, training and streaming; prints each figure beside its target
	$(PYTHON) python/benchmarks/bridge.py

bench-speed: setup ## speed and scale on a simulated atlas of up to a million cells; PARTS=names SIZE=small; prints each beside its target
	$(PYTHON) python/benchmarks/speed.py $(PARTS)

bench-size: setup ## accuracy and time of training by the size of the reference, on the atlas of bench-speed and on TASKS=tasks.toml; PARTS=names SIZE=small
	$(PYTHON) python/benchmarks/size.py $(PARTS)

bench-accuracy: setup ## DeepScore and its peers on TASKS=tasks.toml; ONLY=regex METHODS=list SEEDS=0,1,2 PEERS=fresh JOBS=1
	$(PYTHON) python/benchmarks/accuracy/run.py

bench-openset: setup ## how unknown types are seen, each label of TASKS=tasks.toml withheld in turn; also LIMIT=labels per task
	$(PYTHON) python/benchmarks/accuracy/openset.py

bench-novelty: setup ## teach the chances of unknown types and foreign queries on TASKS=tasks.toml; print them and what they find
	$(PYTHON) python/benchmarks/accuracy/novelty.py

bench-laws: setup ## the laws of a call as figures, on some tasks of TASKS=tasks.toml or those that ONLY=regex finds
	$(PYTHON) python/benchmarks/accuracy/laws.py

bench-chromatin: setup ## speed and memory of peaks, fragments and activity; accuracy from fragments and on moved peaks
	$(PYTHON) python/benchmarks/chromatin.py
	$(PYTHON) python/benchmarks/accuracy/chromatin_tasks.py
	TASKS=.bench/chromatin/tasks.toml OUT=bench-output/chromatin $(PYTHON) python/benchmarks/accuracy/run.py

bench-atlas: setup ## an atlas of 106,309 simulated nuclei x 200,000 peaks, its peers at PEERS=0.02 of the size; DATA=folder SIZE=1 SCJOINT=folder
	$(PYTHON) python/benchmarks/atlas/stages.py

bench-scaling: setup ## stores to Parquet, by one process and by workers of Dask: passes, time, memory, network; PARTS=names LARGE=stores
	$(PYTHON) python/benchmarks/scaling.py $(PARTS)

clean: ## remove what the targets above have made in this folder
	rm -rf --one-file-system .trixie .trixie.log
	rm -rf docs-output python/docs/python python/docs/r python/docs/command-line.md
	rm -rf .venv .venv-pythons .bench demo-output pictures-output bench-output .pytest_cache .mypy_cache .ruff_cache .hypothesis
