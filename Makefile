# run: the notebook against stand-ins · test: everything · notebook: build it · real: with the real AUTOMATIC1111 · faults: kills and dead upstreams · shots: the README's pictures · bench: against other tools
PYTHON := .venv/bin/python
HOME_FOLDER ?= run/stand-ins

.PHONY: run test check notebook real faults shots bench setup clean

run: setup
	$(PYTHON) -m launcher.notebook.build
	exec $(PYTHON) -m tests.world.run --python .venv-colab/bin/python --home $(HOME_FOLDER)

test: setup check
	$(PYTHON) -m pytest

check: setup
	$(PYTHON) -m ruff check launcher tests
	$(PYTHON) -m ruff format --check launcher tests
	$(PYTHON) -m mypy --strict launcher

notebook: setup
	$(PYTHON) -m launcher.notebook.build

real: setup
	@test -n "$(UPSTREAMS)" || { echo "Say where the repositories are: make real UPSTREAMS=DIR (DIR/OWNER/NAME.git)"; exit 2; }
	$(PYTHON) -m launcher.notebook.build
	$(PYTHON) -m tests.world.real --upstreams $(UPSTREAMS) --home run/real

faults: setup
	$(PYTHON) -m launcher.notebook.build
	$(PYTHON) -m tests.faults --write docs/faults.md

shots: setup
	$(PYTHON) -m launcher.notebook.build
	$(PYTHON) -m tests.shots $(if $(UPSTREAMS),--upstreams $(UPSTREAMS))

bench: setup
	$(PYTHON) -m launcher.notebook.build
	$(PYTHON) -m tests.bench $(if $(UPSTREAMS),--upstreams $(UPSTREAMS))

setup:
	@python3 tests/prepare.py

clean:
	rm -rf .venv .venv-colab .venv-server .cache run
