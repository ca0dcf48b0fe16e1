# gamedojo. `make help` lists the targets.
#
#   PYTHON       the interpreter of the environments (default python3.11)
#   PYTHON312    a Python 3.12 for the tests of the Lambda code; looked for on the PATH and among pyenv's otherwise
#   TORCH_INDEX  another package index for torch alone, for example the PyTorch project's index of CPU wheels;
#                without it, torch comes from the index that pip is configured for
#   BASE_IMAGE   another base of the two images (docs/image.md)
#   TORCH_BUILD  cpu or cuda: torch in the training image; without it, as in the development environment
#   STAGE        the stage that is deployed (default dev)
#   OSV_URL      who is asked for known vulnerabilities by `make audit` (default osv.dev)

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
.SUFFIXES:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3.11
TORCH_INDEX ?=
PYTHON312 ?=
OSV_URL ?= https://api.osv.dev/v1/query
VENV := .venv/bin
UV := $(VENV)/uv
UV_VERSION := 0.13.9
PYTEST := $(VENV)/python -m pytest
WORKERS ?= 2
STAGE ?= dev
STARTED := $(shell date +%s)

say = @printf '\033[1m▸ %s\033[0m\n' "$(1)"

##@ Use it

demo: setup ## build Basic.zip, start the local cloud, train, evaluate, deploy, predict
	$(VENV)/python -m demo $(DEMO_ARGS)

local: setup ## start the local cloud in the foreground; Ctrl-C ends it
	$(VENV)/gamedojo local up

local-down: setup ## end a local cloud that runs in the background
	$(VENV)/gamedojo local down

sample-builds: setup ## write the sample Unity builds to build/
	$(VENV)/python -m sample_builds pack all --output build

image: setup ## build both images with Docker or Podman; prints their names
	@$(VENV)/python -m local.images build

##@ Deploy it: docs/deploying.md

bootstrap: setup ## what stands before a stage, made once by an administrator: STAGE=dev, BOOTSTRAP_ARGS="--github owner/name"
	@$(VENV)/python -m deploy bootstrap --stage $(STAGE) $(BOOTSTRAP_ARGS)

preflight: setup ## quotas and permissions that the account lacks: STAGE=dev, PREFLIGHT_ARGS="--instance-type ml.g5.xlarge"
	@$(VENV)/python -m deploy preflight --stage $(STAGE) $(PREFLIGHT_ARGS)

deploy: setup ## build and push the images, build and deploy the stack: STAGE=dev, DEPLOY_ARGS=--dry-run
	@$(VENV)/python -m deploy up --stage $(STAGE) $(DEPLOY_ARGS)

smoke: setup ## train, serve, ask and take down the sample build Basic on a stage: STAGE=dev, or local
	@$(VENV)/python -m deploy smoke --stage $(STAGE)

##@ Check it

test: setup lint test-fast test-functions-312 test-rl test-e2e ## everything there is to check

bench-envs: setup .venv-peers/.done .venv-peers-fast/.done ## our client against the reference's, and against gRPC itself
	$(call say,Environments)
	$(VENV)/python -m benchmarks.envs

bench-training: setup .venv-peers/.done .venv-peers-fast/.done ## our training against mlagents-learn, and against a bare loop
	$(call say,Training)
	$(VENV)/python -m benchmarks.training

bench-learning: setup .venv-peers/.done ## decisions and seconds until environments are solved; hours, goes on where it was
	$(call say,Learning)
	$(VENV)/python -m benchmarks.learning $(LEARNING_ARGS)

bench-gpu: setup ## a visual policy's learner: the GPU against the CPU, and against a bare torch loop; needs a GPU
	$(call say,Learning on a GPU)
	$(VENV)/python -m benchmarks.gpu $(GPU_ARGS)

bench-predict: setup .venv-predict-peers/.done ## our inference server against others; the Predict Lambda against boto3 alone
	$(call say,Predict)
	$(VENV)/python -m benchmarks.predict

