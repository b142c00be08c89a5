# brig: build, test, install. `make help` lists the targets.
#
# O=DIR              where everything is built (default: build, or build-san with SANITIZE=1)
# SANITIZE=1         build with the address and undefined-behaviour sanitizers
# FUZZER=1           the same, with clang, and for fuzzing: what `make fuzz` builds
# TIME=SECONDS, FUZZ="jsonrpc imsg"  make fuzz: how long each, and only these
# BRIG_ENGINE=DIR    a prebuilt engine: DIR/{worker,compiler}/libbrig_engine.a and DIR/include
# T="utc lines"      only these unit tests
# DIRS="policy base" only these directories' code, for work on one part
# STATIC=0           link brig-worker and brig-compiler with shared libraries
# PREFIX, DESTDIR    as everywhere

SANITIZE ?= 0
FUZZER ?= 0
ifeq ($(FUZZER),1)
O ?= build-fuzz
CC := clang
else ifeq ($(SANITIZE),1)
O ?= build-san
else
O ?= build
endif
PREFIX ?= /usr/local
PKG_CONFIG ?= pkg-config
CARGO ?= cargo
RUSTC ?= rustc
CFLAGS ?= -O2 -g
export PATH := $(PATH):$(HOME)/.cargo/bin

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:

# --- flags ---------------------------------------------------------------------------------------------------------

# $(call accepts,FLAG): FLAG when the compiler takes it without a word, else nothing.
accepts = $(shell echo 'int main(void){return 0;}' | $(CC) -Werror $(1) -x c -c -o /dev/null - 2>/dev/null && echo '$(1)')

comma := ,

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wwrite-strings \
	-Wconversion -Wno-sign-conversion -Wformat=2 -Wvla -Werror

ifeq ($(FUZZER),1)
HARDEN := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
HARDEN_LD := -fsanitize=address,undefined
else ifeq ($(SANITIZE),1)
HARDEN := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
HARDEN_LD := -fsanitize=address,undefined
else
INIT_ZERO := $(call accepts,-ftrivial-auto-var-init=zero)
ifeq ($(INIT_ZERO),)
INIT_ZERO := $(call accepts,-ftrivial-auto-var-init=zero \
	-enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang)
endif
HARDEN := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE $(INIT_ZERO) \
	$(call accepts,-fcf-protection) $(call accepts,-fstack-clash-protection)
HARDEN_LD := -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack
endif

# brig-worker starts once and forks for each run, and brig-compiler starts for each module: where the libraries can be
# had so, these hold all their code, so that fewer pages are mapped each time and no name is looked up.
STATIC ?= $(if $(filter 1,$(SANITIZE) $(FUZZER)),0,1)
links = $(shell echo 'int sodium_init(void); int main(void) { return sodium_init(); }' | \
	$(CC) -fPIE $(1) -x c -o /dev/null - -lsodium 2>/dev/null && echo '$(1)')
ifeq ($(STATIC),1)
STATIC_LD := $(or $(call links,-static-pie -Wl$(comma)--no-warnings),$(call links,-static-pie))
endif
# One piece of code at the border of a huge page, for runtime/warm.h.
HUGE_LD := $(call links,-Wl$(comma)-z$(comma)noseparate-code -Wl$(comma)-z$(comma)max-page-size=0x200000)
STATIC_LDFLAGS = $(if $(STATIC_LD),$(filter-out -pie,$(ALL_LDFLAGS)) $(STATIC_LD),$(ALL_LDFLAGS))
WORKER_LDFLAGS = $(STATIC_LDFLAGS) $(if $(STATIC_LD),$(HUGE_LD))

pkg = $(shell $(PKG_CONFIG) $(1) 2>/dev/null)
LIB_EVENT := $(or $(call pkg,--libs libevent_core),-levent_core)
LIB_JANSSON := $(or $(call pkg,--libs jansson),-ljansson)
LIB_SODIUM := $(or $(call pkg,--libs libsodium),-lsodium)
LIB_SECCOMP := $(or $(call pkg,--libs libseccomp),-lseccomp)
LIB_CMOCKA := $(or $(call pkg,--libs cmocka),-lcmocka)
PKG_CFLAGS := $(call pkg,--cflags libevent_core jansson libsodium libseccomp cmocka)

