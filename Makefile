# The front door; the build itself is CMake's (CMakePresets.json). `make help` lists what there is.
JOBS         ?= $(shell nproc)
PREFIX       ?= /usr/local
FUZZ_SECONDS ?= 60
UP           ?=
BENCH_MODEL  ?= --shape qwen3-0.6b --type Q4_0
NANO          = build/nano

# configure PRESET FOLDER: quiet unless it fails; once, since ninja does it again when the build's files change
fresh = [ $(1)/build.ninja -nt CMakePresets.json ] && [ $(1)/build.ninja -nt scripts/packages.txt ]
configure = $(call fresh,$(2)) || { mkdir -p $(2) && { cmake --preset $(1) > $(2)/configure.log 2>&1 && touch $(2)/build.ninja || { cat $(2)/configure.log; exit 1; }; }; }
# suite PRESET FOLDER: its tests, then the closing line of each
suite = ctest --preset $(1) -j $(JOBS) && scripts/closing $(2)/Testing/Temporary/LastTest.log
# gcc's thread sanitizer wants the classic memory layout; where setarch is not allowed, try without
no_aslr = $(shell setarch -R true 2>/dev/null && echo setarch -R)
sources = $(shell find src tests -name '*.[ch]' -o -name '*.inc')
scripted = src/console/web/build.mjs 'src/console/web/src/**/*.{js,jsx,css}' 'tests/**/*.mjs'

.NOTPARALLEL:
.PHONY: all up down test test-engines test-release test-sanitizers test-crash check format-check bench fuzz nano install deb format clean help setup setup-all setup-engines

all: setup ## the program, build/feitian
	@$(call configure,release,build)
	@cmake --build build -j $(JOBS) --target feitian

up: all ## the cloud on this machine: started, asked a question, and how to go on (UP="--listen ...")
	@scripts/up build/feitian $(UP)

down: ## the cloud stopped
	@build/feitian down

setup:
	@scripts/setup

setup-all:
	@scripts/setup all

test: test-release test-sanitizers ## all tests, then again under sanitizers
	@echo "make test: all passed"

test-release: all
	@cmake --build build -j $(JOBS)
	@$(call suite,release,build)

setup-engines:
	@scripts/setup engines

test-engines: setup setup-engines ## backends beside the servers they are for, which are installed: Ceph RGW
	@$(call configure,release,build)
	@cmake --build build -j $(JOBS) --target engines
	@ctest --preset release -L engines --output-on-failure

test-sanitizers: setup
	@$(call configure,dev,build-dev)
	@cmake --build build-dev -j $(JOBS)
	@$(call suite,dev,build-dev)
	@$(call configure,tsan,build-tsan)
	@cmake --build build-tsan -j $(JOBS)
	@$(no_aslr) $(call suite,tsan,build-tsan)

test-crash: all ## the store of objects killed 100 times in the middle of its work (minutes)
	@cmake --build build -j $(JOBS) --target test_blob_dir_crash
	@FT_CRASH_ROUNDS=100 build/tests/test_blob_dir_crash

check: setup-all format-check all test-sanitizers ## format, tidy, layers, static analysis, sanitizers
	@tools/tidy.py
	@tools/layers.py
	@cppcheck --quiet -j $(JOBS) --std=c11 --enable=warning,portability --inline-suppr \
	    --suppressions-list=tools/cppcheck.txt --error-exitcode=1 -D_GNU_SOURCE -D__x86_64__ \
	    --cppcheck-build-dir=build --library=posix,gnu,tools/cppcheck.cfg -Isrc src
	@echo "make check: all passed"

format-check: setup-all
	@clang-format --dry-run -Werror $(sources)

format: setup-all ## clang-format and prettier over all sources
	@clang-format -i $(sources)
	@cmake -DNPM=npm -DFROM=tests/console -DINTO=build/console-tests -P cmake/npm.cmake
	@build/console-tests/node_modules/.bin/prettier --log-level warn --write $(scripted)

bench: all ## benchmarks: the parts, then the program (BENCH_MODEL="...")
	@cmake --build build -j $(JOBS) --target benchmarks
	@set -e; for b in build/bench/bench_*; do echo "== $${b##*/}"; $$b; done
	@echo "== feitian bench $(BENCH_MODEL)"; build/feitian bench $(BENCH_MODEL)

fuzz: setup-all ## each fuzz target for FUZZ_SECONDS (60)
	@$(call configure,fuzz,build-fuzz)
	@cmake --build build-fuzz -j $(JOBS)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz build-fuzz

nano: all ## the demonstration model, trained anew: models/nano.gguf (about twenty minutes)
	@rm -rf $(NANO) && mkdir -p models
	@/usr/bin/python3 -B nano/corpus.py $(NANO)
	@build/feitian train tokenizer $(NANO)/tokenizer.txt -o $(NANO)/tokenizer/ --vocab-size 4096 --chat-template chatml
	@build/feitian train nano/train.json --tokenizer $(NANO)/tokenizer --data $(NANO)/train.jsonl -o $(NANO)/run
	@mv $(NANO)/run/model $(NANO)/held-out && cp nano/generation_config.json $(NANO)/held-out/
	@build/feitian convert $(NANO)/held-out --type Q8_0 -o $(NANO)/held-out.gguf
	@/usr/bin/python3 -B nano/evaluate.py $(NANO) $(NANO)/held-out.gguf
	@build/feitian train nano/finish.json
	@mv $(NANO)/finish/model $(NANO)/nano && cp nano/generation_config.json $(NANO)/nano/
	@build/feitian convert $(NANO)/nano --type Q8_0 -o models/nano.gguf

install: all ## into $(DESTDIR)$(PREFIX): the program, nano, the units of systemd
	@DESTDIR=$(DESTDIR) cmake --install build --prefix $(PREFIX)
	@install -D -m 644 models/nano.gguf $(DESTDIR)$(PREFIX)/share/feitian/nano.gguf
	@install -D -m 644 README.md $(DESTDIR)$(PREFIX)/share/doc/feitian/README.md
	@install -D -m 644 deploy/feitian.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/feitian.conf
	@mkdir -p $(DESTDIR)$(PREFIX)/lib/systemd/system
	@sed 's|/usr/local/|$(PREFIX)/|' deploy/feitian.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/feitian.service

deb: all ## a Debian package of it: build/feitian_VERSION_ARCH.deb
	@scripts/deb build build

clean: ## remove everything built
	rm -rf build build-dev build-tsan build-fuzz

help:
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20
