# make results/eval_night.json   everything, from set-up to the answer; any file under results/ works the same
# make test                      set-up, format, lint, types, tests
# VIDEOS=my/videos.tsv PARAMS=my/overlay.yaml CORES=8 may be added to the first.

PYTHON ?= python3
CORES ?= 8
VIDEOS ?= data/videos.tsv
PARAMS ?=
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONDONTWRITEBYTECODE = 1
PIP = python -m pip install --quiet --constraint constraints.txt
GIVEN = --cores $(CORES) --configfile params.yaml $(PARAMS) --config "videos=$(VIDEOS)" --
SNAKEMAKE = snakemake $(GIVEN)

results/%: .venv/weights FORCE
	@$(SNAKEMAKE) $@ $(patsubst eval_%.json,results/mlflow/receipts/eval_%.json,$(filter eval_%.json,$*))

.venv/ready: pyproject.toml constraints.txt
	@echo "setting up .venv (once; some minutes)"
	$(PYTHON) -m venv .venv
	$(PIP) --editable '.[dev]'
	$(PIP) --no-deps trackeval  # it asks for the OpenCV with a window system; the headless one serves it
	@touch $@

.venv/weights: .venv/ready $(wildcard dvc.lock .dvc/config)
	dvc pull --quiet train
	@touch $@

.PHONY: setup test format docs promote record mlflow unlock clean FORCE
setup: .venv/weights

test: .venv/weights
	ruff format --check .
	ruff check .
	snakefmt --check Snakefile workflow
	mypy
	OMP_NUM_THREADS=1 pytest --numprocesses 2 --dist loadfile

format: .venv/ready
	ruff format .
	ruff check --fix .
	snakefmt Snakefile workflow

docs: .venv/ready  # the pages that are made from the code
	python -m runner_reid.tables > docs/tables.md

promote: .venv/ready  # trained weights become the ones that are used; nothing is trained
	@snakemake --allowed-rules promote $(GIVEN) promote
	dvc commit --quiet --force train
	dvc push --quiet train
	@touch .venv/weights

record: .venv/ready  # what is there and not recorded yet becomes runs of MLflow; nothing else is made
	@snakemake --allowed-rules record record_evaluation record_training $(GIVEN) record
	@python -m runner_reid.recording results/mlflow/outbox

mlflow: record  # look at them: http://127.0.0.1:5000
	@python -m runner_reid.recording results/mlflow/outbox --views http://127.0.0.1:5000
	MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
	  mlflow server --host 127.0.0.1 --workers 1 --backend-store-uri sqlite:///mlflow.db

unlock: .venv/ready  # after a machine went down in the middle of a run
	snakemake --cores 1 --unlock

clean:
	rm -rf results logs .snakemake

FORCE:
