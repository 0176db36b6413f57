# make digits      train on handwritten digits and look at the result
# make paper       the paper's table on the digits: all models trained and compared, in half an hour
# make test        build and run every test
# make check-amd   put every kernel through the compiler for AMD's GPUs; see Documentation/devices.md for NVIDIA's
# make bundle      dist/driftgpu-linux-x86_64.tar.xz: the program for machines without Swift
# All install what is missing first; a second run neither installs nor builds anything again.

PACKAGES = ocl-icd-opencl-dev opencl-headers libclblast-dev pocl-opencl-icd libpng-dev libjpeg-dev libwebp-dev zlib1g-dev liblapacke-dev
TEST_PACKAGES = oclgrind mesa-opencl-icd openmpi-bin
COMPILER_PACKAGES = clang-19 libclc-19 llvm-19
BUNDLE_PACKAGES = binutils xz-utils
# Tests look into modules, and both commands share one build.
FLAGS = -c release -Xswiftc -enable-testing

.PHONY: digits paper test check-amd bundle build setup tables clean

digits: build
	.build/release/driftgpu train --auto-resume
	.build/release/driftgpu eval --checkpoint out/digits
	@echo "look at out/digits/samples"

paper: build
	Scripts/paper

test: tables
	@Scripts/setup $(PACKAGES) $(TEST_PACKAGES)
	Scripts/test-all

check-amd: build
	@Scripts/setup $(COMPILER_PACKAGES)
	Scripts/check-gpu-compilers --check amd

bundle: tables
	@Scripts/setup $(PACKAGES) $(BUNDLE_PACKAGES)
	Scripts/bundle

build: setup tables
	swift build $(FLAGS) --product driftgpu

setup:
	@Scripts/setup $(PACKAGES)

# The lists of kernels, of operations' cases, and of stages and heads.
tables:
	@Scripts/tables

clean:
	rm -rf .build .build-fuzz .build-tsan
