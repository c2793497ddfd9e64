# run: the notebook against stand-ins · test: everything · notebook: build it · real: with the real AUTOMATIC1111
# real-outputs: that what it writes and fetches is kept · faults: kills and dead upstreams · garbled: what Drive gives back
# real-models: models wherever they lie, each kind as A1111 lists it, what Drive garbled of A1111's own files
# real-extensions: the most used extensions on the real AUTOMATIC1111
# colab: every dialog and stop on the real google.colab · machines: odd variables and files
# attacks: strangers at the door, and what its owner notices · long-run: one page through the link for two hours
# first-path: clicks and seconds from the open notebook to an image
# shots: the README's pictures · bench: against other tools
# catalog: ask the hub whether the models are as the catalog says
# docs: the pages that are made from the code (ALL=yes: lying servers and crafted files, too)
# lock: the launcher's pins and hashes anew · pins: the tests' own packages anew
# Programs are named by their whole path: what is started runs in folders of its own.
PYTHON := $(CURDIR)/.venv/bin/python
COLAB_PYTHON := $(CURDIR)/.venv-colab/bin/python
UV := $(CURDIR)/.venv/bin/uv
HOME_FOLDER ?= run/stand-ins
WORKERS ?= 6
MINUTES ?= 120
unexport PYTHONDONTWRITEBYTECODE  # else every kernel compiles IPython anew, 3 s each

.PHONY: run test suite check notebook real real-outputs real-models real-extensions colab faults garbled machines attacks long-run first-path shots bench bench-card card catalog docs lock pins setup clean

run: setup
	$(PYTHON) -m launcher.notebook.build
	exec $(PYTHON) -m tests.programs.run --python $(COLAB_PYTHON) --home $(HOME_FOLDER)

# Whole launches wait as long as they work: more workers than two cores, and the checks beside them.
test: setup
	$(MAKE) --jobs 2 check suite

suite: setup
	$(PYTHON) -m pytest --numprocesses $(WORKERS) --dist loadgroup

check: setup
	$(PYTHON) -m ruff check launcher tests
	$(PYTHON) -m ruff format --check launcher tests
	$(PYTHON) -m mypy --strict launcher tests

notebook: setup
	$(PYTHON) -m launcher.notebook.build

real: setup
	@test -n "$(UPSTREAMS)" || { echo "Say where the repositories are: make real UPSTREAMS=DIR (DIR/OWNER/NAME.git)"; exit 2; }
	$(PYTHON) -m launcher.notebook.build
	$(PYTHON) -m tests.programs.real --upstreams $(UPSTREAMS) --home run/real
	$(MAKE) real-outputs

real-outputs: setup
	@test -n "$(UPSTREAMS)" || { echo "Say where the repositories are: make real-outputs UPSTREAMS=DIR"; exit 2; }
	$(PYTHON) -m launcher.notebook.build
	$(PYTHON) -m tests.programs.real_outputs --upstreams $(UPSTREAMS) --home run/real-outputs --write docs/dev/faults.md
	$(PYTHON) -m tests.programs.real_fetches --upstreams $(UPSTREAMS) --home run/real-outputs --write docs/dev/faults.md

real-models: setup
	@test -n "$(UPSTREAMS)" || { echo "Say where the repositories are: make real-models UPSTREAMS=DIR"; exit 2; }
	$(PYTHON) -m launcher.notebook.build
	for part in models kinds garbled; do \
		$(PYTHON) -m tests.programs.real_$$part --upstreams $(UPSTREAMS) --home run/real-$$part || exit 1; done

real-extensions: setup
	@test -n "$(UPSTREAMS)" || { echo "Say where the repositories are: make real-extensions UPSTREAMS=DIR"; exit 2; }
	$(PYTHON) -m launcher.notebook.build
	$(PYTHON) -m tests.programs.real_extensions --upstreams $(UPSTREAMS) --home run/real-extensions

colab: setup
	@test -d "$(COLABTOOLS)/google/colab" || { echo "Say where the real google.colab is, a checkout of googlecolab/colabtools: make colab COLABTOOLS=DIR"; exit 2; }
	$(PYTHON) -m launcher.notebook.build
	python3 tests/programs/prepare.py --colabtools
	$(PYTHON) -m tests.programs.colab --colabtools $(COLABTOOLS) --write docs/dev/scenes.md

faults: setup
	$(PYTHON) -m launcher.notebook.build
	$(PYTHON) -m tests.programs.faults --write docs/dev/faults.md

garbled: setup
	$(PYTHON) -m tests.programs.garbled --write docs/dev/faults.md

machines: setup
	$(PYTHON) -m launcher.notebook.build
	$(PYTHON) -m tests.programs.machines --write docs/dev/machines.md

attacks: setup
	$(PYTHON) -m tests.programs.attacks --write docs/dev/attacks.md $(if $(BEFORE),--before $(BEFORE))

long-run: setup
	$(PYTHON) -m launcher.notebook.build
	$(PYTHON) -m tests.programs.long_run --minutes $(MINUTES)

first-path: setup
	$(PYTHON) -m launcher.notebook.build
	$(PYTHON) -m tests.programs.first_path --write docs/dev/first-path.md

shots: setup
	$(PYTHON) -m launcher.notebook.build
	$(PYTHON) -m tests.programs.shots $(if $(UPSTREAMS),--upstreams $(UPSTREAMS))

bench: setup
	$(PYTHON) -m launcher.notebook.build
	$(PYTHON) -m tests.programs.bench $(if $(UPSTREAMS),--upstreams $(UPSTREAMS))

# Where there is a card: MACHINE is the launcher's folder there, CHECKPOINTS has models to paint with.
bench-card:
	python3 -m tests.programs.bench_card --machine $(MACHINE) --checkpoints $(CHECKPOINTS) --work run/bench-card

# Where there is a card: what only a real one shows, on a machine with torch and nothing else.
card:
	python3 -m tests.programs.card

catalog: setup
	$(PYTHON) -m tests.programs.catalog

docs: setup
	$(PYTHON) -m tests.programs.docs $(if $(ALL),--all)

lock: setup
	$(PYTHON) -m tests.programs.lock $(if $(UPSTREAMS),--upstreams $(UPSTREAMS)) $(if $(UPGRADE),--upgrade)

pins: setup
	cd tests/programs && for name in requirements requirements-colab requirements-server requirements-colabtools; do \
		$(UV) pip compile --quiet --universal --python-version 3.11 --no-annotate --no-emit-index-url --upgrade \
			--custom-compile-command "make pins" --output-file $$name.txt $$name.in; done

setup:
	@python3 tests/programs/prepare.py

clean:
	rm -rf .venv .venv-colab .venv-server .venv-colabtools .cache run
