# Each target is a line that a person could type, too.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
PYTHON_FILES = scripts/lab scripts/demo scripts/docs scripts/vault-client scripts/vm

.PHONY: help demo test test-fast mutants vm lint bench docs lock clean

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

demo: ## the main job in the lab, with an account at the end
	scripts/setup
	scripts/lab run -- scripts/demo

test: ## all checks, side by side: lint, unit, integration, scenarios
	scripts/setup --dev
	PYTHONPATH=scripts:tests python -m checks $(CHECKS)

test-fast: ## unit tests, and integration tests that need no container: about two minutes
	scripts/setup --dev
	TESTS=fast pytest -n 4 --dist worksteal -m "not lab and not mutants"

mutants: ## changes the code in small ways, one at a time, and shows those that no test notices
	scripts/setup --dev
	PYTHONPATH=scripts:tests python -m mutants

vm: ## what only a kernel of its own shows, in an emulated machine (a quarter of an hour)
	scripts/setup --dev
	pytest tests/vm

lint: ## ansible-lint, yamllint, ruff, mypy, shellcheck, the English
	scripts/setup --dev
	ansible-lint
	yamllint --strict .
	ruff check . $(PYTHON_FILES)
	ruff format --check . $(PYTHON_FILES)
	mypy
	mypy --scripts-are-modules $(PYTHON_FILES)
	shellcheck scripts/setup .ci/run
	python scripts/prose

bench: ## what a validation, a package, an upload, provisioning, a fleet and the status page cost
	scripts/setup --dev
	scripts/lab run -- sh -c 'code=0; for bench in validate package transfer provision fleet status; do \
		PYTHONPATH=scripts:tests python -m bench.$$bench || code=1; done; exit $$code'

docs: ## the tables and outputs in the documents
	scripts/docs

lock: ## resolve the control node's packages anew
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate requirements/control.in -o requirements/control.txt
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --constraint requirements/control.txt requirements/execution-environment.in -o requirements/execution-environment.txt
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate requirements/dev.in -o requirements/dev.txt

clean: ## take the lab, the packages and all by-products away
	scripts/lab down
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis .ansible
