# pystack: `make help` lists the targets.
SHELL := /bin/bash
VENV ?= .venv
PY := $(VENV)/bin/python
# worker processes of pytest: two more than two cores, because the tests wait for more than half of their time
JOBS ?= 4
# further arguments for pytest, such as ARGS="-k tcp -x"
ARGS ?=
# A process that has no tests left takes half of those of another one. The file says which tests may fail once (CONTRIBUTING.md, "Before you commit").
WORKERS = -n $(JOBS) --dist worksteal @tests/support/again.args
PYTEST = $(PY) -m pytest $(WORKERS) $(ARGS)
# The tests start hundreds of Pythons. Without bytecode files, each of them would compile what it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup setup-demo build demo test test-compiled test-pure test-other cpython rfc mutants fuzz attack bench bench-instructions bench-probe lint vagrant-lint vagrant-check format clean distclean soak compilers dist-check fresh-check networks fuzz-coverage tsan programs paths proxies site browsers
.DEFAULT_GOAL := help

help: ## print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 22

setup-demo: # everything for the demo
	@VENV=$(VENV) tools/setup.sh demo

setup: ## make .venv, install Debian packages (as root), compile: everything that the tests need
	@VENV=$(VENV) tools/setup.sh test

# Warnings are errors for developers and CI, but never in the two commands that the README gives to users: demo and test.
build: export PYSTACK_WERROR ?= 1
build: ## compile the core in place; warnings are errors unless PYSTACK_WERROR=0
	@VENV=$(VENV) tools/setup.sh build

demo: setup-demo ## run a real ping and a real curl against the stack, and explain each frame
	@$(VENV)/bin/pystack demo

test: setup ## run every test, on the compiled and the uncompiled core
	$(MAKE) --no-print-directory -k test-compiled test-pure test-other

test-compiled: # every test, compiled
	@echo "== compiled core, $$($(PY) --version)"
	$(PYTEST)

test-pure: setup ## run the tests on the uncompiled core
	@echo "== uncompiled core, $$($(PY) --version)"
	PYSTACK_PURE=1 $(PY) -m pytest $(WORKERS) -m "not once and not compiled" $(ARGS)

test-other: # a reduced run on the system's Python, if that is another version
	@tools/test_other.sh $(JOBS) $(ARGS)

cpython: setup ## run CPython's own tests of sockets, asyncio, TLS and servers on the stack, on both Pythons (8 minutes)
	@echo "== compiled core, $$($(PY) --version)"
	$(PYTEST) tests/cpython
	@tools/test_other.sh $(JOBS) -m "" tests/cpython $(ARGS)

rfc: setup ## run the conformance tests and write docs/reference/rfc9293.md, rfc1122.md and rfc4787.md from the results
	@$(PY) -m tools.conformance

programs: setup ## run real programs on a stack and in virtual time (as root) and write docs/reference/real-programs.md
	@$(PY) -m tools.programs_docs

proxies: setup ## compare the HTTP proxy with nginx and HAProxy and write docs/reference/proxies.md
	@$(PY) -m tools.proxies_docs

site: setup ## build the course as a static site, which runs in any browser, without Python and a network (ARGS="FOLDER"; build/site)
	@$(PY) -m tools.static_site $(ARGS)

browsers: setup ## try the stepper, the course and the static site in Firefox and WebKit (5 minutes; webkit2gtk-driver and xvfb if they are installed)
	PYSTACK_BROWSERS=1 $(PY) -m pytest tests/browsers $(ARGS)

mutants: setup ## break the core in 240 ways and see whether the conformance tests notice (7 minutes; then make rfc)
	@$(PY) -m tools.mutate

paths: setup ## prove the critical path on 1,000 random runs, by frames that are held and by walks that are wrong (half an hour; ARGS="--runs 100 --sample 5")
	@$(PY) -m tools.paths $(ARGS)

fuzz: setup ## try new random cases: property tests, the fuzzer and the cost oracle, on both builds (10 minutes)
	for pass in 1 2 3 4 5; do HYPOTHESIS_PROFILE=search $(PYTEST) -q $$(grep -rl '^@given' tests) || exit; done
	$(PY) tools/fuzz.py --both --seconds 120
	$(PY) tools/fuzz.py --cost --seconds 120
	$(PY) tools/fuzz.py --cost --pure --seconds 120
	$(PY) tools/fuzz_driver.py --seconds 30

fuzz-coverage: setup ## fuzz by coverage, with the core compiled with sanitizers (an hour; ARGS="--seconds 600")
	@tools/setup.sh fuzz
	$(PY) tools/fuzz_coverage.py $(ARGS)

attack: setup ## run a malicious peer with 10,000 seeds on each build (ARGS="--seeds 100")
	$(PY) -m tools.attack --both --jobs $(JOBS) $(ARGS)

soak: build ## run a live TAP for an hour under mixed load, faults and churn; fail if anything grows (as root; ARGS="--hours 0.1")
	@$(PY) -m tools.soak $(ARGS)

tsan: build ## run the driver's compiled modules under ThreadSanitizer (minutes)
	@$(PY) tools/tsan.py

bench: setup ## measure speed beside the peers that are installed (as root, about 20 minutes; ARGS="--quick")
	@tools/setup.sh bench
	$(PY) -m tools.bench $(ARGS)

networks: build ## measure how much of many networks each algorithm uses; write docs/explanation/networks.md (minutes)
	@$(PY) -m tools.networks $(ARGS)

bench-instructions: ## count instructions for each packet, which do not depend on the machine's load (ARGS="--write" keeps them)
	@$(PY) -m tools.bench.instructions $(ARGS)

bench-probe: build ## count the instructions that the probe costs while it is off; builds a second core (minutes)
	@$(PY) -m tools.bench.probe_cost

lint: setup ## run ruff, mypy, and the check of the .pxd files
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) tools/pxd_lint.py
	@if [ -x web/node_modules/.bin/tsc ]; then cd web && npm run --silent check; else echo "the page's types: skipped, no npm"; fi

format: setup ## format the source with ruff
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

compilers: ## build with gcc-12, gcc-14 and clang-19 on each Python and run the core's tests (20 minutes; ARGS="--others")
	@VENV=$(VENV) JOBS=$(JOBS) tools/compilers.sh $(ARGS)

dist-check: ## build an sdist and a wheel, install each outside the tree, and try it (5 minutes)
	@tools/dist_check.sh

fresh-check: ## run the README's two commands in a minimal Debian 13 (as root, an hour; ARGS="demo": the first alone)
	@tools/fresh_check.sh $(ARGS)

vagrant-lint: ## run shellcheck and `vagrant validate`; prints what it skips
	@vagrant/lint.sh

vagrant-check: ## run the Vagrant VM for real, from Debian's packages alone (as root, about 15 minutes)
	@vagrant/check.sh $(ARGS)

clean: ## remove what the build made
	rm -rf build dist *.egg-info pystack_c/.directives
	find pystack_c pystack -name '*.so' -delete
	for c in $$(find pystack_c pystack -name '*.c'); do [ -e "$${c%.c}.pxd" ] && rm -f "$$c"; done; true
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean ## remove the virtual environments, too
	rm -rf web/node_modules pystack/stepper/web/static .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis
