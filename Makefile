# Few words; `make help` lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export SPARK_LOCAL_IP := 127.0.0.1
# Without its compiled files Python compiles Airflow, Spark's client and Great Expectations anew in every process that it starts.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV PYTHONDONTWRITEBYTECODE

# Three workers with a PostgreSQL and a JVM each, since tests of a scheduler wait more than they work; a module's tests stay together and the dearest modules start first (docs/testing.md).
WORKERS := -n 3 --dist loadfile --no-loadscope-reorder
QUICK := not slow and not spark and not postgres and not airflow and not e2e

.PHONY: help setup demo test check up down lint generate mutate fix lock audit

help: ## list these words
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv and fetch Delta's jars once (the words below call it)
	@sh scripts/setup.sh

demo: setup ## sandbox vendors to golden records in PostgreSQL, in Airflow, with a report
	@python -m spine.stack.demo

up: setup ## start PostgreSQL, Spark, the sandbox and Airflow with its UI, and leave them running
	@python -m spine.stack up

down: ## stop everything that `make up` or `make demo` started
	@[ ! -x .venv/bin/python ] || python -m spine.stack down

lint: setup ## ruff, mypy and the secret scan
	ruff check .
	ruff format --check .
	mypy
	@cp .secrets.baseline .spine/secrets.baseline # a copy, since the scan rewrites line numbers (exit code 3), which is no finding
	detect-secrets-hook --baseline .spine/secrets.baseline $$(git ls-files ':!.secrets.baseline') || [ $$? -eq 3 ]

ifeq ($(ARGS),)
test: lint ## everything: lint, types, secrets, all tests with coverage; ARGS="tests/http -k retry" runs that part alone
	coverage erase
	coverage run -m pytest $(WORKERS) --durations=20 --junitxml=.spine/tests.xml $(PYTEST_ARGS)
	coverage combine --quiet
	coverage json --quiet -o .spine/coverage.json
	coverage report --skip-covered --skip-empty --sort=cover | tail -n 40
	python scripts/check_coverage.py .spine/coverage.json
else
test: setup
	python -m pytest --durations=20 $(ARGS)
endif

check: lint ## lint, types and the quick tests, for work in progress
	python -m pytest -q $(WORKERS) -m "$(QUICK)" $(ARGS)

generate: setup ## write anew what is made from the code: docs/reference.md, docs/sources.md, docs/syncs.md, docs/connectors.md and schemas/
	python -m spine.cli.reference
	python -m spine.cli.source_words
	python -m spine.cli.sync_words
	python -m spine.cli.connectors_page
	python -m spine.sources.schemas

mutate: setup ## break MODULE in small ways and tell what its tests do not notice
	python scripts/mutate.py $(MODULE) $(ARGS)

fix: setup ## let ruff sort imports, mend and format
	ruff check --fix .
	ruff format .

lock: setup ## compile requirements.txt anew from pyproject.toml, with hashes
	.spine/bootstrap/bin/uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes --no-header --no-annotate -o requirements.txt pyproject.toml

audit: setup ## list what we are made of (.spine/sbom.json) and ask for known holes in it; needs the network
	python scripts/audit.py
