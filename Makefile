# Everything that a person runs. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EPOCHS ?=
DAY ?=
SPEED ?=
PROGRAM ?=
PROGRAMS := governance registry energy_token oracle trading
SAMPLE ?= 6
LOCKS := requirements
PIP = $(BIN)/python -m pip --disable-pip-version-check
# Exactly what stands in the locks: nothing is resolved, nothing is built, and whatever is newer in the index is not looked at.
INSTALL_LOCKED = $(PIP) install --quiet --no-deps --only-binary :all: --require-hashes -r
INSTALL_SELF = $(PIP) install --quiet --no-deps --no-build-isolation
PIP_CHECK = broken=$$($(PIP) check) || { echo "$$broken" >&2; exit 1; }
# A file's tests stay together, since what a module sets up (a demo, a campus on a chain) takes longer than most tests.
BY_FILE = --dist loadfile --no-loadscope-reorder
MUTATION_CHECK = $(BIN)/python tests/programs/mutation_check.py --jobs $(or $(JOBS),2) --built programs/target

.PHONY: help demo test test-python soak lint format rooms programs programs-check mutation-check mutation-sample docs test-next-year catalogues install-gateway install-authority deb lock clean

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | column -t -s $$'\t' || true

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or later is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3-venv is needed: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

# What a lock names, and that it lacks nothing.
$(VENV)/.locked-%: $(LOCKS)/%.lock | $(VENV)/.created
	@echo "Installing $*.lock into $(VENV) (once) ..."
	@$(INSTALL_LOCKED) $<
	@$(PIP_CHECK)
	@touch $@

$(VENV)/.authority: $(VENV)/.locked-authority pyproject.toml authority/pyproject.toml
	@$(INSTALL_SELF) --editable . --editable ./authority
	@$(PIP_CHECK)
	@touch $@

$(VENV)/.dev: $(VENV)/.locked-dev pyproject.toml authority/pyproject.toml
	@touch $(VENV)/.locked-authority
	@$(INSTALL_SELF) --editable . --editable ./authority
	@$(PIP_CHECK)
	@touch $(VENV)/.authority $@

demo: $(VENV)/.authority ## Four campus buildings and four flats, metered, signed, minted and traded. EPOCHS=3 ends after three; DAY=2016-07-21 SPEED=90
	@$(BIN)/authority demo $(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(DAY),--day $(DAY)) $(if $(SPEED),--speed $(SPEED))

test: $(VENV)/.dev ## All checks: linters, tests, and that the built programs are their sources' (installs Debian packages where run as root)
	@tests/install_system.sh
	@$(MAKE) --no-print-directory lint
	@tests/check_programs.sh $(MAKE) --no-print-directory test-python

test-python: $(VENV)/.dev ## The tests alone: make test-python TESTS=tests/edge_agent
ifdef TESTS
	@$(BIN)/python -m pytest -n $(or $(JOBS),4) $(BY_FILE) $(TESTS)
else
	@failed=; \
	$(BIN)/python -m pytest -n $(or $(JOBS),4) $(BY_FILE) -m "not agave" || failed=1; \
	$(BIN)/python -m pytest -n 2 --dist loadfile -m agave || failed=1; \
	[ -z "$$failed" ]
endif

# Not in continuous integration: it is the whole Python suite once more.
test-next-year: $(VENV)/.dev ## The tests with the clock of every process a year ahead, to see what expires. TESTS=tests/authority takes those alone
	@mkdir -p build
	@$(CC) -shared -fPIC -O2 -o build/later.so tests/support/later.c
	@LD_PRELOAD=$$PWD/build/later.so LATER_SECONDS=31622400 \
	    $(BIN)/python -m pytest -n $(or $(JOBS),4) $(BY_FILE) -m "not agave" $(TESTS)

soak: $(VENV)/.dev ## Whole gateways under a fast clock while everything breaks; one line of JSON, status 0 where nothing is lost. READINGS=1000000 SEED=1
	@$(BIN)/python tests/soak --readings $(or $(READINGS),1000000) --seed $(or $(SEED),1)

rooms: $(VENV)/.dev ## The tree's rooms with their lines, and the arrows between them
	@$(BIN)/python tests/support/rooms.py

lint: $(VENV)/.dev ## Formatter, linter, strict types, import contracts, and that what is generated is as its sources
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python docs/languages/catalogues.py --check
	@$(BIN)/python docs/site/codes.py --check
	@$(BIN)/python docs/site/client.py --check

format: $(VENV)/.dev ## Put the sources into the project's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

programs: ## Build the Solana programs and their IDLs into programs/artifacts
	@programs/toolchain/setup.sh
	@programs/toolchain/build_all.py

programs-check: ## Rebuild the programs and compare with programs/artifacts
	@programs/toolchain/setup.sh
	@programs/toolchain/build_all.py --check --keep programs/target/checked

