# The two commands: `make demo` and `make test`. Everything they need lands in this folder
# (node_modules, .venv, target); only the caches of npm, pip and cargo are shared with the machine.
#
# A step that takes long leaves a stamp in .stamps/ and runs again when what it was made from changes.
# The three feature sets build in three target folders: cargo gives a cdylib one file name whatever its
# features, so the Node and the Python build would overwrite each other's library in a shared one.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.SUFFIXES:
SHELL := /bin/sh
.SHELLFLAGS := -eu -c

# CI builds what the lock file says; a checkout may be half-way through changing it.
LOCKED := $(if $(CI),--locked)
# CI says of a commit what a clone says of it: generated programs are the same ones there, new ones each time elsewhere.
JIT_SEED := $(if $(CI),IRIS_JIT_SEED=1)
NODE_SEED := $(if $(CI),IRIS_SEED=1)
VENV := .venv/bin
# One interpreter for every cargo call, or pyo3 is built again for each.
export PYO3_PYTHON := $(CURDIR)/.venv/bin/python
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

RUST := $(wildcard Cargo.toml Cargo.lock build.rs) $(shell find src -name '*.rs')
NODE_TESTS = $(filter-out __test__/docs.spec.mjs,$(wildcard __test__/*.spec.mjs __test__/*.spec.cjs __test__/*.spec.js))

# A stamp without its result is stale.
ifeq ($(wildcard node_modules/.package-lock.json),)
$(shell rm -f .stamps/npm)
endif
ifeq ($(wildcard .venv/bin/maturin),)
$(shell rm -f .stamps/venv)
endif
ifeq ($(wildcard iris.*.node),)
$(shell rm -f .stamps/node)
endif
ifeq ($(wildcard python/iris/_iris.*.so python/iris/_iris.so),)
$(shell rm -f .stamps/python)
endif

.PHONY: help
help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# --- setup ---------------------------------------------------------------------------------------

.PHONY: setup
setup: .stamps/npm .stamps/venv ## Install npm packages and the Python venv

# Not `npm ci`: it refuses a lock file without the optional packages of platforms whose builds a registry mirror does
# not carry. `--no-save` installs what the lock file pins and leaves the file alone all the same.
.stamps/npm: package.json package-lock.json
	@command -v node >/dev/null || { echo 'iris needs Node.js >= 20 (node is not on PATH)' >&2; exit 1; }
	@node -e 'if (parseInt(process.versions.node) < 20) { console.error("iris needs Node.js >= 20; found " + process.version); process.exit(1) }'
	npm install --no-save --no-audit --no-fund --loglevel=error
	@mkdir -p $(@D) && touch $@

.stamps/venv: requirements-dev.txt
	@found=; candidates=$${PYTHON:-python3.11 python3 python3.14 python3.13 python3.12}; \
	for python in $$candidates; do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "iris needs Python >= 3.11; tried: $$candidates. Name another: PYTHON=/path/to/python make ..." >&2; exit 1; \
	fi; \
	echo "venv from $$found"; \
	[ -x $(VENV)/pip ] || "$$found" -m venv --clear .venv
	$(VENV)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@mkdir -p $(@D) && touch $@

# --- build ---------------------------------------------------------------------------------------

# These stamps bear the time at which the build began: what was edited meanwhile is built next time.

.PHONY: build build-node build-python
build: build-node build-python ## Build the Node addon and the Python module (release)

build-node: .stamps/node ## Build iris.<platform>.node
.stamps/node: .stamps/npm $(filter-out src/python/%,$(RUST))
	@mkdir -p $(@D) && touch $@.begun
	npm run --silent build -- -- $(LOCKED)
	@mv $@.begun $@

build-python: .stamps/python ## Build iris._iris into .venv
.stamps/python: .stamps/venv pyproject.toml $(filter-out src/node/%,$(RUST))
	@mkdir -p $(@D) && touch $@.begun
	VIRTUAL_ENV=$(CURDIR)/.venv CARGO_TARGET_DIR=target/python $(VENV)/maturin develop --release --quiet $(LOCKED)
	@mv $@.begun $@

# --- run -----------------------------------------------------------------------------------------

.PHONY: demo
demo: build ## The main job on real input, in Node and in Python (FILE=... for another input)
	node examples/node/pipeline.mjs $(FILE)
	$(VENV)/python examples/python/pipeline.py $(FILE)
	node examples/node/mesh.mjs $(VENV)/python
	node examples/node/resilient-service/main.mjs

# --- test ----------------------------------------------------------------------------------------

.PHONY: test test-rust test-model test-node test-python test-types test-docs
test: lint test-rust $(if $(wildcard tests/model.rs),test-model) test-types test-node test-docs test-python ## Everything: lint, Rust, types, Node, docs, Python

test-rust: ## cargo test of the core (unit, integration, doctests)
	cargo test $(LOCKED)
	cargo test $(LOCKED) --features jit,vortex --lib -- jit vortex
	$(JIT_SEED) cargo test $(LOCKED) --features jit,vortex --test jit_bytes --test vortex

test-model: ## The core under shuttle's schedules (tests/model.rs)
	CARGO_PROFILE_DEV_OPT_LEVEL=1 RUSTFLAGS='--cfg iris_shuttle' cargo test $(LOCKED) --target-dir target/model --test model

test-node: build-node ## node --test over __test__
	$(if $(NODE_TESTS),,$(error no tests in __test__))
	$(NODE_SEED) node --test --test-reporter=spec --test-timeout=900000 $(NODE_TESTS)

test-python: build-python ## pytest over python/tests
	$(JIT_SEED) $(VENV)/pytest --ignore=python/tests/test_docs.py

test-types: tsc build-python ## What npm and PyPI users' type checkers see
	publint --strict
	attw --pack . --no-emoji
	$(VENV)/python -m mypy.stubtest iris._iris $(addprefix --allowlist=,$(wildcard python/stubtest.txt))

test-docs: build ## Run every example of README.md and docs/
	node --test --test-reporter=spec --test-timeout=900000 __test__/docs.spec.mjs
	$(VENV)/pytest python/tests/test_docs.py

# --- lint ----------------------------------------------------------------------------------------

.PHONY: lint lint-rust lint-js lint-python tsc
lint: lint-rust lint-js lint-python tsc ## fmt, clippy, rustdoc, biome, tsc, ruff, mypy, pyright

# `--no-default-features` is the proof that the core knows no host; a face without the rest, that features only add.
lint-rust: .stamps/venv
	cargo fmt --check
	cargo clippy --quiet $(LOCKED) --no-default-features --all-targets -- -D warnings
	cargo clippy --quiet $(LOCKED) --features node,jit,vortex --all-targets --target-dir target/node -- -D warnings
	cargo clippy --quiet $(LOCKED) --features python,jit,vortex --all-targets --target-dir target/python -- -D warnings
	cargo clippy --quiet $(LOCKED) --no-default-features --features node --target-dir target/node -- -D warnings
	cargo clippy --quiet $(LOCKED) --no-default-features --features python --target-dir target/python -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --quiet $(LOCKED) --no-deps

lint-js: .stamps/npm
	biome ci $(if $(CI),--colors=off) .

lint-python: .stamps/npm .stamps/venv
	$(VENV)/ruff format --check .
	$(VENV)/ruff check .
	$(VENV)/mypy
	pyright

tsc: .stamps/npm
	tsc -p tsconfig.json

.PHONY: fix
fix: setup ## Format everything and apply safe lint fixes
	cargo fmt
	biome check --write .
	$(VENV)/ruff check --fix .
	$(VENV)/ruff format .

# --- measure -------------------------------------------------------------------------------------

.PHONY: bench bench-quick soak
bench: build ## Measure iris and its peers, write docs/performance.md (~ 20 min)
	node bench/run.mjs

bench-quick: build ## The same rows in < 2 minutes, prints only
	node bench/run.mjs --quick

soak: build ## The long checks: floods, a million actors, flat memory under churn, 1,000 cuts in 10 M remote messages
	cargo test $(LOCKED) --test mesh -- --ignored
	IRIS_SEEDS=3000 cargo test $(LOCKED) --lib mesh::tests
	node bench/run.mjs --only checks --no-write
	IRIS_JIT_FUNCTIONS=200000 cargo test $(LOCKED) --features jit --test jit_bytes -- --nocapture
	IRIS_CASES=200000 IRIS_CYCLES=10000 node --test --test-timeout=3600000 __test__/offload-generated.spec.mjs __test__/offload-faults.spec.mjs
	IRIS_JIT_CASES=200000 $(VENV)/pytest -s python/tests/test_jit_generated.py
	$(VENV)/pytest -m soak python/tests/test_jit_memory.py
	IRIS_SOAK=1 node --test --test-reporter=spec __test__/soak.spec.mjs
	$(VENV)/pytest python/tests/test_soak.py python/tests/test_exit.py -m soak

.PHONY: clean
clean: ## Remove everything that make made
	rm -rf target .stamps .venv node_modules dist iris.*.node bench/.venv bench/node/node_modules bench/rust/target
	find python -name '*.so' -delete
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