lint: setup .venv-checkers/.done ## format, lint, types, import borders, templates, Dockerfiles, workflows
	@$(MAKE) --jobs=$(WORKERS) --output-sync=target lint-code lint-templates

lint-code: setup
	$(call say,Format and lint)
	$(VENV)/ruff format --check .
	$(VENV)/ruff check .
	$(call say,Types)
	$(VENV)/mypy functions/pipeline rl_src container local deploy sample_builds demo supply benchmarks clients/python/gamedojo
	$(VENV)/mypy functions/*/app.py
	$(call say,Import borders)
	$(VENV)/lint-imports --no-cache

lint-templates: setup .venv-checkers/.done
	$(call say,Templates)
	AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam validate --lint
	mkdir -p build && $(VENV)/python -m tests.fakes.expanded_template > build/template.expanded.json
	.venv-checkers/bin/cfn-lint --config-file .cfn-lint-serverless.yaml
	$(VENV)/python -m pytest -q tests/contract/test_template_state_machine.py -k statelint
	.venv-checkers/bin/checkov --config-file .checkov.yaml --file template.yaml operations.yaml deploy/bootstrap.yaml
	$(call say,Dockerfiles)
	.venv-checkers/bin/hadolint container/Dockerfile
	$(call say,Workflows)
	.venv-checkers/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	.venv-checkers/bin/zizmor --offline --quiet .github/workflows

# Every lock file but the contestants', which are as old as what they are compared with.
AUDITED := $(filter-out %peers.txt %peers-fast.txt,$(wildcard requirements/*.txt)) functions/requirements.txt

audit: .venv-checkers/.done ## known vulnerabilities of the locked packages; needs a network that reaches osv.dev
	$(call say,Known vulnerabilities of the locked packages)
	if ! .venv-checkers/bin/python -c 'import requests; requests.head("$(OSV_URL)", timeout=10)' 2>/dev/null; then
	  echo "$(OSV_URL) cannot be reached from here, so nothing was audited. Run this where it can be, or set OSV_URL."; exit 1
	fi
	known=
	for file in $(AUDITED); do
	  echo "$$file"
	  PIP_AUDIT_LOGLEVEL=error .venv-checkers/bin/pip-audit --strict -s osv --osv-url "$(OSV_URL)" --progress-spinner off --no-deps --disable-pip -r "$$file" || known=1
	done
	if [ -n "$$known" ]; then
	  echo "Locked packages have known vulnerabilities: take later versions (make lock)."; exit 1
	fi

test-fast: setup .venv-supply/.done ## unit, contract and integration tests; what Lambdas call is held against their policies
	$(call say,Unit$(,) contract and integration tests)
	$(PYTEST) tests/unit tests/contract tests/integration tests/security -n $(WORKERS) -m "not faults" --privileges

test-rl: setup ## tests that learn
	$(call say,Learning tests)
	$(PYTEST) tests/rl -n $(WORKERS)

test-e2e: setup ## the whole local cloud
	$(call say,End to end on the local cloud)
	$(PYTEST) tests/e2e -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-functions-312: .venv-functions-312/.done ## the Lambda code under Python 3.12
	$(call say,Lambda code under Python 3.12)
	if [ -x .venv-functions-312/bin/python ]; then
	  .venv-functions-312/bin/python -m pytest tests/unit/rules tests/unit/api tests/unit/contracts -n $(WORKERS)
	elif [ -n "$${CI:-}" ]; then
	  echo "Python 3.12 is not installed; CI must have it"; exit 1
	else
	  printf '\033[33mSKIPPED: Python 3.12 is not installed, so the Lambda code was tested under 3.11 only\033[0m\n'
	fi

test-dashboard: setup ## the dashboard in Chromium on the local cloud; needs Debian's chromium and chromium-driver
	$(call say,The dashboard in Chromium)
	$(PYTEST) tests/dashboard --pictures docs/images

test-unity: setup ## the C# client for Unity, compiled and run by Mono
	$(call say,The C# client under Mono)
	$(PYTEST) tests/unit/unity tests/integration/unity

test-notebooks: setup .venv-notebooks/.done ## the notebooks, executed whole on a local cloud
	$(call say,The notebooks)
	$(PYTEST) tests/notebooks

notebooks: setup .venv-notebooks/.done ## the same, and write what they show into docs/notebooks
	$(call say,The notebooks$(,) with what they show)
	$(PYTEST) tests/notebooks --write-notebooks docs/notebooks

test-docs: setup .venv-clients/.done ## every command of README and docs, run on a local cloud
	$(call say,The commands of the docs)
	$(PYTEST) tests/docs

test-peers: setup .venv-peers/.done ## the unmodified ML-Agents 1.1.0 plays and trains on the sample builds
	$(call say,The reference clients on the sample builds)
	$(PYTEST) tests/peers

test-clients: setup .venv-clients/.done ## the aws command line and the SageMaker SDK against the local SageMaker service
	$(call say,Real clients on the local SageMaker service)
	$(PYTEST) tests/clients

test-faults: setup ## calls to AWS go wrong, events come twice, processes are killed: the tables are docs/faults.md
	$(call say,Faults of training hosts)
	$(PYTEST) tests/integration -m faults
	$(call say,Faults of calls to AWS$(,) and on the local cloud)
	$(PYTEST) tests/faults --fault-table docs/faults.md

test-image: setup ## build both images with Docker or Podman, and start the containers from them
	$(call say,The images)
	$(PYTEST) --images tests/image tests/integration/container tests/integration/serving/test_serving_lifecycle.py

test-image-gpu: setup ## build the training image for GPUs, and test what shows without one; 3 GB to fetch, 15 GB of disk
	$(call say,The training image for GPUs)
	TORCH_BUILD=cuda $(PYTEST) --images tests/image/test_image_cuda.py tests/image/test_image_contents.py tests/image/test_image_cage.py

test-security: setup ## hostile uploads, fuzzing, attacks from inside a build: the table is docs/security_uploads.md
	$(call say,Hostile uploads$(,) what a build may send$(,) fuzzing$(,) attacks from inside a build)
	$(PYTEST) tests/security --uploads-table docs/security_uploads.md

format: setup ## rewrite the code in the project's format
	$(VENV)/ruff format .
	$(VENV)/ruff check --fix .

##@ Environments

setup: .venv/.done .venv-lambda/.done .venv-sam/.done ## install the three environments (minutes, once)

environments: setup .venv-checkers/.done .venv-supply/.done .venv-functions-312/.done ## all that `make test` needs

.venv/bin/uv:
	$(call say,[1/5] Making the development environment .venv)
	if ! command -v $(PYTHON) >/dev/null; then
	  echo "$(PYTHON) was not found. Install Python 3.11, or name another interpreter: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1
	fi
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)

.venv/.torch: .venv/bin/uv requirements/torch.txt requirements/dev.txt
	$(call say,[2/5] Installing the locked packages: RLlib$(,) ONNX Runtime$(,) the local cloud$(,) the checkers)
	$(UV) pip install -q --python .venv/bin/python --require-hashes -r requirements/dev.txt
	$(call say,[3/5] Installing torch (a CPU wheel is 200 MB$(,) a CUDA wheel several GB; see TORCH_INDEX in the README))
	$(VENV)/python -m pip install -q --disable-pip-version-check $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) -r requirements/torch.txt
	touch $@

.venv/.done: .venv/.torch pyproject.toml clients/python/pyproject.toml
	@$(UV) pip install -q --python .venv/bin/python --no-deps --no-build-isolation -e . -e clients/python
	touch $@

.venv-lambda/.done: .venv/bin/uv requirements/lambda-runtime.txt
	$(call say,[4/5] Making the Lambda runtime of the local cloud)
	$(PYTHON) -m venv --without-pip .venv-lambda
	$(UV) pip install -q --python .venv-lambda/bin/python --require-hashes -r requirements/lambda-runtime.txt
	touch $@

.venv-sam/.done: .venv/bin/uv requirements/sam.txt
	$(call say,[5/5] Making the environment of the SAM command line)
	$(PYTHON) -m venv --without-pip .venv-sam
	$(UV) pip install -q --python .venv-sam/bin/python --require-hashes -r requirements/sam.txt
	touch $@

.venv-checkers/.done: .venv/bin/uv requirements/checkers.txt
	$(call say,Making the environment of the templates'$(,) Dockerfiles' and workflows' checkers)
	$(PYTHON) -m venv --clear --without-pip .venv-checkers
	$(UV) pip install -q --python .venv-checkers/bin/python --require-hashes -r requirements/checkers.txt
	touch $@

.venv-functions-312/.done: .venv/bin/uv requirements/functions-test.txt
	mkdir -p .venv-functions-312
	for python in "$(PYTHON312)" python3.12 "$$HOME"/.pyenv/versions/3.12.*/bin/python3.12; do
	  "$$python" -c '' 2>/dev/null || continue
	  "$$python" -m venv --clear --without-pip .venv-functions-312
	  $(UV) pip install -q --python .venv-functions-312/bin/python --require-hashes -r requirements/functions-test.txt
	  touch $@
	  break
	done