# --- the engine ----------------------------------------------------------------------------------------------------

# Everything that must be the same for one process to load what another compiled: recipe, sources and compiler.
ENGINE_SOURCES := $(wildcard runtime/engine/Cargo.toml runtime/engine/Cargo.lock runtime/engine/src/*.rs)
RUSTC_VERSION := $(shell PATH='$(PATH)' $(RUSTC) -vV 2>/dev/null)
ENGINE_KEY := $(shell { cat $(ENGINE_SOURCES); echo '$(RUSTC_VERSION)'; } | sha256sum | cut -c1-32)
ENGINE_ID := $(shell { cat $(ENGINE_SOURCES) $(wildcard runtime/engine.c runtime/compiler.c); echo '$(RUSTC_VERSION)'; $(CC) -dumpmachine; } \
	| sha256sum | cut -c1-64)
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/brig

ifdef BRIG_ENGINE
ENGINE := $(BRIG_ENGINE)
else
ENGINE := $(CACHE)/engine/$(ENGINE_KEY)
endif
ENGINE_WORKER := $(ENGINE)/worker/libbrig_engine.a
ENGINE_COMPILER := $(ENGINE)/compiler/libbrig_engine.a
LIB_ENGINE := -lpthread -ldl -lm

CPPFLAGS += -D_GNU_SOURCE -I. -I$(O) -isystem $(ENGINE)/include $(PKG_CFLAGS)
ALL_CFLAGS = -std=gnu11 $(WARN) $(HARDEN) -ffunction-sections -fdata-sections $(CFLAGS)
ALL_LDFLAGS = $(HARDEN_LD) -Wl,--gc-sections -Wl,--as-needed $(LDFLAGS)

# --- what there is -------------------------------------------------------------------------------------------------

# One archive per directory, in link order; dependencies point down this list.
DIRS := clients broker audit files sandbox runtime policy base
SRC_clients := $(wildcard clients/c/*.c)
SRC_broker := $(wildcard broker/*.c)
SRC_audit := $(wildcard audit/*.c)
SRC_files := $(wildcard files/*.c)
SRC_sandbox := $(wildcard sandbox/*.c)
SRC_runtime := $(wildcard runtime/*.c runtime/wasi/*.c)
SRC_policy := $(wildcard policy/*.c)
SRC_base := $(wildcard base/*.c)

MAINS := broker/brigd.c clients/c/brig.c $(wildcard */*_main.c)
LIB_SOURCES := $(filter-out $(MAINS),$(foreach d,$(DIRS),$(SRC_$(d))))
ARCHIVES := $(foreach d,$(DIRS),$(if $(filter-out $(MAINS),$(SRC_$(d))),$(O)/lib$(d).a))
archives = $(filter $(foreach d,$(1),$(O)/lib$(d).a),$(ARCHIVES))

# name, its main, the archives it takes, and the libraries that it may link: a call into another one does not link; what
# else it takes; the flags that it is linked with, if not the usual ones.
PROGRAMS :=
define program
ifneq ($(wildcard $(2)),)
PROGRAMS += $(O)/$(1)
$(O)/$(1): $(O)/$(2:.c=.o) $(call archives,$(3)) $(5)
	@echo "  LD      $$(@F)"
	@$$(CC) $$(ALL_CFLAGS) $$($(or $(6),ALL_LDFLAGS)) -o $$@ $$^ $(4)