mutation-check: $(VENV)/.dev ## Take out every guard of every program in turn; some test must fail for each (long). PROGRAM=oracle takes that one alone
	@programs/toolchain/setup.sh
	@failed=; for program in $(or $(PROGRAM),$(PROGRAMS)); do \
	    $(MUTATION_CHECK) $$program || failed+=" $$program"; \
	done; \
	[ -z "$$failed" ] || { echo "mutation-check: not clean:$$failed" >&2; exit 1; }

mutation-sample: $(VENV)/.dev ## The same with a few guards of one program, others every day (part of make test)
	@programs/toolchain/setup.sh
	@programs=($(PROGRAMS)); day=$$(date -u +%-j); seed=$$(date -u +%F); program=$(or $(PROGRAM),$${programs[day % $${#programs[@]}]}); \
	echo "mutation-sample: $(SAMPLE) guards of $$program, seed $$seed"; \
	$(MUTATION_CHECK) "$$program" --sample $(SAMPLE) --seed "$$seed"

docs: $(VENV)/.dev ## The documents as a site in build/docs, with the commands and the API; a broken link is an error
	@$(BIN)/python docs/site/codes.py
	@$(BIN)/python docs/site/client.py
	@$(BIN)/python docs/site/build.py build/docs
	@echo "build/docs/index.html"

catalogues: $(VENV)/.dev ## The catalogues of the pages' languages: what the sources say now, updated and compiled
	@$(BIN)/python docs/languages/catalogues.py

install-gateway: ## On a gateway: the edge agent and nothing else, into PREFIX (/opt/edge-agent)
	@$(MAKE) --no-print-directory VENV=$(or $(PREFIX),/opt/edge-agent) $(or $(PREFIX),/opt/edge-agent)/.installed-edge

install-authority: ## On the authority's host: the service, into PREFIX (/opt/campus). POSTGRESQL=1 adds that database's driver, PARQUET=1 what writes Parquet
	@$(MAKE) --no-print-directory VENV=$(or $(PREFIX),/opt/campus) $(or $(PREFIX),/opt/campus)/.installed-authority$(if $(POSTGRESQL),-postgresql) $(if $(PARQUET),$(or $(PREFIX),/opt/campus)/.locked-parquet)

.PHONY: $(VENV)/.installed-edge $(VENV)/.installed-authority $(VENV)/.installed-authority-postgresql
$(VENV)/.installed-edge: $(VENV)/.locked-edge
	@$(INSTALL_SELF) .
	@$(PIP_CHECK)

$(VENV)/.installed-authority $(VENV)/.installed-authority-postgresql: $(VENV)/.installed-%: $(VENV)/.locked-%
	@$(INSTALL_SELF) . ./authority
	@$(PIP_CHECK)

deb: $(VENV)/.dev ## Debian packages of both, for bookworm and trixie, in build/deb. SUITE=trixie, ARCH=arm64, PACKAGE=edge-agent
	@$(BIN)/python deploy/build_deb.py $(PACKAGE) $(if $(SUITE),--suite $(SUITE)) $(if $(ARCH),--arch $(ARCH))

PEERS := anchorpy build dask dataset dlms gymnasium jupytext micropython micropython-rp2-stubs micropython-unix-stubs node parquet schemathesis sepaxml
COMPILE = $(BIN)/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --python $(BIN)/python --generate-hashes --only-binary :all: \
    --no-strip-extras --no-emit-package campus-edge-agent --no-emit-index-url --no-annotate --no-header

EXTRA_PARQUET = $$($(BIN)/python -c "import tomllib; print(*tomllib.load(open('authority/pyproject.toml', 'rb'))['project']['optional-dependencies']['parquet'])")

lock: $(VENV)/.created ## Renew the lock files from the two pyproject.toml; KEEP=1 adds what they lack and leaves the rest as it is
	@$(PIP) install --quiet uv
	@$(COMPILE) $(if $(KEEP),,--upgrade) pyproject.toml authority/pyproject.toml --extra postgresql --group dev -o $(LOCKS)/dev.lock
	@$(COMPILE) pyproject.toml --group build -c $(LOCKS)/dev.lock -o $(LOCKS)/edge.lock
	@$(COMPILE) authority/pyproject.toml --group build -c $(LOCKS)/dev.lock -o $(LOCKS)/authority.lock
	@$(COMPILE) authority/pyproject.toml --extra postgresql --group build -c $(LOCKS)/dev.lock -o $(LOCKS)/authority-postgresql.lock
	@printf '%s\n' $(EXTRA_PARQUET) | $(COMPILE) - -c $(LOCKS)/dev.lock -o $(LOCKS)/parquet.lock
	@for peer in $(PEERS); do \
	    $(COMPILE) $(if $(KEEP),,--upgrade) --no-binary construct --group pyproject.toml:peer-$$peer -o $(LOCKS)/peer-$$peer.lock; \
	done

clean: ## Remove what was made here (the demo's state too)
	rm -rf $(VENV) build .demo demo-report.json .mypy_cache .ruff_cache .pytest_cache .hypothesis .schemathesis programs/target