.venv-clients/.done: .venv/bin/uv requirements/clients.txt
	$(call say,Making the environment of the aws command line and the SageMaker SDK)
	$(PYTHON) -m venv --clear --without-pip .venv-clients
	$(UV) pip install -q --python .venv-clients/bin/python --require-hashes -r requirements/clients.txt
	touch $@

.venv-notebooks/.done: .venv/bin/uv requirements/notebooks.txt clients/python/pyproject.toml
	$(call say,Making the environment of the notebooks)
	$(PYTHON) -m venv --clear --without-pip .venv-notebooks
	$(UV) pip install -q --python .venv-notebooks/bin/python --require-hashes -r requirements/notebooks.txt
	$(UV) pip install -q --python .venv-notebooks/bin/python --no-deps --no-build-isolation -e clients/python
	touch $@

# torch brings a newer setuptools, without the pkg_resources that mlagents imports: the locked packages come after it.
.venv-peers/.done: .venv/bin/uv requirements/peers.txt requirements/torch.txt
	$(call say,Making the environment of the reference clients)
	$(PYTHON) -m venv --clear .venv-peers
	.venv-peers/bin/python -m pip install -q --disable-pip-version-check $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) -r requirements/torch.txt
	$(UV) pip install -q --python .venv-peers/bin/python --require-hashes -r requirements/peers.txt
	.venv-peers/bin/python -m pip install -q --disable-pip-version-check --no-deps --ignore-requires-python mlagents==1.1.0 mlagents-envs==1.1.0
	touch $@

