# make demo        set up .venv, run the whole workflow on a synthetic cohort, list the files worth opening
# make test        set up .venv, run all tests in two processes
# make slurm-test  as root: run the workflow on a Slurm of three nodes on this machine, with failures of jobs and of the head
# make lint        ruff, snakefmt, snakemake --lint, mypy
# make vllm-test   set up .venv-vllm, run the client, stages, evaluate.others and the recipe of the paper against a real vLLM on the CPU
# make lock        renew requirements.lock from pyproject.toml
#
# Not part of .ci/run, since they take long:
# make cluster-test  as root: as slurm-test, also with failures of a node, the disk and a model server, and with a real vLLM
# make venvs-test    set up one environment per stack, run the whole workflow on a small demo through them

PYTHON ?= python3.11
BIN := .venv/bin
export OMP_NUM_THREADS ?= 1

.PHONY: demo test slurm-test cluster-test lint venvs-test vllm-test lock clean

demo: .venv/ready
	$(BIN)/snakemake --profile profiles/local all

test: .venv/ready
	$(BIN)/pytest -n 2

slurm-test: .venv/ready
	REFRAD_SLURM=1 $(BIN)/pytest tests/cluster/test_run.py --durations=5

cluster-test: .venv/ready .venv-vllm/ready
	REFRAD_VLLM_PYTHON=$(CURDIR)/.venv-vllm/bin/python REFRAD_SLURM=1 $(BIN)/pytest tests/cluster --durations=5

lint: .venv/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint
	$(BIN)/mypy

venvs-test: .venv/ready .venv-curate/ready .venv-segment/ready .venv-train/ready
	REFRAD_STACKS=1 $(BIN)/pytest tests/test_stacks.py

vllm-test: .venv/ready .venv-vllm/ready
	REFRAD_VLLM_PYTHON=$(CURDIR)/.venv-vllm/bin/python $(BIN)/pytest tests/llm/test_vllm.py tests/llm/test_vllm_vision.py tests/llm/test_recipe_run.py --durations=5

# First exactly the lock, every file checked by its hash. Then torch, with what its build for this device needs beyond the lock; pip would
# warn of the torchvision that timm lacks, see `lock`.
.venv/ready: requirements.lock envs/torch.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-warn-conflicts --requirement envs/torch.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

# One environment per stack, from the same pins: make .venv-segment/ready
.venv-%/ready: envs/%.txt requirements.lock envs/torch.txt envs/install.sh
	$(PYTHON) -m venv .venv-$*
	envs/install.sh $* .venv-$*/bin/python
	touch $@

# A separate environment, since vLLM pins its own torch and transformers.
.venv-vllm/ready: envs/vllm.lock
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/pip install --quiet --disable-pip-version-check --no-compile --require-hashes --no-deps --requirement envs/vllm.lock
	.venv-vllm/bin/pip install --quiet --disable-pip-version-check --no-compile --no-warn-conflicts torch==2.13.0
	touch $@

# torchvision is excluded: each of its builds fits one torch build, and a wrong one breaks transformers. The project does not need it.
# uv adds the hashes of all files of a version, so that the lock fits every platform; it is installed after the versions are fixed.
lock:
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet --requirement envs/torch.txt '.[segment,train,int8,text,test,lint]'
	.venv-lock/bin/pip freeze --exclude refrad | grep -Ev ' @ |^(torch|torchvision|triton|nvidia-.*|cuda-.*)==' > .venv-lock/pins.txt
	.venv-lock/bin/pip install --quiet uv
	.venv-lock/bin/uv pip compile --quiet --python .venv-lock/bin/python --no-deps --generate-hashes --no-header --no-annotate \
		$${PIP_INDEX_URL:+--default-index "$$PIP_INDEX_URL"} .venv-lock/pins.txt > requirements.lock
	.venv-lock/bin/python envs/stacks.py
	rm -rf .venv-lock

clean:
	rm -rf results logs stores private demo .snakemake
