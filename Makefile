# pystack: `make help` tells what there is.
SHELL := /bin/bash
VENV ?= .venv
PY := $(VENV)/bin/python
# worker processes of pytest
JOBS ?= 2
# further arguments for pytest, such as ARGS="-k tcp -x"
ARGS ?=
PYTEST = $(PY) -m pytest -n $(JOBS) $(ARGS)

.PHONY: help setup setup-demo build demo test test-compiled test-pure test-other rfc mutants fuzz attack bench bench-instructions bench-probe lint vagrant-lint vagrant-check format clean distclean soak compilers dist-check fresh-check networks fuzz-coverage tsan
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup-demo: # what the demo needs
	@VENV=$(VENV) tools/setup.sh demo

setup: ## .venv, Debian packages (as root) and the build: all that the tests need
	@VENV=$(VENV) tools/setup.sh test

# Warnings are errors for developers and CI, never in what the README says to users: demo and test.
build: export PYSTACK_WERROR ?= 1
build: ## compile the core in place; warnings are errors (PYSTACK_WERROR=0: they are not)
	@VENV=$(VENV) tools/setup.sh build

demo: setup-demo ## a real ping and a real curl against the stack, each frame explained
	@$(VENV)/bin/pystack demo

test: setup ## every test, on the compiled and the uncompiled core
	$(MAKE) --no-print-directory -k test-compiled test-pure test-other

test-compiled: # every test, compiled
	@echo "== compiled core, $$($(PY) --version)"
	$(PYTEST)

test-pure: setup ## every test, on the uncompiled core
	@echo "== uncompiled core, $$($(PY) --version)"
	PYSTACK_PURE=1 $(PY) -m pytest -n $(JOBS) -m "not once" $(ARGS)

test-other: # a reduced run on the system's Python, where that is another one
	@tools/test_other.sh $(JOBS) $(ARGS)

rfc: setup ## the conformance tests, and from their results docs/reference/rfc9293.md and docs/reference/rfc1122.md
	@$(PY) -m tools.conformance

mutants: setup ## break the core in 180 ways: do the conformance tests notice? (5 minutes; then make rfc)
	@$(PY) -m tools.mutate

fuzz: setup ## new random cases: property tests, the fuzzer on both builds, the cost oracle on both (10 minutes)
	for pass in 1 2 3 4 5; do HYPOTHESIS_PROFILE=search $(PYTEST) -q $$(grep -rl '^@given' tests) || exit; done
	$(PY) tools/fuzz.py --both --seconds 120
	$(PY) tools/fuzz.py --cost --seconds 120
	$(PY) tools/fuzz.py --cost --pure --seconds 120
	$(PY) tools/fuzz_driver.py --seconds 30

fuzz-coverage: setup ## coverage-guided, the core compiled with sanitizers (an hour; ARGS="--seconds 600")
	@tools/setup.sh fuzz
	$(PY) tools/fuzz_coverage.py $(ARGS)

attack: setup ## a malicious peer, 10,000 seeds on each build (ARGS="--seeds 100")
	$(PY) -m tools.attack --both --jobs $(JOBS) $(ARGS)

soak: build ## an hour of a live TAP with mixed load, faults and churn: flat, or it fails (as root; ARGS="--hours 0.1")
	@$(PY) -m tools.soak $(ARGS)

tsan: build ## the driver's compiled modules under ThreadSanitizer (minutes)
	@$(PY) tools/tsan.py

bench: setup ## speed, side by side with the peers that are installed (as root, about 20 minutes; ARGS="--quick")
	@tools/setup.sh bench
	$(PY) -m tools.bench $(ARGS)

networks: build ## what each algorithm gets of networks of all kinds, in virtual time; writes docs/explanation/networks.md (minutes)
	@$(PY) -m tools.networks $(ARGS)

bench-instructions: ## instructions a packet, which do not depend on the machine's load (ARGS="--write" keeps them)
	@$(PY) -m tools.bench.instructions $(ARGS)

bench-probe: build ## what the probe costs while nobody listens, by instruction counts; builds a second core (minutes)
	@$(PY) -m tools.bench.probe_cost

lint: setup ## ruff, mypy, and the check of the .pxd files
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) tools/pxd_lint.py
	@if [ -x web/node_modules/.bin/tsc ]; then cd web && npm run --silent check; else echo "the page's types: skipped, no npm"; fi

format: setup ## let ruff put the source in form
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

compilers: ## gcc-12, gcc-14 and clang-19 on each Python, warnings being errors, and the core's tests (20 minutes; ARGS="--others")
	@VENV=$(VENV) JOBS=$(JOBS) tools/compilers.sh $(ARGS)

dist-check: ## an sdist and a wheel, each installed outside the tree and tried (5 minutes)
	@tools/dist_check.sh

fresh-check: ## the README's two commands in a minimal Debian 13 of its own (as root, an hour; ARGS="demo": the first alone)
	@tools/fresh_check.sh $(ARGS)

vagrant-lint: ## shellcheck, and `vagrant validate`; says what it skips
	@vagrant/lint.sh

vagrant-check: ## the Vagrant VM for real, from Debian's packages alone (as root, about 15 minutes)
	@vagrant/check.sh $(ARGS)

clean: ## take away what the build made
	rm -rf build dist *.egg-info pystack_c/.directives
	find pystack_c pystack -name '*.so' -delete
	for c in $$(find pystack_c pystack -name '*.c'); do [ -e "$${c%.c}.pxd" ] && rm -f "$$c"; done; true
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean ## the virtual environments too
	rm -rf web/node_modules pystack/stepper/web/static .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis
