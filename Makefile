# Everything a person does with this project.  `make help` says what there is.
SHELL := /bin/sh
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/ready
export PYTHONPATH := src:plugins:jobs:.
SCORE_DATE ?=

.DEFAULT_GOAL := help

.PHONY: help
help:  ## say what there is
	@while IFS= read -r line; do case "$$line" in [a-z]*:*'## '*) \
	  printf '  make %-12s %s\n' "$${line%%:*}" "$${line#*## }";; esac; done < Makefile
	@echo
	@echo "Settings: PROPENSITY_CONF (a configuration folder, conf), PROPENSITY_HOME (where data goes, var),"
	@echo "AIRFLOW_PORT (8080), POSTGRES_PORT (54329), SCORE_DATE (a day, for make demo)"

.PHONY: demo
demo: $(STAMP)  ## the main job, start to end: a year of shopping becomes published scores
	@$(PY) -m ops demo $(if $(SCORE_DATE),--score-date '$(SCORE_DATE)')

.PHONY: up
up: $(STAMP)  ## bring up the Airflow web UI, scheduler and database, until Ctrl-C
	@$(PY) -m ops up

.PHONY: serve
serve: $(STAMP)  ## the online service: scores by HTTP, until Ctrl-C
	@$(PY) -m ops serve

.PHONY: airflow
airflow: $(STAMP)  ## the airflow command: make airflow RUN="dags list"
	@$(PY) -m ops airflow $(RUN)

.PHONY: test
test: $(STAMP) browser  ## run every test
	@$(PY) -m ops java
	$(PY) -m pytest

.PHONY: lint
lint: $(STAMP)  ## check style, types and the direction of imports
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

.PHONY: evaluate
evaluate: $(STAMP)  ## judge the model beside five peers over held-out windows of the undivided data (FAST=1: one window)
	@$(PY) -m ops java
	$(PY) -m benchmarks.evaluate $(if $(FAST),--fast)

.PHONY: campaigns
campaigns: $(STAMP)  ## rank the households that real campaigns targeted; count redemptions among the first
	@$(PY) -m ops java
	$(PY) -m benchmarks.campaigns

.PHONY: bench
bench: $(STAMP)  ## how fast: ours beside peers on the same data, tables into benchmarks/README.md (FAST=1: a first look)
	@$(PY) -m ops java
	$(PY) -m benchmarks.speed $(if $(FAST),--fast,--write)

.PHONY: bench-gpu
bench-gpu: $(STAMP)  ## training and scoring on the GPU beside the CPU; one line where there is no GPU
	@$(PY) -m benchmarks.gpu $(if $(FAST),--fast)

.PHONY: load
load: $(STAMP)  ## measure the online service over HTTP beside a bare endpoint
	$(PY) -m benchmarks.http_load

.PHONY: soak
soak: $(STAMP)  ## a million scores and 200 model swaps, watching the memory
	$(PY) -m benchmarks.soak

.PHONY: parity
parity: $(STAMP)  ## prove that training code, Spark and the online path score alike (FULL=1: 4.4 million customers)
	@$(PY) -m ops java
	$(PY) -m benchmarks.parity $(if $(FULL),--full)

.PHONY: latency
latency: $(STAMP)  ## time one customer in process, at the reference shape
	$(PY) -m benchmarks.latency

.PHONY: redemption
redemption: $(STAMP)  ## judge the field-embedding network against XGBoost: who redeems a coupon?
	@$(PY) -m ops java
	$(PY) -m benchmarks.redemption

.PHONY: rollback
rollback: $(STAMP)  ## make a region's last champion champion again, scores too: make rollback REGION=north
	@test -n "$(REGION)" || { echo "error: no region. To do: make rollback REGION=north" >&2; exit 2; }
	@$(PY) -m ops java
	@$(PY) jobs/rollback.py --region '$(REGION)' $(if $(VERSION),--version '$(VERSION)')

.PHONY: setup
setup: $(STAMP)  ## make the Python environment (done by the others when needed)

$(STAMP): requirements.txt
	@python=; for p in python3.11 python3; do \
	  if command -v $$p >/dev/null 2>&1 && [ "$$($$p -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = 3.11 ]; then \
	    python=$$p; break; fi; done; \
	if [ -z "$$python" ]; then echo "error: no Python 3.11 here. To do: install python3.11 and its venv module" >&2; exit 2; fi; \
	set -- $$(df -Pk . | tail -n 1); \
	if [ "$${4:-9999999}" -lt 4000000 ]; then \
	  echo "error: less than 4 GB are free here. To do: free disk space" >&2; exit 2; fi; \
	$$python -m venv $(VENV) || { echo "error: python3.11 cannot make a virtual environment. To do: install its venv module" >&2; exit 2; }
	@echo "Installing the Python packages (a few minutes, once)"
	@$(PY) -m pip install -qq --disable-pip-version-check --requirement requirements.txt
	@touch $@

.PHONY: browser
browser:
	@$(PY) -m ops browser

.PHONY: clean
clean:  ## remove caches (not the environment, not the data)
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf $(foreach d,src plugins jobs ops dags tests benchmarks,$(wildcard $(d)/__pycache__ $(d)/*/__pycache__ $(d)/*/*/__pycache__))

.PHONY: clean-all
clean-all: clean  ## also remove the environment and all data of this project
	@if [ -x $(PY) ]; then $(PY) -m ops down; fi
	rm -rf $(VENV) var
