#!/usr/bin/env bash
# Checks style, types, compiler warnings, the public header and its mirror for cffi.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

header=native/include/ringway.h
strict=(-Wall -Wextra -Wpedantic -Werror -fsyntax-only)

ruff check
ruff format --check
mypy
python tools/check_cdef.py
cc -std=c11 "${strict[@]}" -x c $header
c++ -std=c++11 "${strict[@]}" -x c++ $header

# Warnings are errors here, not where users build with compilers we have not seen. They
# depend on the optimiser, so this build is made like the one that is shipped.
[ -d build-lint/meson-private ] || meson setup build-lint -Dwerror=true -Db_ndebug=if-release
ninja --quiet -C build-lint all meson-test-prereq bench