endif
endef
$(eval $(call program,brigd,broker/brigd.c,broker audit policy base,$(LIB_EVENT) $(LIB_JANSSON) $(LIB_SODIUM) -lm))
$(eval $(call program,brig-store,broker/store_main.c,broker sandbox base,$(LIB_SECCOMP) $(LIB_SODIUM)))
$(eval $(call program,brig-logger,audit/logger_main.c,audit sandbox base,$(LIB_JANSSON) $(LIB_SECCOMP) $(LIB_SODIUM)))
$(eval $(call program,brig-launcher,sandbox/launcher_main.c,sandbox base,$(LIB_SECCOMP) $(LIB_SODIUM)))
$(eval $(call program,brig-worker,runtime/worker_main.c,sandbox runtime base,$(LIB_SODIUM) $(LIB_ENGINE),$(ENGINE_WORKER),WORKER_LDFLAGS))
$(eval $(call program,brig-compiler,runtime/compiler_main.c,sandbox runtime base,$(LIB_SODIUM) $(LIB_ENGINE),$(ENGINE_COMPILER),STATIC_LDFLAGS))
$(eval $(call program,brig-files,files/files_main.c,files sandbox base,$(LIB_SECCOMP) $(LIB_SODIUM),,STATIC_LDFLAGS))
$(eval $(call program,brig,clients/c/brig.c,clients broker audit sandbox policy base,$(LIB_JANSSON) $(LIB_SODIUM) \
	$(LIB_SECCOMP) -lm))

UNIT_TESTS := $(patsubst tests/unit/%.c,$(O)/tests/unit/%,$(if $(T),$(T:%=tests/unit/test_%.c),$(wildcard tests/unit/test_*.c)))
TEST_HELPERS := $(patsubst %.c,$(O)/%.o,$(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c)))
FUZZ_TARGETS := $(patsubst %.c,$(O)/%,$(wildcard tests/fuzz/fuzz_*.c))
BENCH := $(patsubst %.c,$(O)/%,$(wildcard tests/bench/*.c))

# --- building ------------------------------------------------------------------------------------------------------

all: $(PROGRAMS) ## build the programs (the default)

# Objects are rebuilt when the flags change.
FLAGS_TEXT = $(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS)
$(O)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(FLAGS_TEXT)' | cmp -s - $@ || echo '$(FLAGS_TEXT)' >$@

$(O)/engine_id.h: FORCE
	@mkdir -p $(@D)
	@echo '#define ENGINE_ID "$(ENGINE_ID)"' | cmp -s - $@ || echo '#define ENGINE_ID "$(ENGINE_ID)"' >$@

engine: $(ENGINE_WORKER) $(ENGINE_COMPILER)

# A named engine is taken as it is; ours is built once into the user's cache.
ifndef BRIG_ENGINE
$(ENGINE_WORKER):
	@CARGO=$(CARGO) RUSTC=$(RUSTC) scripts/engine.sh worker $(ENGINE)
$(ENGINE_COMPILER): $(ENGINE_WORKER)
	@CARGO=$(CARGO) RUSTC=$(RUSTC) scripts/engine.sh compiler $(ENGINE)
endif

$(O)/%.o: %.c $(O)/flags
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(patsubst %.c,$(O)/%.o,$(SRC_runtime) $(wildcard tests/unit/*.c)): | $(ENGINE_COMPILER) $(O)/engine_id.h
$(patsubst %.c,$(O)/%.o,$(foreach d,$(DIRS),$(SRC_$(d)))): | $(O)/engine_id.h

define archive
$(O)/lib$(1).a: $(patsubst %.c,$(O)/%.o,$(filter-out $(MAINS),$(SRC_$(1))))
	@echo "  AR      $$(@F)"
	@rm -f $$@ && $(AR) rcsD $$@ $$^
endef
$(foreach d,$(DIRS),$(eval $(call archive,$(d))))

# --- tests ---------------------------------------------------------------------------------------------------------

$(O)/tests/unit/test_%: $(O)/tests/unit/test_%.o $(TEST_HELPERS) $(ARCHIVES) $(ENGINE_COMPILER)
	@echo "  LD      $(@F)"
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIB_CMOCKA) $(LIB_EVENT) \
		$(LIB_JANSSON) $(LIB_SODIUM) $(LIB_SECCOMP) $(LIB_ENGINE)

$(O)/tests/unit/test_wasi_model: $(O)/tests/fuzz/wasi_model.o $(O)/tests/fuzz/input.o

# These start programs.
$(O)/tests/unit/test_services: | $(O)/brig-store $(O)/brig-logger
$(O)/tests/unit/test_files: | $(O)/brig-files

unit-tests: $(UNIT_TESTS)

# With FUZZER=1 libFuzzer finds inputs; else the committed ones are replayed.
ifeq ($(FUZZER),1)
FUZZ_MAIN := -fsanitize=fuzzer
else
FUZZ_MAIN := $(O)/tests/fuzz/replay.o
$(FUZZ_TARGETS): $(FUZZ_MAIN)
endif
$(O)/tests/fuzz/fuzz_%: $(O)/tests/fuzz/fuzz_%.o $(O)/tests/fuzz/input.o $(ARCHIVES) $(ENGINE_WORKER)
	@echo "  LD      $(@F)"
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(FUZZ_MAIN) $(filter-out $(FUZZ_MAIN),$(filter %.o,$^)) $(filter %.a,$^) \
		$(LIB_EVENT) $(LIB_JANSSON) $(LIB_SODIUM) $(LIB_SECCOMP) $(LIB_ENGINE)

$(O)/tests/fuzz/fuzz_wasi: $(addprefix $(O)/tests/,fuzz/wasi_model.o unit/files_peer.o unit/wasi_errnos.o)

fuzz-targets: $(FUZZ_TARGETS)

# Stands in for brig-worker in tests/scenario/test_liar.py.
$(O)/tests/scenario/liar: $(O)/tests/scenario/liar.o $(call archives,base)
	@echo "  LD      $(@F)"
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIB_SODIUM)

# brig-worker's own objects, with the attempts of tests/unit/attempts_table.h in the guest's place.
ATTEMPTS := $(patsubst %.c,$(O)/%.o,$(wildcard tests/unit/attempts_*.c))
$(O)/tests/scenario/attempt: $(O)/tests/scenario/attempt.o $(O)/runtime/worker_main.o $(ATTEMPTS) \
	$(call archives,sandbox runtime base) $(ENGINE_WORKER)
	@echo "  LD      $(@F)"
	@$(CC) $(ALL_CFLAGS) $(WORKER_LDFLAGS) -Wl,--wrap=wasi_begin,--wrap=wasmtime_func_call -o $@ $^ \
		$(LIB_SODIUM) $(LIB_ENGINE)
$(O)/tests/scenario/attempt.o: | $(ENGINE_COMPILER)
$(O)/tests/scenario/attempts.txt: $(O)/scripts/tables
	@mkdir -p $(@D)
	@$< attempt_names >$@.new && mv $@.new $@

# Preloaded by tests/scenario/test_faults.py and test_apply.py.
$(O)/tests/scenario/%.so: tests/scenario/%.c
	@mkdir -p $(@D)
	@echo "  LD      $(@F)"
	@$(CC) -D_GNU_SOURCE $(filter-out -fPIE -pie -flto,$(ALL_CFLAGS)) -U_FILE_OFFSET_BITS -fPIC -shared -o $@ $< -ldl

test-unit: unit-tests ## build and run the unit tests
	@tests/run --build $(O) unit $(T)

check-build: all unit-tests $(O)/scripts/tables $(addprefix $(O)/tests/scenario/,liar faults.so stop.so attempt attempts.txt)
	@scripts/guests.sh $(O)/guests

check: ## all tests: unit, sanitizers, scenarios; installs what they need
	@scripts/deps.sh build check
	@$(MAKE) O=$(O) check-build
	@$(MAKE) O=$(O)-san SANITIZE=1 all unit-tests fuzz-targets
	@tests/run --build $(O) --sanitized $(O)-san all

TIME ?= 60
fuzz: ## fuzz every decoder for TIME seconds (60), or those in FUZZ="jsonrpc imsg"
	@scripts/deps.sh build check fuzz
	@$(MAKE) $(JOBS) O=$(O)-fuzz FUZZER=1 fuzz-targets
	@tests/fuzz/run.py --build $(O)-fuzz --time $(TIME) $(FUZZ)
	@$(if $(FUZZ),,$(MAKE) $(JOBS) O=$(O) fuzz-modules)

MUTANTS ?= 100000
fuzz-modules: all ## run MUTANTS (100000) mutated modules in the jail; SEED=N for the same again
	@BRIG_BUILD=$(O) python3 tests/scenario/test_mutants.py --seed $(or $(SEED),$(shell date +%s)) --count $(MUTANTS)

# --- trying, measuring, installing -----------------------------------------------------------------------------------

deps: ## install what building needs
	@scripts/deps.sh build

deps-check: ## install what the tests need too
	@scripts/deps.sh build check

# As many jobs as processors, unless -j said otherwise.
JOBS = $(if $(findstring j,$(filter-out --%,$(MAKEFLAGS))),,-j$(shell nproc))

demo: ## from nothing to a signed run: what brig is, in one command
	@scripts/deps.sh build
	@$(MAKE) O=$(O) engine
	@$(MAKE) $(JOBS) O=$(O) all
	@scripts/demo.sh $(O)

python-pack: ## the Python pack, optimized, to be signed (brig pack sign): O/packs/python
	@scripts/deps.sh pack
	@scripts/python-pack.sh $(O)/packs

bench-deps: ## get what brig is compared with, at pinned versions, into the user's cache
	@scripts/deps.sh build check bench
	@scripts/bench-deps.sh $(O)/peers

bench: bench-deps python-pack ## measure brig and others; writes docs/benchmarks.md and its plots. SHARE=0.01: to see that it works
	@$(MAKE) O=$(O) all benches
	@scripts/guests.sh $(O)/guests
	@tests/bench/run.py --build $(O) $(if $(SHARE),--share $(SHARE) --output $(O)/benchmarks.md)

SECONDS ?= 600
soak: ## all that clients do, right and wrong, for SECONDS (600): nothing may be lost or left; SEED=N for the same again
	@scripts/deps.sh build check
	@$(MAKE) O=$(O) all
	@scripts/guests.sh $(O)/guests
	@BRIG_BUILD=$(O) python3 tests/scenario/soak.py --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

benches: $(BENCH)
$(O)/tests/bench/%: $(O)/tests/bench/%.o $(call archives,base)
	@echo "  LD      $(@F)"
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIB_SODIUM)

# The generator reads the same tables as the programs.
$(O)/scripts/tables: $(O)/scripts/tables.o $(call archives,runtime policy base) $(ENGINE_WORKER)
	@echo "  LD      $(@F)"
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIB_JANSSON) $(LIB_SODIUM) $(LIB_ENGINE)

docs: $(O)/scripts/tables ## write the tables in docs/ anew from the code
	@scripts/docs.py $(O)/scripts/tables

HELPERS := brig-store brig-logger brig-launcher brig-worker brig-compiler brig-files
MAN_PAGES := $(wildcard docs/man/*.[1-8])
install: all ## install below PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/brig
	install -s -m 755 $(O)/brig $(O)/brigd $(DESTDIR)$(PREFIX)/bin/
	install -s -m 755 $(HELPERS:%=$(O)/%) $(DESTDIR)$(PREFIX)/libexec/brig/
	for page in $(MAN_PAGES); do \
		install -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/} || exit 1; done

clean: ## remove what was built here; the engine's cache stays
	rm -rf $(O) $(O)-san $(O)-fuzz build build-san build-fuzz

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 22

FORCE:
.PHONY: all engine unit-tests test-unit check-build check fuzz-targets fuzz fuzz-modules deps deps-check demo python-pack bench bench-deps soak benches docs install clean help FORCE
.SECONDARY:

-include $(shell find $(O) -name '*.d' 2>/dev/null)
