#!/usr/bin/env bash
# Runs every test: test.sh [pytest arguments for the last step]
#
# First the native tests, then these and the contract tests under the address
# and undefined-behaviour sanitizers, then all Python tests; at last the contract
# on emulated NVMe drives.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

say() {
	printf '\n== %s\n' "$1"
}

# The sanitized package lives beside its build and is found before the ordinary one.
sanitized=$PWD/build-asan/package

# One chain: under quietly(), `set -e` would not stop at the first failure.
build_sanitized() {
	local again=()
	[ ! -d build-asan/meson-private ] || again=(--reconfigure)
	meson setup "${again[@]}" build-asan --prefix="$sanitized" \
		-Dpython.purelibdir="$sanitized" -Dpython.platlibdir="$sanitized" \
		-Dbuildtype=debugoptimized -Db_sanitize=address,undefined &&
		ninja -C build-asan all meson-test-prereq &&
		rm -rf "$sanitized" &&
		meson install -C build-asan --no-rebuild
}

quietly() {
	local log=build/sanitized.log
	"$@" >$log 2>&1 || { cat $log; exit 1; }
	rm $log
}

# Python itself is not sanitized: the run-time comes in first, and what the
# interpreter keeps until it ends is no leak of ours. pytest's fault handler
# would hide the sanitizer's report. libstdc++ must be there before numpy asks.
pytest_sanitized() {
	LD_PRELOAD="$(cc -print-file-name=libasan.so) $(cc -print-file-name=libstdc++.so.6)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 PYTHONPATH=$sanitized \
		python -m pytest -p no:faulthandler "$@"
}

say "native tests"
ninja --quiet -C build meson-test-prereq
meson test -C build --no-rebuild --print-errorlogs

say "native tests, sanitized"
quietly build_sanitized
meson test -C build-asan --no-rebuild --print-errorlogs

say "contract tests, sanitized"
pytest_sanitized -q tests/contract

say "all Python tests"
python -m pytest "$@"

# What is on these drives goes with the machine.
say "contract tests on emulated NVMe drives"
ringway vm --topology contract --timeout 15m -- env \
	RINGWAY_TEST_NVME=/dev/nvme0n1 RINGWAY_TEST_POLLED=/dev/nullb0 RINGWAY_TEST_EXAMPLES=1 \
	python -m pytest -q -p no:cacheprovider tests/contract
