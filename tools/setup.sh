#!/usr/bin/env bash
# Makes the machine ready: setup.sh [compare] [test] [lint] [bench]
#
# Installs the Debian packages that are missing and makes .venv with what these
# purposes need. Where it may not install, it names what is missing and stops.
# When everything is there it only looks, in a fraction of a second.
set -euo pipefail
cd "$(dirname "$0")/.."

purposes=" $* "
missing=()
python=

for_purpose() {
	[[ $purposes =~ \ ($1)\  ]]
}

# need PACKAGE PROBE…: the package is missing when the probe fails.
need() {
	"${@:2}" >/dev/null 2>&1 || missing+=("$1")
}

any_command() {
	local name
	for name; do
		! command -v "$name" || return 0
	done
	return 1
}

# What starts an emulated machine must not need the host's libraries.
static_busybox() {
	local program
	program=$(any_command busybox busybox-static) && ! ldd "$program"
}

compiles() {
	cc "$@" -x c - -o /dev/null <<<'#include <linux/io_uring.h>
int main(void) { return 0; }'
}

# The environment's own interpreter if it was made here and works, else the first that would do.
find_python() {
	local name names="${PYTHON:-python3} python3.14 python3.13 python3.12 python3.11 python3.10"
	[ "$(cat .venv/.ringway-place 2>/dev/null)" != "$PWD" ] || names=".venv/bin/python $names"
	for name in $names; do
		if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
			python=$name
			return
		fi
	done
}

need_python() {
	local version include
	find_python
	if [ -z "$python" ]; then
		missing+=(python3 python3-venv python3-dev)
		return
	fi
	read -r version include < <("$python" -c 'import sys, sysconfig
print("%d.%d" % sys.version_info[:2], sysconfig.get_path("include"))')
	need "python$version-venv" "$python" -c 'import ensurepip, venv'
	need "python$version-dev" test -e "$include/Python.h"
}

look() {
	missing=()
	need_python
	need gcc command -v cc
	need libc6-dev compiles
	need pkg-config command -v pkg-config
	need liburing-dev pkg-config --exists 'liburing >= 2.3'
	if for_purpose 'compare|test|bench'; then
		need fio command -v fio
		need qemu-system-x86 command -v qemu-system-x86_64
		need busybox-static static_busybox
	fi
	if for_purpose test; then
		need chromium any_command chromium chromium-browser google-chrome
		need libasan8 compiles -fsanitize=address
		need libubsan1 compiles -fsanitize=undefined
	fi
	if for_purpose lint; then
		need g++ command -v c++
	fi
}

refuse() {
	{
		echo "These Debian packages are needed and not here: ${missing[*]}"
		echo "(python3 must be 3.10 or newer, liburing 2.3 or newer.)"
		echo "$1"
	} >&2
	exit 1
}

install_packages() {
	local apt=(env DEBIAN_FRONTEND=noninteractive
		apt-get -qq -o Acquire::Retries=3 -o Dpkg::Use-Pty=0)
	command -v apt-get >/dev/null ||
		refuse "There is no apt-get here: install the equivalents, then run this again."
	if [ "$(id -u)" != 0 ]; then
		# Without a terminal nobody can type sudo's password.
		command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; } ||
			refuse "Only root may install them: apt-get install ${missing[*]}"
		apt=(sudo "${apt[@]}")
	fi
	echo "Installing Debian packages: ${missing[*]}"
	"${apt[@]}" update || echo "apt-get update failed; going on with the lists at hand" >&2
	"${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null ||
		refuse "apt-get could not install them; what it said is above."
	look
	[ ${#missing[@]} = 0 ] || refuse "apt-get installed what it has, and that is not enough."
}

make_environment() {
	[ "$python" != .venv/bin/python ] || return 0
	echo "Making .venv with $("$python" --version)"
	"$python" -m venv --clear .venv
	echo "$PWD" >.venv/.ringway-place
}

# A stamp per extra says for which pyproject.toml it was installed.
fill_environment() {
	local extra extras="" stale="" now wanted
	if for_purpose 'compare|test|lint'; then extras+=" plot"; fi
	if for_purpose test; then extras+=" test"; fi
	if for_purpose lint; then extras+=" dev"; fi
	now=$(sha256sum pyproject.toml)
	for extra in base $extras; do
		[ "$(cat ".venv/.ringway-$extra" 2>/dev/null)" = "$now" ] || stale+=" $extra"
	done
	[ -n "$stale" ] || return 0

	echo "Installing Python packages into .venv"
	wanted=$(.venv/bin/python tools/requirements.py $extras)
	.venv/bin/python -m pip install -qq --no-input --disable-pip-version-check \
		-r /dev/stdin <<<"$wanted"
	for extra in $stale; do
		echo "$now" >".venv/.ringway-$extra"
	done
}

look
[ ${#missing[@]} = 0 ] || install_packages
make_environment
fill_environment
