# e3: streaming 3D reconstruction on bounded memory. GNU make, one file, everything built under $(B).
#
#   make            the tools, into $(B)/bin
#   make demo       installs what is missing (says so first), builds, runs the pipeline on the bundled clip
#   make test       the same for the tests; make lint, make fuzz, make parity, make bench: see HACKING.md
#   make dist, make deb: a source archive, Debian packages; make test-deb: these in a clean system
#   make install    PREFIX=/usr/local DESTDIR=; make uninstall takes it away again
# Knobs: B=build  OPT=-O2  TEST_OPT=-O0  SAN=address,undefined  WERROR=1

.DEFAULT_GOAL := all
B ?= build
# One spelling of a folder in the tree, build and $PWD/build alike: the dependency files name what they belong to.
# The functions of make split a path that has spaces in it; then B stays as it is.
override B := $(if $(word 2,$(CURDIR)),$(B),$(patsubst $(CURDIR)/%,%,$(abspath $(B))))
ABSOLUTE := $(if $(filter /%,$(B)),$(B),$(CURDIR)/$(B))
OPT ?= -O2
# of the layers with the long loops
HOT ?= -O3
TEST_OPT ?= -O0
CC ?= cc
CFLAGS ?=
PREFIX ?= /usr/local

PKG := $(shell pkg-config --exists msgpack-c 2>/dev/null && echo msgpack-c || echo msgpack)
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-unused-parameter -Wno-pass-failed
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE $(OPT) -g $(WARN) $(if $(WERROR),-Werror) -Ilib -MMD -MP -pthread $(CFLAGS) $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
ALL_LDFLAGS = -pthread $(LDFLAGS) $(RPATH) $(if $(SAN),-fsanitize=$(SAN))

LAYERS := base data wire stage image mask picture trace video dev model geom surface hold track place graph export sets scene eval view
SCRIPTS := e3-clips
TOOLS := e3 e3-decode e3-infer e3-align e3-evict-stats e3-export e3-cat e3-dump e3-model e3-mask e3-scene e3-eval e3-view

