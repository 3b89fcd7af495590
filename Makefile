# What a person needs: `make run`, `make test`. Each installs what is missing first, into this folder.
SHELL := /bin/bash
.DELETE_ON_ERROR:

PYTHON3 ?= python3
UV_VERSION := 0.13.9
TOOLS := .tools
UV := $(TOOLS)/bin/uv
VENV := .venv
BIN := $(VENV)/bin
WIDGET := channels/site/vendor/rasa-webchat.js
export SQLALCHEMY_SILENCE_UBER_WARNING := 1
export TF_CPP_MIN_LOG_LEVEL := 2
export RASA_TELEMETRY_ENABLED := false
export OMP_NUM_THREADS := 1

.PHONY: help run test train check install browser lint types imports tests tests-of-parts tests-of-the-whole scale-test benchmark lock clean

help: ## show what can be done
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

run: install ## install what is missing, train if needed, start everything, print one address
	@exec $(BIN)/throughline up

train: install ## train the model if its inputs changed
	@$(BIN)/throughline train

check: install ## check settings, services, model and speech
	@$(BIN)/throughline check

test: install browser lint types imports train tests ## everything that must hold: lint, types, import rules, tests

lint: install
	@scripts/step "lint" $(BIN)/ruff check .
	@scripts/step "format" $(BIN)/ruff format --check .

types: install
	@scripts/step "types" $(BIN)/mypy

imports: install
	@scripts/step "import rules" $(BIN)/lint-imports

tests: install browser train
	@scripts/step "rasa data validate" $(BIN)/rasa data validate --fail-on-warnings
	@scripts/step "rasa test: the conversations" $(BIN)/rasa test core --e2e --stories tests/conversations --fail-on-prediction-errors --out var/results
	@# Whole calls in real time leave a processor idle most of the time: the other tests run beside them.
	@$(MAKE) --no-print-directory -j2 tests-of-parts tests-of-the-whole

tests-of-parts: install
	@$(BIN)/python -m pytest tests/unit tests/contract

tests-of-the-whole: install browser train
	@# Two of the product at once, each file's tests with one of them.
	@$(BIN)/python -m pytest tests/e2e -n 2 --dist loadfile

scale-test: install browser train ## two servers and two action servers on one PostgreSQL: chats, calls, and either of them killed
	@$(BIN)/python -m pytest tests/scale

benchmark: install train ## turn latency and audio stalls beside stock Rasa, as a table
	@$(BIN)/python -m benchmarks.turns

install: $(VENV)/.installed $(WIDGET) ## install everything into this folder

$(UV):
	@scripts/step "uv" scripts/install-uv $(PYTHON3) $(TOOLS) $(UV_VERSION)

$(VENV)/.installed: requirements.lock pyproject.toml | $(UV)
	@scripts/step "Python 3.10" scripts/make-venv $(UV) $(VENV)
	@scripts/step "Python packages (1 to 5 minutes the first time)" $(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@# `rasa test` alone runs every test_*.yml below this folder. These are an example's, which `rasa init` copies and nothing imports.
	@rm -rf $(VENV)/lib/python3.*/site-packages/rasa/cli/initial_project/tests
	@scripts/step "throughline" $(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --offline --editable .
	@touch $@

$(WIDGET): package-lock.json channels/site_vendor.js | $(VENV)/.installed
	@scripts/step "the website's chat widget" scripts/install-widget $(UV)

browser: ## a browser for the page's test
	@scripts/install-browser

lock: $(UV) ## resolve requirements.in anew into requirements.lock
	$(UV) pip compile --quiet requirements.in --override overrides.txt --universal --python-version 3.10 --generate-hashes \
	  --no-emit-index-url --no-header -o requirements.lock

clean: ## remove everything installed, trained and recorded here
	rm -rf $(TOOLS) $(VENV) node_modules models var results .rasa $(dir $(WIDGET))