.venv-peers-fast/.done: .venv/bin/uv requirements/peers-fast.txt requirements/torch.txt
	$(call say,Making the environment of the ML-Agents 1.1.0 reference client on current protobuf)
	$(PYTHON) -m venv --clear .venv-peers-fast
	.venv-peers-fast/bin/python -m pip install -q --disable-pip-version-check $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) -r requirements/torch.txt
	$(UV) pip install -q --python .venv-peers-fast/bin/python --require-hashes -r requirements/peers-fast.txt
	.venv-peers-fast/bin/python -m pip install -q --disable-pip-version-check --no-deps --ignore-requires-python mlagents==1.1.0 mlagents-envs==1.1.0
	touch $@

.venv-predict-peers/.done: .venv/bin/uv requirements/predict-peers.txt requirements/torch.txt
	$(call say,Making the environment of the other inference servers)
	$(PYTHON) -m venv --clear .venv-predict-peers
	.venv-predict-peers/bin/python -m pip install -q --disable-pip-version-check $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) -r requirements/torch.txt
	$(UV) pip install -q --python .venv-predict-peers/bin/python --require-hashes -r requirements/predict-peers.txt
	touch $@

.venv-supply/.done: .venv/bin/uv requirements/supply.txt
	$(call say,Making the environment that lists what is shipped)
	$(PYTHON) -m venv --clear --without-pip .venv-supply
	$(UV) pip install -q --python .venv-supply/bin/python --require-hashes -r requirements/supply.txt
	touch $@

