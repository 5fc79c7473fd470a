# Everything is installed into .venv (and node_modules, for `lint` and `test`), never elsewhere. A stamp says what it holds: an install that
# was broken off is tried again by the next `make`, and one that fails (a registry may be away for a moment), three times.
BIN := .venv/bin
SHELL := /bin/bash
# Each process of a test would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test chaos size schemathesis lint types format screenshots clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  make %-13s %s\n' "$$name" "$$text"; done

run: .venv/.run ## Start everything: the settings are in .env.example; Ctrl-C ends it
	@exec $(BIN)/python manage.py up

# Between two tests nothing tidies up: an index that is made over rows whose texts have just been cleared away fails (“missing
# chunk number 0 for toast value”), and what tests of plans need they ask for themselves (ANALYZE).
test: .venv/.dev $(if $(shell command -v npm),node_modules/.done) ## Run all tests; DB=postgres: those of a database, on a private PostgreSQL; ARGS="…": for pytest; JOBS=2: at a time
	$(if $(filter postgres,$(DB)),POSTGRES_OPTIONS="-c autovacuum=off" bin/with-postgres) $(BIN)/python -m pytest -n $(or $(JOBS),2) --durations=10 \
	  $(if $(filter postgres,$(DB)),-m database) $(ARGS)

chaos: .venv/.dev ## Kill and freeze the parts of a running system: TRIALS=100 SEED=1 DB=postgres; ONLY=17 for one trial; SERVERS=2; CALLERS=200
	$(if $(filter postgres,$(DB)),bin/with-postgres,env DATABASE_URL=) $(BIN)/python -m bench.chaos \
	  $(if $(TRIALS),--trials $(TRIALS)) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY)) \
	  $(if $(SERVERS),--servers $(SERVERS)) $(if $(CALLERS),--callers $(CALLERS))

bench: .venv/.dev ## Measure the chat against TabbyAPI itself; SERVER=uvicorn or both; DB=postgres; ARGS="--quick"
	$(if $(filter postgres,$(DB)),bin/with-postgres,env DATABASE_URL=) $(BIN)/python -m bench.stream $(if $(SERVER),--server $(SERVER)) $(ARGS)

bench-gateway: .venv/.dev ## Measure /v1 against TabbyAPI itself, and nginx in front of it; SERVER=uvicorn or both; DB=postgres; ARGS="--quick"
	$(if $(filter postgres,$(DB)),bin/with-postgres,env DATABASE_URL=) $(BIN)/python -m bench.gateway $(if $(SERVER),--server $(SERVER)) $(ARGS)

bench-rollout: .venv/.dev ## Change two servers one after the other under 100 streams, and one server the same way; DB=postgres; ARGS="--quick"
	$(if $(filter postgres,$(DB)),bin/with-postgres,env DATABASE_URL=) $(BIN)/python -m bench.rollout $(ARGS)

bench-servers: .venv/.dev ## Measure one server and several, with the same load for each, and three web processes; DB=postgres; ARGS="--quick"
	$(if $(filter postgres,$(DB)),bin/with-postgres,env DATABASE_URL=) $(BIN)/python -m bench.servers $(ARGS)

bench-switch: .venv/.dev ## Measure a switch, and how soon pages see it, against bare calls
	$(BIN)/python -m bench.switch $(ARGS)

size: .venv/.dev ## Measure all pages with a million messages and 100,000 switches; DB=postgres; ARGS="--quick"
	$(if $(filter postgres,$(DB)),bin/with-postgres,env DATABASE_URL=) $(BIN)/python -m bench.size $(ARGS)

schemathesis: .venv/.dev ## Try the HTTP API against its own description, and say what came of it; EXAMPLES=200
	$(BIN)/python -m bench.schema $(or $(EXAMPLES),100)

conformance: .venv/.dev ## Hold the OpenAI-compatible API against OpenAI's own description, and say what differs
	$(BIN)/python -W ignore::DeprecationWarning -m bench.conformance

audit: .venv/.made ## Look the pinned packages up in the list of known vulnerabilities (needs the internet)
	@[ -x .venv/audit/bin/pip-audit ] || { python3 -m venv .venv/audit && .venv/audit/bin/python -m pip install --quiet pip-audit==2.10.1; }
	@.venv/audit/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt 2>&1 | tee .venv/audit/said; \
	  [ $${PIPESTATUS[0]} = 0 ] && exit 0; \
	  grep -q 'not found on PyPI\|Max retries\|Connection\|timed out' .venv/audit/said && \
	    echo 'NOT AUDITED: the services that know of vulnerabilities cannot be reached from here.'; exit 1

lint: .venv/.dev node_modules/.done ## Check format, style and types, of Python and of the pages' scripts (needs npm)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	node_modules/.bin/biome check --error-on-warnings
	node_modules/.bin/tsc

types: .venv/.dev ## Write the types of the pages' scripts anew, from the schema of what pages are told
	$(BIN)/python -m tests.support.page_types

format: .venv/.dev node_modules/.done ## Format, and repair what can be repaired
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	node_modules/.bin/biome check --write

screenshots: .venv/.dev ## Take the pictures of the README anew (needs Chromium)
	$(BIN)/python docs/screenshots.py

operations: .venv/.dev ## Follow docs/operations.md to the letter in an empty folder (needs nginx, and ports 8000-8002 and 8443)
	$(BIN)/python docs/follow.py

clean: ## Remove .venv and caches; the data in var/ stays
	rm -rf .venv node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis staticfiles test-results
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

.venv/.made:
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  for python in python3.11 python3.12 python3.13 python3; do \
	    $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; python=; \
	  done; \
	  [ -n "$$python" ] || { echo 'Gantry needs Python 3.11 or later: apt-get install python3'; exit 1; }; \
	  echo "making .venv with $$python"; \
	  $$python -m venv --clear .venv || { rm -rf .venv; echo 'No virtualenv could be made: apt-get install python3-venv'; exit 1; }; \
	}
	@touch $@

.venv/.run: .venv/.made requirements.txt constraints.txt
	$(call install,requirements.txt)
	@touch $@

.venv/.dev: .venv/.made requirements.txt requirements-dev.txt constraints.txt
	$(call install,requirements-dev.txt)
	@touch .venv/.run $@

# What checks the pages' scripts, and a client for the tests; Gantry itself runs without it, and without Node.
node_modules/.done: package.json package-lock.json
	@command -v npm >/dev/null || { echo 'The scripts of the pages are checked by programs for Node: apt-get install npm'; exit 1; }
	@echo 'installing package-lock.json'; for try in 1 2 3; do \
	  npm ci --silent && { touch $@; exit 0; }; \
	  [ $$try = 3 ] || { echo "that failed; trying again in $$((5 * try)) s"; sleep $$((5 * try)); }; \
	done; echo 'The packages of package-lock.json could not be installed: is the network there?'; exit 1

define install
	@echo 'installing $(1)'; for try in 1 2 3; do \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(1) && exit 0; \
	  [ $$try = 3 ] || { echo "that failed; trying again in $$((5 * try)) s"; sleep $$((5 * try)); }; \
	done; echo 'The packages of $(1) could not be installed: is the network there?'; exit 1
endef