# What each layer needs from outside, found by pkg-config when something that uses it is linked or compiled.
PKGS_wire := libzmq $(PKG)
PKGS_image := libpng libturbojpeg zlib
PKGS_picture := libheif libtiff-4 libwebp libavcodec libavutil libswscale
PKGS_video := libavformat libavcodec libavutil libswscale
PKGS_dev := openblas
EXTRA_base := -fPIC
# (nobody reads errno and floating-point flags: with them no loop over e3_expf becomes vectors)
EXTRA_dev := $(HOT) -fopenmp-simd -ffp-contract=fast -fno-math-errno -fno-trapping-math
$(B)/lib/dev/tile_v3.o $(B)/lib/dev/tile_v4.o: EXTRA_dev += $(if $(filter x86_64%,$(shell $(CC) -dumpmachine)),-march=$(patsubst tile_%.o,x86-64-%,$(@F)))
$(B)/lib/dev/tile_bf16.o: EXTRA_dev += $(if $(filter x86_64%,$(shell $(CC) -dumpmachine)),-march=x86-64-v4 -mavx512bf16 -mamx-tile -mamx-bf16)
# values are rounded to 8 bits alike on every machine: nothing contracted
$(B)/lib/dev/cpu_packed.o: EXTRA_dev := $(HOT) -fopenmp-simd -ffp-contract=off -fno-math-errno -fno-trapping-math
# the same bits on every machine: nothing contracted; the other two only say that nobody reads errno and floating-point flags
EXTRA_scene := $(HOT) -fopenmp-simd -ffp-contract=off -fno-math-errno -fno-trapping-math
EXTRA_eval := $(HOT)
$(B)/lib/geom/kdtree.o $(B)/lib/geom/kdsearch.o: EXTRA_geom := $(HOT)
# the same mesh for any width of vectors: nothing contracted
EXTRA_surface := $(HOT) -fopenmp-simd -ffp-contract=off -fno-math-errno -fno-trapping-math
# (for processors without a path of their own; the others are written in vectors)
$(B)/lib/image/resize_plain.o: EXTRA_image := $(HOT)
EXTRA_video := $(HOT) -fno-math-errno -fno-trapping-math
# (opened when a camera is, not linked)
$(B)/lib/video/format.o: EXTRA_video = $(call pkg,libavdevice,--cflags)
PKGS_model := jansson zlib
$(B)/lib/model/compose.o: EXTRA_model := $(HOT) -fopenmp-simd -ffp-contract=fast
# (Debian 12's CHOLMOD has no pkg-config file)
LINK_graph := -lcholmod
PKGS_export := zlib
# the C library alone: what pkg-config gives is C++ too
CFLAGS_openexr = $(shell pkg-config --cflags OpenEXR)
LINK_export = -Wl,--push-state,--as-needed $(filter -lOpenEXRCore%,$(shell pkg-config --libs OpenEXR)) -Wl,--pop-state
$(B)/lib/export/depth_exr.o: EXTRA_export = $(CFLAGS_openexr)
PKGS_sets := jansson zlib
PKGS_view := libwebsockets jansson
$(B)/lib/view/sample.o $(B)/lib/view/merge.o: EXTRA_view := $(HOT) -fno-math-errno -fno-trapping-math
pkg = $(if $(1),$(shell pkg-config $(2) $(1)))
define layer_rules
LIB_$(1) := $$(B)/lib$(1).a
OBJ_$(1) := $$(patsubst lib/%.c,$$(B)/lib/%.o,$$(sort $$(wildcard lib/$(1)/*.c)))
CFLAGS_$(1) = $$(call pkg,$$(PKGS_$(1)),--cflags)
LIBS_$(1) = $$(call pkg,$$(PKGS_$(1)),--libs) $$(LINK_$(1))
$$(B)/lib$(1).a: $$(OBJ_$(1))
	@rm -f $$@
	$$(AR) rcsD $$@ $$^
$$(B)/lib/$(1)/%.o: lib/$(1)/%.c
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_CFLAGS) $$(EXTRA_$(1)) $$(CFLAGS_$(1)) -c -o $$@ $$<
endef
$(foreach l,$(LAYERS),$(eval $(call layer_rules,$(l))))

# The page of e3-view is a part of the program.
$(B)/lib/view/assets.c: lib/view/assets.sh $(wildcard lib/view/page/*)
	@mkdir -p $(@D)
	lib/view/assets.sh lib/view/page >$@
$(B)/lib/view/assets.o: $(B)/lib/view/assets.c lib/view/assets.h
	$(CC) $(ALL_CFLAGS) -c -o $@ $<
$(B)/libview.a: $(B)/lib/view/assets.o

# Each tool names the layers it is made of, left to right as they may include each other.
USES_e3 := stage wire data base
USES_e3-decode := stage video picture sets geom image wire data base
USES_e3-infer := stage track model dev geom image wire data base
USES_e3-align := stage hold graph place geom wire data base
USES_e3-evict-stats := stage trace image wire data base
USES_e3-export := stage export surface place hold geom mask image wire data base
USES_e3-cat := stage wire data base
USES_e3-dump := stage wire data base
USES_e3-model := model base
# (fetch)
PKGS_e3-model := libcurl
USES_e3-mask := stage mask image wire data base
USES_e3-scene := stage scene sets geom image wire data base
USES_e3-view := stage view hold geom trace image wire data base
USES_e3-eval := stage eval place hold export surface sets model geom mask image wire data base
$(foreach t,$(TOOLS),$(eval SRCS_$(t) := $(wildcard cmd/$(t)/*.c)))

# Where OpenCV's headers are; Debian's packages of its parts have no pkg-config file. ONNX is empty without them.
OPENCV := $(or $(shell pkg-config --variable=includedir_new opencv4 2>/dev/null),/usr/include/opencv4)
ONNX ?= $(wildcard $(OPENCV)/opencv2/dnn.hpp)
CXX ?= c++

.PHONY: all cuda units fuzz-bins fuzz-build clean demo test lint fuzz parity bench install uninstall deps deps-test
.DELETE_ON_ERROR:
all: $(TOOLS:%=$(B)/bin/%) $(SCRIPTS:%=$(B)/bin/%) $(B)/completion/made $(if $(ONNX),$(B)/lib/e3/libe3-onnx.so)

$(B)/cmd/%.o: cmd/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

# One file, as it is installed.
$(B)/bin/e3-clips: pipelines/clips/e3-clips.sh pipelines/clips/clip.sh
	@mkdir -p $(@D)
	sed -e '/^\. "$$here\/clip\.sh"$$/ { r pipelines/clips/clip.sh' -e 'd }' $< >$@
	chmod 755 $@

# Completion for bash, zsh and fish: the tools are asked for their options.
$(B)/completion/made: $(TOOLS:%=$(B)/bin/%) $(SCRIPTS:%=$(B)/bin/%) $(wildcard packaging/completion.sh packaging/*.awk)
	packaging/completion.sh $(B)/bin $(@D) $(TOOLS) $(SCRIPTS)
	@touch $@

# $(call libs,layers): archives and external libraries of these layers
libs = $(foreach l,$(1),$(LIB_$(l))) $(foreach l,$(1),$(LIBS_$(l))) -lm -ldl
define tool_rules
$$(B)/bin/$(1) $$(B)/kit/bin/$(1): $$(patsubst cmd/%.c,$$(B)/cmd/%.o,$$(SRCS_$(1))) $$(foreach l,$$(USES_$(1)),$$(LIB_$$(l)))
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_LDFLAGS) -o $$@ $$(filter %.o,$$^) $$(call libs,$$(USES_$(1))) $$(call pkg,$$(PKGS_$(1)),--libs)
endef
$(foreach t,$(TOOLS),$(eval $(call tool_rules,$(t))))

# Unit tests: tests/test_LAYER_WHAT.c links its layer and those below it (TEST_USES), prints TAP through cmocka.
TEST_base := base
TEST_data := data base
TEST_wire := wire data base
TEST_stage := stage wire data base
TEST_image := image base
TEST_mask := mask image data base
TEST_picture := picture image base
TEST_video := video picture image base
TEST_dev := dev base
TEST_model := model dev data base
TEST_geom := geom data base
TEST_surface := surface geom data base
TEST_track := track model dev geom data base
TEST_place := place geom data base
TEST_graph := graph place geom data base
TEST_hold := hold geom wire data base
TEST_export := export surface geom mask image data base
TEST_sets := sets geom image data base
TEST_scene := scene geom data base
# (model: jansson, for the vectors)
TEST_eval := eval hold export surface sets model geom mask image wire data base
TEST_trace := trace image data base
TEST_view := view hold geom trace image wire data base
UNIT_SRCS := $(sort $(wildcard tests/test_*.c))
UNITS := $(UNIT_SRCS:tests/%.c=$(B)/tests/%)
unit_layer = $(word 2,$(subst _, ,$(notdir $(1))))
define unit_rules
$$(B)/tests/$(1): tests/$(1).c $$(foreach l,$$(TEST_$$(call unit_layer,$(1))),$$(LIB_$$(l)))
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_CFLAGS) $$(TEST_OPT) $$(ALL_LDFLAGS) -Itests -o $$@ $$< $$(call libs,$$(TEST_$$(call unit_layer,$(1)))) -lcmocka
endef
$(foreach u,$(UNIT_SRCS:tests/%.c=%),$(eval $(call unit_rules,$(u))))
# (references that compute: optimizing them costs less than running them)
$(B)/tests/test_dev_%: TEST_OPT := $(if $(TEST_OPT),-O1)
units: $(UNITS)

# Fuzz targets: tests/fuzz/fuzz_WHAT.c with its corpus in tests/fuzz/corpus/WHAT. `make fuzz RUNS=1000000` runs each that often.
RUNS ?= 1000000
FUZZ_stream := wire data base
FUZZ_recording := view hold geom image wire data base
FUZZ_safetensors := model base
FUZZ_pth := model base
FUZZ_picture := picture image base
FUZZ_pnm := image base
FUZZ_onnx := mask image data base
FUZZ_cache := track model dev geom data base
FUZZ_known := place geom data base
FUZZ_sets := sets geom image data base
FUZZ_view_client := view hold geom trace image wire data base
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
define fuzz_rules
$$(B)/fuzz_$(1): tests/fuzz/fuzz_$(1).c $$(foreach l,$$(FUZZ_$(1)),$$(LIB_$$(l)))
	$$(CC) $$(ALL_CFLAGS) -fsanitize=fuzzer,address,undefined -o $$@ $$< $$(call libs,$$(FUZZ_$(1)))
endef
$(foreach f,$(FUZZERS),$(eval $(call fuzz_rules,$(f))))
fuzz-bins: $(FUZZERS:%=$(B)/fuzz_%)
# (Not optimized: built in a third of the time. The sanitizers then also see what an optimizer would have removed. Lint and a test may
# ask for it at the same time: one builds, the other waits.)
fuzz-build:
	@mkdir -p "$(B)/fuzz"
	@flock "$(B)/fuzz" $(MAKE) --no-print-directory B=$(B)/fuzz CC=clang OPT=-O0 HOT= SAN=fuzzer-no-link,address,undefined fuzz-bins
fuzz: fuzz-build
	@set -e; for f in $(FUZZERS); do echo "fuzz: $$f: $(RUNS) runs"; B=$(B) tests/fuzz/run.sh $$f $(RUNS); done

# The CUDA backend: a plug-in that e3-infer opens when it is there (doc/design.md 5). `make cuda CUDA_ARCHS=90a` builds for one kind only.
# An architecture of digits also gives code for newer ones through the oldest PTX.
CUDA ?= /usr/local/cuda
NVCC ?= $(CUDA)/bin/nvcc
CUDA_ARCHS ?= 90a $(filter $(patsubst compute_%,%,$(shell $(NVCC) --list-gpu-arch 2>/dev/null)),80 86 89 100 120)
CUDA_PTX = $(word 1,$(sort $(filter 8%,$(CUDA_ARCHS)) $(filter-out %a 8%,$(CUDA_ARCHS))))
GENCODE = $(foreach a,$(CUDA_ARCHS),-gencode arch=compute_$(a),code=sm_$(a)) $(foreach a,$(CUDA_PTX),-gencode arch=compute_$(a),code=compute_$(a))
NVCC_OPT ?= -O3
NVCC_FLAGS = -std=c++20 $(NVCC_OPT) -lineinfo $(GENCODE) -Ilib -MMD -MP -Xcompiler -fno-exceptions,-fno-rtti,-fno-threadsafe-statics,-fPIC,-fvisibility=hidden,-Wall $(if $(WERROR),-Werror all-warnings)
OBJ_kernels := $(patsubst kernels/%.cu,$(B)/kernels/%.o,$(sort $(wildcard kernels/*.cu)))
$(B)/kernels/%.o: kernels/%.cu
	@mkdir -p $(@D)
	$(NVCC) $(NVCC_FLAGS) -c -o $@ $<
# Only the table is exported: the runtime and everything else stay inside.
$(B)/lib/dev/check.o: EXTRA_dev += -fPIC
$(B)/lib/image/tone.o: EXTRA_image += $(HOT) -fno-math-errno -fno-trapping-math
$(B)/lib/e3/libe3-cuda.so: $(OBJ_kernels) $(B)/lib/dev/check.o $(LIB_base)
	@mkdir -p $(@D)
	$(NVCC) $(GENCODE) -shared -cudart static -o $@ $^ -L$(CUDA)/lib64 -L$(CUDA)/lib64/stubs -lcublasLt -Xlinker --exclude-libs,ALL,--as-needed,-z,defs
cuda:
	@test -x "$(lastword $(NVCC))" || { echo "make cuda: $(NVCC) is not there: install the CUDA toolkit, or say where it is with CUDA=DIR" >&2; exit 1; }
	@$(MAKE) --no-print-directory $(B)/lib/e3/libe3-cuda.so

# ONNX models: a plug-in that e3-mask opens when it is there, built with the tools where OpenCV is (lib/e3/onnx.h).
$(B)/plugins/onnx/onnx.o: plugins/onnx/onnx.cpp
	@mkdir -p $(@D)
	$(CXX) -std=c++17 $(OPT) -g -fPIC -fvisibility=hidden -Wall -Wextra -Wshadow $(if $(WERROR),-Werror) -Ilib -isystem $(OPENCV) -MMD -MP $(if $(SAN),-fsanitize=$(SAN)) -c -o $@ $<
$(B)/lib/e3/libe3-onnx.so: $(B)/plugins/onnx/onnx.o $(LIB_base)
	@mkdir -p $(@D)
	$(CXX) $(ALL_LDFLAGS) -shared -o $@ $^ $(shell pkg-config --libs-only-L opencv4 2>/dev/null) -lopencv_dnn -lopencv_imgproc -lopencv_core -Wl,--exclude-libs,ALL,--as-needed
.PHONY: onnx
onnx:
	@test -n "$(ONNX)" || { echo "make onnx: OpenCV is not there: install libopencv-dnn-dev and libopencv-imgproc-dev, or say where its headers are with OPENCV=DIR" >&2; exit 1; }
	@$(MAKE) --no-print-directory $(B)/lib/e3/libe3-onnx.so

deps:
	@tests/deps.sh build
deps-test:
	@tests/deps.sh build test

# The tests need no GPU and no network. A test of the photographs skips when E3_SHARED does not have them.
test: deps-test
	@$(MAKE) --no-print-directory all units study
	@B="$(ABSOLUTE)" tests/run.sh

demo: deps
	@$(MAKE) --no-print-directory all
	@B="$(ABSOLUTE)" pipelines/demo/run.sh

# The programs of pipelines/study: tables and plots, what is measured of a run, paths from above.
STUDY_table := image base
STUDY_long := image base
STUDY_walk := wire geom data base
STUDY_above := image base
STUDY := table long walk above
define study_rules
$$(B)/study/$(1): pipelines/study/$(1).c pipelines/study/stats.c pipelines/study/stats.h $$(foreach l,$$(STUDY_$(1)),$$(LIB_$$(l)))
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) $$(call pkg,jansson,--cflags) -o $$@ $$< pipelines/study/stats.c $$(call libs,$$(STUDY_$(1))) $$(call pkg,jansson,--libs)
endef
$(foreach s,$(STUDY),$(eval $(call study_rules,$(s))))
.PHONY: study
study: all $(STUDY:%=$(B)/study/%)

# On a machine with a GPU: operations against the CPU; the golden files; how fast.
$(B)/tests/gpu/%: tests/gpu/%.c $(foreach l,model dev data base,$(LIB_$(l)))
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -Itests -o $@ $< $(call libs,model dev data base) $(if $(findstring test_,$*),-lcmocka)
# What the kit has is found beside it, also what its libraries need (a RUNPATH would not serve those).
$(B)/tests/gpu/% $(B)/kit/bin/%: RPATH = -Wl,--disable-new-dtags,-rpath,'$$ORIGIN/../lib:$$ORIGIN/../../lib'
# (these link without a GPU and without nvcc)
gpu-units: $(B)/tests/gpu/test_gpu_ops $(B)/tests/gpu/test_gpu_weights8 $(B)/tests/gpu/test_gpu_ahead $(B)/tests/gpu/bench
gpu-bins: cuda gpu-units $(B)/bin/e3-infer
.PHONY: gpu gpu-kit gpu-bins gpu-units test-gpu sanitize-gpu parity-gpu bench-gpu
# Everything below, and one table at the end. MISSING=1: what the last run left out.
gpu: gpu-bins $(B)/bin/e3-decode $(B)/bin/e3-model $(B)/bin/e3-cat
	@B="$(ABSOLUTE)" $${PYTHON:-/usr/bin/python3} -B tests/gpu/all.py $(if $(MISSING),--missing)
# The same for a machine without a compiler and our libraries.
gpu-kit: cuda gpu-units $(B)/kit/bin/e3-infer $(B)/kit/bin/e3-model $(B)/bin/e3-decode
	@B=$(B) /usr/bin/python3 -B tests/gpu/kit.py pack
test-gpu: gpu-bins
	@B="$(ABSOLUTE)" tests/gpu/ops.sh
	@B="$(ABSOLUTE)" tests/gpu/memory.sh
# Slow: compute-sanitizer's memcheck and racecheck.
sanitize-gpu: gpu-bins
	@B="$(ABSOLUTE)" tests/gpu/sanitize.sh
parity-gpu: gpu-bins $(B)/bin/e3-decode
	@B="$(ABSOLUTE)" tests/gpu/parity.sh
bench-gpu: gpu-bins $(B)/bin/e3-model
	@B="$(ABSOLUTE)" tests/gpu/bench.sh

# The yardstick of bench and parity: what OpenBLAS alone reaches.
$(B)/bench/sgemm: tests/bench/sgemm.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -O2 $(WARN) $(call pkg,openblas,--cflags) -o $@ $< $(call pkg,openblas,--libs)

$(B)/bench/clouds: tests/bench/clouds.c $(foreach l,eval geom data base,$(LIB_$(l)))
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(call libs,eval geom data base)

$(B)/bench/graph: tests/bench/graph.c $(foreach l,graph geom data base,$(LIB_$(l)))
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -Itests -o $@ $< $(call libs,graph geom data base) -lcmocka

$(B)/bench/output: tests/bench/output.c $(foreach l,wire data base,$(LIB_$(l)))
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(call libs,wire data base)

bench: all $(B)/bench/sgemm $(B)/bench/clouds $(B)/bench/graph $(B)/bench/output
	@B="$(ABSOLUTE)" tests/bench/run.sh
# Needs the large files of tests/data/golden/README.md, 7 GiB and several minutes.
parity: all $(B)/bench/sgemm
	@B="$(ABSOLUTE)" tests/parity.sh

lint:
	@tests/lint.sh

# What fuzz-build does not compile, for tests/lint.sh to have another compiler read: CFLAGS=-fsyntax-only makes no objects.
OBJ_cmd := $(foreach t,$(TOOLS),$(patsubst cmd/%.c,$(B)/cmd/%.o,$(SRCS_$(t))))
unfuzzed: $(foreach l,$(filter-out $(foreach f,$(FUZZERS),$(FUZZ_$(f))),$(LAYERS)),$(OBJ_$(l))) $(OBJ_cmd)
	$(CC) $(filter-out -M%,$(ALL_CFLAGS)) -Itests $(call pkg,jansson,--cflags) $(UNIT_SRCS) $(wildcard tests/gpu/*.c pipelines/study/*.c)
.PHONY: unfuzzed

# Lays out the C and CUDA sources as .clang-format says.
format:
	@$$(command -v clang-format-14 || echo clang-format) -i $$(git ls-files '*.c' '*.h' '*.cu' '*.cuh' '*.cpp')
.PHONY: format

# Where the shells look.
COMPLETION := bash-completion/completions zsh/site-functions fish/vendor_completions.d
# A path may have spaces in it, which the functions of make would split.
TO = $(DESTDIR)$(PREFIX)
install: all
	install -d "$(TO)/bin" "$(TO)/share/e3/recipes" $(foreach n,1 5 7,"$(TO)/share/man/man$(n)") $(COMPLETION:%="$(TO)/share/%")
	install $(TOOLS:%=$(B)/bin/%) $(SCRIPTS:%=$(B)/bin/%) "$(TO)/bin"
	install -m 644 pipelines/demo/model.safetensors "$(TO)/share/e3/demo.safetensors"
	install $(wildcard pipelines/recipes/*.sh) "$(TO)/share/e3/recipes"
	install -m 644 $(wildcard man/*.1) "$(TO)/share/man/man1"
	install -m 644 $(wildcard man/*.5) "$(TO)/share/man/man5"
	install -m 644 $(wildcard man/*.7) "$(TO)/share/man/man7"
	install -m 644 $(B)/completion/bash/* "$(TO)/share/bash-completion/completions"
	install -m 644 $(B)/completion/zsh/* "$(TO)/share/zsh/site-functions"
	install -m 644 $(B)/completion/fish/* "$(TO)/share/fish/vendor_completions.d"
	@for p in cuda onnx; do if [ -e $(B)/lib/e3/libe3-$$p.so ]; then set -x; install -D $(B)/lib/e3/libe3-$$p.so "$(TO)/lib/e3/libe3-$$p.so"; { set +x; } 2>/dev/null; fi; done

INSTALLED = $(TOOLS:%=bin/%) $(SCRIPTS:%=bin/%) share/e3/demo.safetensors lib/e3/libe3-cuda.so lib/e3/libe3-onnx.so \
	$(patsubst pipelines/%,share/e3/%,$(wildcard pipelines/recipes/*.sh)) \
	$(foreach n,1 5 7,$(patsubst man/%,share/man/man$(n)/%,$(wildcard man/*.$(n)))) \
	$(foreach t,$(TOOLS) $(SCRIPTS),$(join $(COMPLETION:%=share/%),/$(t) /_$(t) /$(t).fish))
uninstall:
	rm -f $(foreach f,$(INSTALLED),"$(TO)/$(f)")
	@rmdir "$(TO)/share/e3/recipes" "$(TO)/share/e3" "$(TO)/lib/e3" 2>/dev/null || true

# A source archive, packages for Debian and Ubuntu, and their test in a clean system (as root, minutes).
.PHONY: dist deb test-deb
dist:
	@B=$(B) packaging/dist.sh
deb: dist
	@B=$(B) packaging/deb.sh
test-deb: deb
	@B=$(B) packaging/test.sh

clean:
	rm -rf $(B)

-include $(wildcard $(addprefix $(B)/,*.d lib/*/*.d cmd/*/*.d tests/*.d tests/gpu/*.d study/*.d kernels/*.d plugins/*/*.d))
