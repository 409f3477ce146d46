# The two commands: make book, make test. Both set up what they need; both can be interrupted and run again.

SHELL := /bin/bash
PYTHON ?= python3
SCALE ?= laptop
TORCH_INDEX ?=
STUDY ?= recipe_study
STUDIES := $(basename $(notdir $(wildcard benchmarks/*_study.py)))

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export MEA_STORE ?= $(CURDIR)/build/store
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help book test lint refresh bench study clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "SCALE=smoke|laptop|colab|paper   how much is trained (default: laptop)"
	@echo "STUDY=NAME                       the study that is made: $(STUDIES)"
	@echo "TORCH_INDEX=URL                  another package index for torch, such as one with CPU builds"
	@echo "PYTHON=python3.12                the Python the environment is made with"

book: $(READY) ## run every chapter, check every claim, render the site
	@$(BIN)/python book/make_book.py --scale $(SCALE)

test: lint ## everything that CI runs
	@$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile

lint: $(READY) ## style of the code
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

refresh: $(READY) ## a laptop run whose outputs are stored in notebooks/
	@$(BIN)/python book/make_book.py --scale laptop --refresh

bench: $(READY) ## ratios of speed and memory against peers, as JSON
	@$(BIN)/python -m benchmarks

study: $(READY) ## a study over several seeds, into results/ (hours)
	@$(BIN)/python -m benchmarks.$(STUDY)

clean: ## remove built pages and executed notebooks; the environment and trained models stay
	@rm -rf build/html build/site build/stage build/notebooks build/work build/claims build/claims.json

$(READY): pyproject.toml constraints.txt book/setup_environment.sh
	@PYTHON=$(PYTHON) TORCH_INDEX=$(TORCH_INDEX) bash book/setup_environment.sh $(VENV)
	@touch $@
