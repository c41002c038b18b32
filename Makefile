# Two commands make everything; they install what they need into .venv, with uv: 14 s, where pip takes 46.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The tests start some 150 Pythons; each would compile our modules and the tests' anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo up test check pieces whole commands browser screenshots clean

demo: $(VENV)/ready
	$(BIN)/boots demo

up: $(VENV)/ready
	$(BIN)/boots up

# At once: a running Boots waits half of its time, and the pieces fill it. One after the other takes two minutes longer.
test: $(VENV)/ready
	@echo "Checks, tests of the pieces and of the whole, side by side; about five minutes"
	@$(MAKE) --jobs 4 --output-sync=target --no-print-directory check pieces whole commands

# Three workers on two cores: each waits now and then, and what the others leave idle towards the end is a fifth.
pieces: $(VENV)/ready
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --ignore tests/local --ignore tests/browser

whole: $(VENV)/ready browser
	$(BIN)/python -m pytest tests/local tests/browser --ignore tests/local/test_commands.py

# Each of these brings a Boots of its own.
commands: $(VENV)/ready
	$(BIN)/python -m pytest tests/local/test_commands.py

check: $(VENV)/ready
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy

# The README's pictures of the settings page, in every state, at 1280 and 390 pixels.
screenshots: $(VENV)/ready browser
	$(BIN)/python -m tests.browser.screenshots

# Debian's Chromium without its window, which takes half of the CPU; another Chromium does too. Installed where we may.
browser:
	@command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null || { \
	  echo "Installing Chromium for the browser tests"; \
	  { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium-headless-shell; } >/dev/null 2>&1 \
	  || { echo "Chromium is missing and could not be installed; run: sudo apt-get install chromium" >&2; exit 1; }; }

$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed" >&2; exit 1; }
	@echo "Installing into $(VENV), pinned by constraints.txt; once, about twenty seconds"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --constraint constraints.txt uv
	@$(BIN)/uv pip install --quiet --python $(VENV) --system-certs --compile-bytecode --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .boots
