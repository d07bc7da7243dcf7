# Every target works first thing after `git clone`, on a machine with make and Python >= 3.11.
PYTHON ?= python3
VENV := .venv
RUNS := $(VENV)/.installed-to-run
STAMP := $(VENV)/.installed
PIP := $(VENV)/bin/pip install --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help install reproduce report report-sgpo report-srpo test vllm check clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

install: $(STAMP)  ## create .venv/ with the exact versions of constraints.txt

reproduce: $(RUNS)  ## reproduce Table 3 of the SGPO paper on the embedded scale
	$(VENV)/bin/harness reproduce sgpo/table3

report: report-sgpo report-srpo  ## write docs/report/, docs/srpo/ and the numbers of README.md and docs/ anew, from five training seeds

report-sgpo: $(STAMP)
	$(VENV)/bin/harness reproduce sgpo/all --seeds 5 --run-dir runs/report
	$(VENV)/bin/python benchmarks/regress_alarms.py --run-dir runs/report/alarms --json runs/report/alarms.json
	$(VENV)/bin/python docs/make_report.py runs/report/sgpo/all --alarms runs/report/alarms.json

report-srpo: $(STAMP)
	$(VENV)/bin/harness reproduce srpo/all --seeds 5 --run-dir runs/report
	$(VENV)/bin/python docs/make_report.py runs/report/srpo/all

test: $(STAMP)  ## run the test suite
	$(VENV)/bin/python -m pytest -n auto --dist loadfile

vllm:  ## run the tests of vLLM in an environment of its own, on the processor
	PYTHON=$(PYTHON) .ci/vllm

check: $(STAMP)  ## lint, formatting, types, layering
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/mypy --explicit-package-bases docs/make_report.py benchmarks/regress_alarms.py benchmarks/kills.py \
	  benchmarks/claim_errors.py benchmarks/paper_claim_errors.py benchmarks/faulty_endpoint.py benchmarks/gpu.py benchmarks/world_power.py \
	  benchmarks/online_training.py
	$(VENV)/bin/lint-imports

clean:  ## remove .venv/, .venv-vllm/ and caches; runs/ stays
	rm -rf $(VENV) .venv-vllm .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNS): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "error: $(PYTHON) is missing or older than 3.11; name another one, as in: make $(or $(MAKECMDGOALS),install) PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  echo "error: $(PYTHON) lacks the venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@echo "installing into $(VENV)/: 1.8 GB with torch's CPU build, several more with the CUDA build; minutes, of which pip's" \
	  "last step says nothing"
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	@touch $@

$(STAMP): $(RUNS)
	@echo "installing what tests and checks need beside that: 0.5 GB"
	$(PIP) -e '.[test,dev]'
	@touch $@
