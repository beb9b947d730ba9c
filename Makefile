# A few words for what is done with this checkout; `make` alone lists them.

SHELL := /bin/bash
PATH := $(CURDIR)/.venv/bin:$(PATH)
export PATH

.DEFAULT_GOAL := help
.PHONY: help run test answers variants pages conformance fuzz chaos bench bench-gateway deaths renewals hangs strategies hostile check format cover lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 15

# A run from the checkout leaves no history in a home folder. Root's children are another user, who may be
# unable to read the checkout: there it is where it always is.
STATE = $(if $(filter 0,$(shell id -u)),,ARENAD_STATE_DIR=$(CURDIR)/.cache/state)

run: ## the daemon in the foreground, Ctrl-C ends it; ARGS="…" passes through
	@scripts/setup run
	@exec env $(STATE) .venv/bin/arenad --config etc/arenad.yaml $(ARGS)

test: check ## check, then all tests; PYTEST_ARGS="…" passes through
	pytest $(PYTEST_ARGS)

deaths: ## what a death, a beat and a command cost; BENCH_ARGS="…" passes through
	@scripts/setup dev
	PYTHONPATH=tests/processes python -m bench.supervisor $(BENCH_ARGS)
	PYTHONPATH=tests/master python -m bench.deaths

bench: ## what an instance and a chunk cost, beside a floor and peers; BENCH_ARGS="…"
	@scripts/setup dev
	PYTHONPATH=tests/processes python -m bench.density $(BENCH_ARGS)

bench-gateway: ## what arenad costs as a gateway, beside LiteLLM and a bare server; BENCH_ARGS="…"
	@scripts/setup dev
	PYTHONPATH=tests/processes python -m bench.gateway $(BENCH_ARGS)

renewals: ## 50 reloads and 10 upgrades under load: is a request lost?
	@scripts/setup dev
	PYTHONPATH=tests/processes python -m bench.renewals $(BENCH_ARGS)

hangs: ## how soon a hang is noticed; is a busy machine ever taken for one?
	@scripts/setup dev
	PYTHONPATH=tests/processes python -m bench.hangs $(BENCH_ARGS)

strategies: ## queue.strategy's three against each other, simulated on instances that are not alike
	@scripts/setup dev
	python -m bench.strategies $(BENCH_ARGS)

hostile: ## 10,000 good and hostile requests, mixed, at 5 browsers: is any good one wrong, does anything leak?
	@scripts/setup dev
	PYTHONPATH=tests/processes python -m bench.hostile $(BENCH_ARGS)

answers: ## 500 awkward answers over four transports: does each come as it was sent?
	@scripts/setup dev
	PYTHONPATH=tests/processes python -m bench.answers $(BENCH_ARGS)

variants: ## the lmarena profile at each date of its protocol: modes, files, refusals
	@scripts/setup dev
	PYTHONPATH=tests/page python -m bench.variants

pages: ## chat pages of other makers, from their registries, through a whole daemon
	@scripts/setup dev
	PYTHONPATH=tests/processes python -m bench.pages $(BENCH_ARGS)

conformance: ## clients of many makers, and their own API descriptions, against a whole daemon
	@scripts/setup dev
	PYTHONPATH=tests:tests/processes python -m bench.conformance $(BENCH_ARGS)

fuzz: ## requests of every kind, drawn from our own OpenAPI document; ARGS="--seconds 600 --seed 7"
	@scripts/setup dev
	PYTHONPATH=tests/processes python -m bench.fuzz $(ARGS)

chaos: ## random trouble under load, every answer checked; SECONDS_=600 SEED=1
	@scripts/setup dev
	PYTHONPATH=tests/processes:tests/chaos python -m chaos --seconds $(or $(SECONDS_),600) --seed $(or $(SEED),1)

check: ## format, lint, types, import floors, spelling, a sentence per test
	@scripts/setup dev
	ruff format --check
	ruff check
	basedpyright
	lint-imports --no-logo
	codespell
	interrogate tests

format: ## let ruff rewrite what it can
	@scripts/setup dev
	ruff format
	ruff check --fix-only

cover: ## tests with branch coverage; PYTEST_ARGS="…" passes through
	@scripts/setup dev
	coverage erase
	coverage run -m pytest $(PYTEST_ARGS)
	coverage combine --quiet
	coverage report

UV := .cache/lock/bin/uv
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate $(LOCK_ARGS) pyproject.toml --group build

lock: ## requirements/*.lock from pyproject.toml; LOCK_ARGS=--upgrade takes the newest
	@scripts/setup run
	@test -x $(UV) || { .venv/bin/python -m venv .cache/lock && .cache/lock/bin/pip install --quiet uv; }
	$(COMPILE) --output-file requirements/run.lock
	$(COMPILE) --group dev --constraint requirements/run.lock --output-file requirements/dev.lock

clean: ## remove everything that setup, checks and tests made
	rm -rf .venv .cache .coverage .coverage.* .hypothesis .import_linter_cache .pytest_cache .ruff_cache \
		build dist htmlcov
	find arenad arenactl tests bench -name __pycache__ -prune -exec rm -rf {} +
