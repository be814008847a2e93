# On a machine with Python >= 3.11 and a C++17 compiler, each target below is all there is to do:
# it makes .venv if there is none, builds and installs the package there if needed, and runs.

PYTHON ?= python3
# Compiler warnings as errors; WERROR=OFF for a compiler that knows new ones.
WERROR ?= ON
# Passed on to what demo, test and bench-peers run.
ARGS ?=
# Where bench-peers finds PyTorch's builds for the CPU; empty for pip's own index alone.
PYTORCH_INDEX ?= https://download.pytorch.org/whl/cpu

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

NATIVE_SOURCES := CMakeLists.txt $(wildcard native/CMakeLists.txt native/cmake/* native/drivers/* \
  native/device/* native/ffi/* native/include/*/* native/kernels/*)
NATIVE_CODE = $(shell find native tests -name '*.c' -o -name '*.cc' -o -name '*.h')

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test bench bench-peers notebooks lint check-format check-lint check-native-format check-types \
  format native-test native-sanitize wheel clean distclean

help: ## Print this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | \
	  while IFS='|' read -r target text; do printf '  make %-16s %s\n' "$$target" "$$text"; done

demo: $(VENV)/.installed ## Train the default network with a crossbar in its last layer
	$(BIN)/xbarax train --crossbar last $(ARGS)

test: $(VENV)/.installed ## Run the tests
	$(BIN)/python -m pytest $(ARGS)

bench: $(VENV)/.installed ## Run the benchmarks; with NOTEBOOK=file also against the 2023 notebook
	$(BIN)/python benchmarks/analog_read.py
	$(BIN)/python benchmarks/crossbar_against_array.py
	$(BIN)/python benchmarks/dispatch.py
	$(BIN)/python benchmarks/driver_calls.py
	$(BIN)/python benchmarks/monte_carlo.py
	$(BIN)/python benchmarks/nonlinear_wires.py
	$(BIN)/python benchmarks/roofline.py
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/stored_or_drawn.py
	$(BIN)/python benchmarks/training_in_place.py
	$(BIN)/python benchmarks/training_step.py --memory
	$(BIN)/python benchmarks/wires.py
	$(BIN)/python benchmarks/wires_in_training.py
	$(if $(NOTEBOOK),$(BIN)/python benchmarks/notebook.py $(NOTEBOOK))

bench-peers: $(VENV)/.installed ## Compare with other frameworks, each in an environment of its own
	$(BIN)/python benchmarks/peers/compare.py $(if $(PYTORCH_INDEX),--pytorch-index $(PYTORCH_INDEX)) \
	  $(ARGS)

notebooks: $(VENV)/.installed ## Execute the notebooks in docs/, without writing to them
	$(BIN)/jupyter-execute docs/*.ipynb

lint: check-format check-lint check-native-format check-types ## Check format, lint and types

check-format: $(VENV)/.tools
	$(BIN)/ruff format --check .

check-lint: $(VENV)/.tools
	$(BIN)/ruff check .

check-native-format: $(VENV)/.tools
	$(BIN)/clang-format --dry-run --Werror $(NATIVE_CODE)

check-types: $(VENV)/.tools
	$(BIN)/mypy

format: $(VENV)/.tools ## Format the code, and mend what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/clang-format -i $(NATIVE_CODE)

# With the objects of the editable install and the wheel, in the folder that pyproject.toml names.
native-test: $(VENV)/.tools ## Run the native tests
	$(call native_tests,build/release,-DCMAKE_BUILD_TYPE=Release)

# What sanitizers see is less after -O2, which takes twice as long to build. With -Og, the address
# sanitizer's build takes half as long and its tests no longer; those of the thread sanitizer do.
sanitize_build = -DCMAKE_BUILD_TYPE=Debug "-DCMAKE_C_FLAGS_DEBUG=$(1) -g1" \
  "-DCMAKE_CXX_FLAGS_DEBUG=$(1) -g1"

native-sanitize: $(VENV)/.build-tools ## Run the native tests under address, undefined-behaviour and thread sanitizers
	$(call native_tests,build/native-sanitize,$(call sanitize_build,-Og) "-DXBARAX_SANITIZE=address;undefined")
	$(call native_tests,build/native-sanitize-threads,$(call sanitize_build,-O1) -DXBARAX_SANITIZE=thread)

# PATH's before .venv's, as the package's builds choose: another ninja would compile all again.
tool = $(or $(shell command -v $(1)),$(CURDIR)/$(BIN)/$(1))

define native_tests
	$(call tool,cmake) -S . -B $(1) -G Ninja -DCMAKE_MAKE_PROGRAM=$(call tool,ninja) \
	  -DXBARAX_BUILD_LIBRARIES=OFF -DXBARAX_BUILD_TESTS=ON -DXBARAX_WERROR=$(WERROR) $(2)
	$(call tool,cmake) --build $(1)
	$(call tool,ctest) --test-dir $(1) --output-on-failure --parallel $(shell getconf _NPROCESSORS_ONLN)
endef

wheel: $(VENV)/bin/pip ## Build the wheel into dist/
	$(PIP) wheel --no-deps --wheel-dir dist --config-settings cmake.define.XBARAX_WERROR=$(WERROR) .

clean: ## Remove everything built; the environments stay
	rm -rf build dist $(VENV)/.installed .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf src/xbarax/*/libxbarax_* src/xbarax/hardware/include
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## Remove the environments too
	rm -rf $(VENV) .venv-newest

# ---- The environment ---------------------------------------------------------------------------------

# pip comes last into a new environment: one that has it is whole.
$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "xbarax needs Python 3.11 or newer; $(PYTHON) is" \
	    "$$($(PYTHON) --version 2>/dev/null || echo 'not there')." \
	    "Name another with: make PYTHON=/path/to/python3.12 ..."; exit 1; } >&2
	$(PYTHON) -m venv $(VENV)

# Python sources are used where they lie; only native ones, and libraries that were removed, need a new
# installation.
ifeq ($(and $(wildcard src/xbarax/_kernels/libxbarax_*),$(wildcard src/xbarax/hardware/libxbarax_*)),)
.PHONY: $(VENV)/.installed
endif

$(VENV)/.installed: pyproject.toml $(NATIVE_SOURCES) | $(VENV)/bin/pip
	$(PIP) install --config-settings cmake.define.XBARAX_WERROR=$(WERROR) --editable '.[test]'
	@touch $@

# pip learned of dependency groups in 25.1.
$(VENV)/.build-tools: pyproject.toml | $(VENV)/bin/pip
	$(PIP) install 'pip>=25.1'
	$(PIP) install --group build
	@touch $@

$(VENV)/.tools: pyproject.toml $(VENV)/.installed $(VENV)/.build-tools
	$(PIP) install --group dev
	@touch $@
