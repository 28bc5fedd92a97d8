# What one types. GNU Make 3.81, which macOS ships, is enough.
#
# The environment is made once, in .venv; a stamp in it stands for an installation, and is made again when
# pyproject.toml or constraints.txt changed. TORCH=cuda takes a CUDA build of torch; TORCH=none does without torch,
# which is enough to judge the evidence that is filed.

.DEFAULT_GOAL := help
.NOTPARALLEL:

VENV := .venv
PYTHON_HERE := $(VENV)/bin/python
PYTEST := $(PYTHON_HERE) -m pytest
INSTALL := $(PYTHON_HERE) -m pip install --quiet --disable-pip-version-check -c constraints.txt
LISTED := pyproject.toml constraints.txt $(PYTHON_HERE)

# Two workers with as many torch threads as there are cores run at a third of the speed. WORKERS=0 does without.
WORKERS ?= 2
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

JUDGING := $(VENV)/.judging
MEASURING := $(VENV)/.measuring$(TORCH)
DEVELOPING := $(VENV)/.developing$(TORCH)

ifeq ($(TORCH),none)
RECORD_NEEDS := $(JUDGING)
FROZEN := --frozen
else
RECORD_NEEDS := $(MEASURING)
FROZEN :=
endif

.PHONY: help install record test lint check reproduce pretrained saes mutate lock bench calibrate clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile
	@echo "TORCH=cuda takes a CUDA build of torch, TORCH=none judges filed evidence without torch, PYTHON=... names the Python, WORKERS=0 uses one process"

install: $(RECORD_NEEDS) ## make the environment that measures and judges

record: $(RECORD_NEEDS) ## judge every claim, measuring what is missing; write REPORT.md, artifacts/record/ and artifacts/report/
	$(ONE_THREAD) $(PYTEST) $(FROZEN) --report -n $(WORKERS)

test: $(DEVELOPING) ## test the instruments
	$(ONE_THREAD) MECHLIB_CHECK_SHAPES=1 $(PYTEST) tests -n $(WORKERS) --dist worksteal

lint: $(DEVELOPING) ## style, types, spelling, and which room may import which
	$(PYTHON_HERE) -m ruff check .
	$(PYTHON_HERE) -m ruff format --check .
	$(PYTHON_HERE) -m mypy
	$(VENV)/bin/typos
	$(VENV)/bin/lint-imports --no-logo

check: lint test ## lint, test, and whether the record is what the filed evidence says
	@rm -rf $(VENV)/before && mkdir -p $(VENV)/before && cp -R REPORT.md artifacts/record $(VENV)/before/ 2>/dev/null || :
	$(PYTEST) --frozen --report -n $(WORKERS)
	@cmp -s REPORT.md $(VENV)/before/REPORT.md && diff -rq artifacts/record $(VENV)/before/record || \
	{ echo "REPORT.md or artifacts/record was not what text and evidence say; it is now: read it, then commit it" >&2; exit 1; }
	$(VENV)/bin/mechlib verify --records artifacts/report/records.jsonl

# Without models that are fetched: their weights may be in a cache of this machine, but they are not part of the record's promise.
# From 1 on SAMPLE measures all of the models' own evidence and one file in SAMPLE of what controls a claim (twins, exchanged
# parts), others at each commit; SAMPLE=1 is all of both. Below 1 it is the share of all files that is measured.
SAMPLE ?= 20
reproduce: $(MEASURING) ## measure all that claims say of the shipped models again, and some of the controls; SAMPLE=1 all of them
	$(ONE_THREAD) HF_HUB_CACHE=$(CURDIR)/$(VENV)/no-hub MECHLIB_CACHE=$(CURDIR)/$(VENV)/no-hub \
	$(PYTEST) --fresh --sample $(SAMPLE) -n $(WORKERS) --dist worksteal

# MODELS names some of them. ACCEPT=1 accepts the licences that have to be accepted. An interrupted run goes on.
MODELS ?= smollm2-135m gemma3-270m qwen2.5-coder-0.5b
pretrained: $(MEASURING) ## fetch the pretrained models, 4 GB, and measure what is missing of them, hours; ACCEPT=1, MODELS=...
	$(VENV)/bin/mechlib fetch $(MODELS) $(if $(ACCEPT),--accept-licence)
	@failed=0; for model in $(MODELS); do $(ONE_THREAD) $(PYTEST) -k $$model -n $(WORKERS) || failed=1; done; exit $$failed

# Cached text and activations, 0.3 GB, stay in artifacts/local/saes/ so that an interrupted run goes on. glibc keeps memory
# that was freed: else a sixth of the time of a training is the kernel's, which clears it again at each step.
SAES ?= smollm2-135m
saes: $(MEASURING) ## make the sparse autoencoders of smollm2-135m, which has to be fetched: half an hour; SAES=smollm2-135m@untrained
	MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=-1 $(PYTHON_HERE) fixtures/saes/make.py $(SAES)

# A mutant is a line of the judging half that was changed; one that survives is a line whose fault no test would notice.
# WHAT names some of them, as in WHAT='mechlib.statistics.multiplicity*'. All of them take hours.
mutate: $(DEVELOPING) ## break the judging half on purpose, a line at a time; list what no test noticed
	$(INSTALL) -e '.[mutate]'
	$(ONE_THREAD) $(VENV)/bin/mutmut run --max-children $(or $(filter-out 0,$(WORKERS)),1) $(if $(WHAT),'$(WHAT)')
	$(VENV)/bin/mutmut results

lock: $(PYTHON_HERE) ## choose the newest versions that fit pyproject.toml, and pin them in constraints.txt
	$(PYTHON_HERE) tools/lock.py > $(VENV)/constraints.new
	mv $(VENV)/constraints.new constraints.txt

bench: $(DEVELOPING) ## compare the speed with what one would use otherwise; write artifacts/bench.json
	@rm -f artifacts/bench.json; missed=0; \
	for file in benchmarks/bench_*.py; do echo "== $$file"; $(PYTHON_HERE) $$file || missed=1; done; exit $$missed

# Ten minutes on two cores. WORLDS=10000 narrows the limits.
calibrate: $(JUDGING) ## simulate how often the statistics are wrong; write artifacts/calibration.json
	$(ONE_THREAD) $(PYTHON_HERE) benchmarks/calibration.py --worlds $(or $(WORLDS),4000)

clean: ## remove the environment, caches and the built report; the record stays
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .import_linter_cache mutants artifacts/report

$(PYTHON_HERE):
	sh tools/venv.sh $(VENV)

$(JUDGING): $(LISTED)
	@echo "installing what judging needs: about 0.3 GB"
	$(INSTALL) -e .
	@touch $@

$(MEASURING): $(LISTED) tools/install_torch.py
	@echo "installing what measuring needs: about 2 GB, a few minutes"
	$(PYTHON_HERE) tools/install_torch.py $(TORCH)
	$(INSTALL) -e '.[measure,features,paper]'
	@touch $@

$(DEVELOPING): $(MEASURING)
	$(INSTALL) -e '.[dev]'
	@touch $@
