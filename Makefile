# make read, make book, make test. Each sets up what it needs, and can be interrupted, run twice and run again.

SHELL := /bin/bash
PYTHON ?= python3
SCALE ?= laptop
WORKERS ?=
TORCH_INDEX ?=
REQUIRE_HASHES ?=
STUDY ?= recipe_study
STUDIES := $(basename $(notdir $(wildcard benchmarks/*_study.py grid/studies/*.yaml grid/studies/*/*.yaml)))
PROFILE ?= local
ONLY ?=

# Resolves for all systems and Pythons at once, which pip does not.
UV := 0.13.9

VENV := .venv
BIN := $(VENV)/bin
BOOK := $(VENV)/.ready-book
TEST := $(VENV)/.ready-test
# Whoever has the book's environment reads with it; whoever only reads needs no torch.
READER := $(if $(wildcard $(BOOK)),$(VENV)/.ready-book,.venv-read/.ready-read)
GRID := .venv-grid/.ready
export MEA_STORE ?= $(CURDIR)/build/store
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help read pdf book test lint refresh bench hammer study hashes clean always

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "SCALE=smoke|laptop|colab|paper   how much is trained (default: laptop)"
	@echo "WORKERS=N                        chapters run at once (default: one a core)"
	@echo "STUDY=NAME                       the study that is made: $(STUDIES)"
	@echo "ONLY='seed=0; times=1'           a part of a study"
	@echo "PROFILE=local|slurm|kubernetes   where its jobs run (grid/README.md)"
	@echo "TORCH_INDEX=URL                  the package index that torch is taken from, such as one with CPU builds"
	@echo "REQUIRE_HASHES=1                 install nothing whose checksum is not the one kept in hashes/"
	@echo "PYTHON=python3.12                the Python the environment is made with"

read: $(READER) ## render the book from its stored outputs (a minute, no PyTorch)
	@$(dir $<)bin/python book/read_book.py

pdf: read ## the book from its stored outputs as one PDF (needs Chromium)
	@$(dir $(READER))bin/python book/pdf.py

book: $(BOOK) ## run every chapter, check every claim, render the site
	@$(BIN)/python book/make_book.py --scale $(SCALE) $(if $(WORKERS),--workers $(WORKERS))

test: lint $(if $(REQUIRE_HASHES),,$(GRID)) ## everything that CI runs
	@$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: $(TEST) ## style of the code
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

refresh: $(BOOK) ## a laptop run whose outputs are stored in notebooks/
	@$(BIN)/python book/make_book.py --scale laptop --refresh

bench: $(TEST) ## ratios of speed and memory against peers, as JSON
	@$(BIN)/python -m benchmarks

hammer: $(TEST) ## kills, crowds, malformed requests and hostile files, as JSON (minutes)
	@$(BIN)/python -m benchmarks.hammer

study: $(TEST) $(GRID) ## a study over several seeds, into results/ (hours); stopped or killed it goes on
	@PROFILE="$(PROFILE)" ONLY="$(ONLY)" SCALE="$(if $(filter command line environment,$(origin SCALE)),$(SCALE))" \
		bash grid/run.sh $(STUDY) $(if $(WORKERS),--cores $(WORKERS))

hashes: ## checksums of the pinned packages, after a change of constraints.txt (needs the package index)
	@$(PYTHON) -m venv build/uv && build/uv/bin/pip install --quiet uv==$(UV)
	@PATH="$(CURDIR)/build/uv/bin:$$PATH" bash book/find_hashes.sh

clean: ## remove built pages and executed notebooks; the environment and trained models stay
	@rm -rf build/html* build/rendering.* build/read build/notebooks build/running build/work build/claims build/claims.json

# Snakemake alone; the jobs of a grid run in the package's environment.
$(GRID): grid/requirements.txt grid/constraints.txt
	@$(PYTHON) -m venv $(@D) && $(@D)/bin/pip install --quiet -r $< -c grid/constraints.txt && touch $@

# The script makes the stamp itself, since it may find that another process has just done the work. Where checksums
# are wanted it also refuses an environment that was made without.
.venv-read/.ready-read $(BOOK) $(TEST): pyproject.toml setup.py constraints.txt book/setup_environment.sh \
		$(if $(REQUIRE_HASHES),always)
	@PYTHON=$(PYTHON) TORCH_INDEX=$(TORCH_INDEX) REQUIRE_HASHES=$(REQUIRE_HASHES) \
		bash book/setup_environment.sh $(@D) $(subst .ready-,,$(@F))
