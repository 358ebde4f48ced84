# SPDX-License-Identifier: MPL-2.0
# The front door. Meson and Ninja do the work; see CONTRIBUTING.md. Every target installs the Debian packages it needs.

BUILD  ?= build
PREFIX ?= /usr/local
DESTDIR ?=
export BUILD

.NOTPARALLEL:
.PHONY: all weir demo test e2e e2e-asan asan tsan sim lint bench bench-quick survival zoo install clean help

all: weir

weir: ## build build/weir (the default)
	@scripts/deps.sh build
	@scripts/build.sh $(BUILD) --target weir

demo: ## flood a bare application, then the same one behind Weir (under a minute)
	@scripts/deps.sh build demo
	@scripts/build.sh $(BUILD) -Dbench=true
	@demo/run.py

test: ## unit tests, the same under ASan+UBSan and TSan, libweir under valgrind, the floors, end to end
	@scripts/deps.sh build test
	@scripts/test.sh unit asan tsan valgrind scripts e2e

asan: ## unit tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/deps.sh build test
	@scripts/test.sh asan

tsan: ## unit tests with threads under ThreadSanitizer
	@scripts/deps.sh build test
	@scripts/test.sh tsan

e2e: ## end to end alone: make e2e ARGS="-k churn"
	@scripts/deps.sh build test
	@scripts/test.sh e2e $(ARGS)

e2e-asan: asan ## end to end against the sanitized program
	@WEIR=$(abspath $(BUILD)-asan)/weir scripts/test.sh e2e $(ARGS)

sim: ## when messages wait, in virtual time: a table over random applications, clients and floods (some minutes)
	@scripts/deps.sh build test
	@scripts/build.sh $(BUILD) -Dtests=true
	@$(BUILD)/tests/sim/admission_sim --draws 10000 500

lint: ## format, clang -Werror, cppcheck, forbidden calls, licence lines, floors
	@scripts/deps.sh build test lint
	@scripts/lint.sh

bench: ## compare with direct tcp, HAProxy and zmq_proxy (a few minutes); writes bench/results/
	@scripts/deps.sh build bench
	@scripts/build.sh $(BUILD) -Dbench=true
	@bench/run.py --write

bench-quick: ## the same in under a minute, for a first look; writes nothing
	@scripts/deps.sh build bench
	@scripts/build.sh $(BUILD) -Dbench=true
	@bench/run.py --quick

survival: ## every flood against a bare application, Weir, HAProxy, zmq_proxy and nftables (half an hour); writes bench/results/
	@scripts/deps.sh build bench survival
	@scripts/build.sh $(BUILD) -Dbench=true
	@bench/survival.py --write $(ARGS)

zoo: ## protocols and programs of the field, each bare and behind Weir (an hour and a half); writes bench/results/
	@scripts/deps.sh build test zoo
	@scripts/interop-deps.sh
	@scripts/build.sh $(BUILD) -Dtests=true -Dbench=true
	@WEIR=$(abspath $(BUILD))/weir /usr/bin/python3 tests/zoo/run.py --write $(ARGS)

install: weir ## install: make install PREFIX=/usr DESTDIR=/tmp/stage
	@scripts/build.sh $(BUILD) --target installed -Dprefix=$(PREFIX)
	@DESTDIR="$(DESTDIR)" meson install -C $(BUILD) --no-rebuild

clean: ## remove every build directory
	@rm -rf build build-*

help:
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## /\1|/p' Makefile | awk -F'|' '{ printf "make %-12s %s\n", $$1, $$2 }'