schema: setup ## write the JSON Schema of a request to docs/request.schema.json
	$(VENV)/python -m pipeline.contracts.schema > docs/request.schema.json

openapi: setup ## write the OpenAPI documents of both APIs and the page of error codes to docs/
	$(VENV)/python -m pipeline.api.openapi docs

cli-docs: setup ## write the page of the command line to docs/cli.md
	$(VENV)/python -m gamedojo.cli.reference > docs/cli.md

failures: setup ## write the page of failures' codes to docs/failures.md
	$(VENV)/python -m tests.docs.failures_page > docs/failures.md

scale: setup ## play runs on a virtual clock, and write how far a stack goes to docs/scale.md; minutes
	$(VENV)/python -m benchmarks.scale
	$(VENV)/python -m benchmarks.scale.page > docs/scale.md

licences: setup ## write the licences of what is shipped to docs/licences.md
	$(VENV)/python -m supply > docs/licences.md

sbom: .venv-supply/.done ## write what is shipped, with hashes, as CycloneDX files to build/sbom/
	mkdir -p build/sbom
	cat requirements/training.txt requirements/torch-cpu.txt | .venv-supply/bin/cyclonedx-py requirements - --output-reproducible -o build/sbom/training-image.json
	cat requirements/training.txt requirements/torch-cuda.txt | .venv-supply/bin/cyclonedx-py requirements - --output-reproducible -o build/sbom/training-image-cuda.json
	.venv-supply/bin/cyclonedx-py requirements requirements/inference.txt --output-reproducible -o build/sbom/inference-image.json
	.venv-supply/bin/cyclonedx-py requirements functions/requirements.txt --output-reproducible -o build/sbom/lambda-functions.json

lock: .venv/bin/uv ## compile every lock file anew from requirements/*.in
	for name in dev training inference lambda-runtime sam checkers peers peers-fast predict-peers clients notebooks supply; do
	  $(UV) pip compile -q --upgrade --generate-hashes --python-version 3.11 requirements/$$name.in -o requirements/$$name.txt
	done
	$(UV) pip compile -q --upgrade --generate-hashes --python-version 3.11 --python-platform x86_64-manylinux_2_28 -c requirements/training.txt requirements/torch.txt -o requirements/torch-cuda.txt
	$(UV) pip compile -q --generate-hashes --python-version 3.11 -c requirements/dev.txt requirements/functions.in -o functions/requirements.txt
	$(UV) pip compile -q --generate-hashes --python-version 3.12 requirements/functions-test.in -o requirements/functions-test.txt

clean: ## remove everything that is not in the repository, environments included
	-[ -x $(VENV)/gamedojo ] && $(VENV)/gamedojo local down
	rm -rf .venv .venv-* .aws-sam .gamedojo .mypy_cache .ruff_cache .pytest_cache .hypothesis build demo-output

help: ## this list
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} /^[a-zA-Z0-9_-]+:.*##/ {printf "  \033[36m%-22s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

, := ,

.PHONY: demo image local local-down bootstrap preflight deploy smoke sample-builds test lint lint-code lint-templates audit test-fast test-rl test-e2e test-functions-312 test-dashboard test-unity test-peers test-clients test-faults test-image test-image-gpu test-security test-notebooks notebooks test-docs bench-envs bench-gpu bench-predict format setup environments schema openapi cli-docs failures scale licences sbom lock clean help
