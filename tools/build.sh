#!/usr/bin/env bash
# Installs the package into .venv when a source is newer than what is there.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

stamp=.venv/.ringway-built
sources=(native src configs meson.build pyproject.toml tools/build.sh)
[ -e $stamp ] || touch -d @0 $stamp
newer=$(find "${sources[@]}" -name __pycache__ -prune -o -newer $stamp -print -quit)
[ -n "$newer" ] || exit 0

echo "Building ringway (in build/)"
touch $stamp.begun
python -m pip install -qq --no-input --disable-pip-version-check --no-deps --force-reinstall \
	--no-build-isolation --config-settings=build-dir=build .
mv $stamp.begun $stamp
