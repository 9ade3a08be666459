# Each target is a line that a person could type, too.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# mypy compares contents, so checkouts can share its results, as they share the lab's images.
export MYPY_CACHE_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/roster-delivery-mypy
ANSIBLE_FILES = .ansible-lint .config inventories molecule playbooks roles tests/bench
PYTHON_FILES = scripts/dev/demo scripts/dev/docs scripts/new-inventory scripts/vault-client scripts/watch scripts/dev/vm

.PHONY: help demo test test-fast mutants vm lint bench docs lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

demo: ## run the main job in the lab and report the result
	scripts/setup
	scripts/lab run -- scripts/dev/demo

test: ## run all checks in parallel: lint, unit, integration, scenarios
	scripts/setup --dev
	PYTHONPATH=scripts:scripts/dev:tests python -m checks $(CHECKS)

test-fast: ## run unit tests, and integration tests without containers, playbooks, a browser and slow lines
	scripts/setup --dev
	TESTS=fast pytest -n 4 --dist worksteal -m "not lab and not mutants and not heavy"

mutants: ## change the code in small ways and list the changes that no test notices
	scripts/setup --dev
	PYTHONPATH=scripts:tests python -m mutants

vm: ## run the tests that need their own kernel, in a machine with KVM or an emulated one (half an hour)
	scripts/setup --dev
	pytest tests/vm

lint: ## run ansible-lint, yamllint, ruff, mypy, shellcheck and the check of the English
	scripts/setup --dev
	PYTHONPATH=tests python -m checks.once --reads .yamllint ansible.cfg scripts -- ansible-lint $(ANSIBLE_FILES)
	yamllint --strict .
	ruff check . $(PYTHON_FILES)
	ruff format --check . $(PYTHON_FILES)
	mypy
	mypy --scripts-are-modules $(PYTHON_FILES)
	shellcheck scripts/setup .ci/run
	python scripts/dev/prose

bench: ## measure validation, packages, uploads, provisioning, a fleet, 5,000 districts and the status page
	scripts/setup --dev
	scripts/lab run -- sh -c 'code=0; for bench in validate package transfer provision fleet districts status; do \
		PYTHONPATH=scripts:tests python -m bench.$$bench || code=1; done; exit $$code'

docs: ## write the tables and outputs in the documents
	scripts/dev/docs

lock: ## resolve the control node's packages again
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate requirements/control.in -o requirements/control.txt
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --constraint requirements/control.txt requirements/execution-environment.in -o requirements/execution-environment.txt
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate requirements/dev.in -o requirements/dev.txt
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate requirements/bench.in -o requirements/bench.txt

clean: ## remove the lab, the packages and all by-products
	scripts/lab down
	rm -rf .venv .venv.before build .mypy_cache .ruff_cache .pytest_cache .hypothesis .ansible
