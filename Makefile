# make help

SHELL = /bin/sh
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11 /usr/bin/python3; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	&& { command -v $$p; break; }; done)
VENV = build/venv
PY = $(VENV)/bin/python
READY = $(VENV)/.requirements
SOURCES = src tests bench demo packaging/rootfs.py packaging/build-deb packaging/catalog.py
ARGS =
INTERPRETER = test -n "$(PYTHON)" || { echo 'no python3 of 3.11 or later on PATH' >&2; exit 1; }; \
	packaging/host-tools python "$(PYTHON)"
# Runs what fetches over a network up to three times.
AGAIN = packaging/again

.PHONY: native fuzz clients generate help check test unit deb deb-check demo check-units bench score lock clean host-tools \
	prepared lint types package image-machine image-vm image-docker

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

check: $(READY) native ## linters, types, and the tests that need neither root nor a machine
	$(VENV)/bin/ruff check $(wildcard $(SOURCES))
	$(VENV)/bin/ruff format --check $(wildcard $(SOURCES))
	$(VENV)/bin/mypy
	$(MAKE) --no-print-directory unit

unit: $(READY) native
	@packaging/host-tools unit
	$(PY) -m pytest -m 'not appliance and not vm and not slow' $(ARGS)

# In the order of the files, so that two runs of one commit do the same; `make check` shuffles.
test: ## everything: linters, types, unit tests, booted machines
	@packaging/host-tools machines
	@packaging/host-tools native
	@$(INTERPRETER)
	@$(MAKE) --no-print-directory --jobs=4 --output-sync=target prepared
	$(PY) -m pytest -p no:randomly --hypothesis-profile=same $(ARGS)

# What the tests would otherwise make one after the other, in the middle of which they run.
prepared: lint types native clients package image-machine image-vm image-docker

lint: $(READY)
	$(VENV)/bin/ruff check $(wildcard $(SOURCES))
	$(VENV)/bin/ruff format --check $(wildcard $(SOURCES))

types: $(READY)
	$(VENV)/bin/mypy

# Without root there are no machines, and their tests are skipped.
package: $(READY)
	@test "$$(id -u)" -ne 0 || $(PY) packaging/build-deb >/dev/null

image-machine image-vm image-docker: image-%:
	@test "$$(id -u)" -ne 0 || "$(PYTHON)" packaging/rootfs.py $* >/dev/null

# The MCP clients that are written in TypeScript, by their lock file, and without their scripts.
CLIENTS = tests/clients/node_modules/.package-lock.json
clients: host-tools $(CLIENTS)

$(CLIENTS): tests/clients/package-lock.json
	cd tests/clients && $(CURDIR)/$(AGAIN) npm ci --ignore-scripts --no-audit --no-fund --loglevel=error \
	  --fetch-retries=5
	touch $@

deb: host-tools $(READY) ## the Debian package, in build/deb
	$(PY) packaging/build-deb

deb-check: host-tools $(READY) ## build it twice, compare the bytes, run lintian
	$(PY) packaging/build-deb --twice --lint

demo: host-tools $(READY) ## boot a Debian 13, install, hold an MCP conversation, show the audit
	@$(PY) demo/run.py

check-units: host-tools $(READY) ## verify the units and print their exposure
	@PYTHONPATH=tests $(PY) -m appliance.check_units

bench: $(READY) native ## measure, each figure next to its floor in the same run
	@PYTHONPATH=src $(PY) -m bench $(ARGS)

score: $(READY) ## score classifier and redaction on the corpora
	PYTHONPATH=src $(PY) -m bench.score $(ARGS)

native: ## the launcher of enforced commands, in build/native
	@packaging/host-tools native
	@$(MAKE) --no-print-directory -s -C src/native OUT=$(CURDIR)/build/native all check

fuzz: $(READY) native ## feed the launcher's reader of plans from a fuzzer, ARGS=-max_total_time=300
	@$(MAKE) --no-print-directory -s -C src/native OUT=$(CURDIR)/build/native fuzz \
	  PYTHON=$(CURDIR)/$(PY) ARGS='$(ARGS)'

generate: $(READY) ## documents, completion and catalog that follow from the code
	PYTHONPATH=src $(PY) -m relay_shell.cli.gendocs
	$(PY) packaging/catalog.py > deploy/systemd/catalog/relay-shell.catalog

lock: $(READY) ## make the lists with digests anew from requirements-*.in
	$(VENV)/bin/pip install --quiet uv
	cd $(CURDIR) && for name in dev vendor; do \
	  options='--universal --python-version 3.11'; \
	  test $$name = dev || options='--no-deps --python-version 3.13'; \
	  { echo "# Made by \`make lock\` from requirements-$$name.in."; \
	    $(VENV)/bin/uv pip compile --quiet --generate-hashes --no-annotate --no-header $$options \
	      requirements-$$name.in; } > requirements-$$name.new \
	  && mv requirements-$$name.new requirements-$$name.txt || exit 1; \
	done

$(READY): requirements-dev.txt
	@$(INTERPRETER)
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(AGAIN) $(PY) -m pip install --quiet --disable-pip-version-check --retries 10 --timeout 60 \
	  --require-hashes -r requirements-dev.txt
	touch $@

host-tools:
	@packaging/host-tools machines

clean: ## remove build/, with its cached file systems
	! test -d build || chattr -R -f -i -a build 2>/dev/null || true
	rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis
