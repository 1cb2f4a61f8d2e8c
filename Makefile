# Every target sets up what it needs: Debian packages, .venv, the build.

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## */\1\t/p' Makefile | expand -t 10

setup: ## install what all the targets below need
	@tools/setup.sh compare test lint bench

build: ## install ringway into .venv
	@tools/setup.sh
	@tools/build.sh

compare: ## compare the paths here and on an emulated NVMe drive; more arguments in ARGS
	@tools/setup.sh compare
	@tools/build.sh
	.venv/bin/ringway compare --emulated --html ringway-report.html $(ARGS)

test: ## run every test, the core under sanitizers too; pytest arguments in ARGS
	@tools/setup.sh test
	@tools/build.sh
	@tools/test.sh $(ARGS)

lint: ## check style, types, compiler warnings and the public header
	@tools/setup.sh lint
	@tools/lint.sh

bench: ## measure ringway against its peers; more arguments in ARGS
	@tools/setup.sh bench
	@tools/build.sh
	.venv/bin/python bench/all.py $(ARGS)

clean: ## remove what these targets made, .venv too
	rm -rf .venv build build-asan build-lint .hypothesis .mypy_cache .pytest_cache .ruff_cache

.PHONY: help setup build compare test lint bench clean
.NOTPARALLEL:
