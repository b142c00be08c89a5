#!/bin/sh
# scripts/bench-deps.sh DIR: what `make bench` compares brig with, at pinned versions, in the cache; DIR/NAME leads to each.
#
# One that cannot be had is told and left out: the benchmark says that it is missing.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh

out=$1
peers=tests/bench/peers
WASMTIME=48.0.0 # PyPI's package: the release that the engine is of

# kept NAME COMMAND...: runs it with a new directory of the cache, unless that is there. Sets $kept.
kept() {
	kept=$CACHE/peers/$1
	shift
	[ -e "$kept/complete" ] && return 0
	rm -rf "$kept"
	mkdir -p "$kept"
	step "peer: $(basename "$kept")" "$@" && touch "$kept/complete"
}

from_npm() {
	cp "$peers/package.json" "$peers/package-lock.json" "$kept/"
	npm ci --prefix "$kept" --no-audit --no-fund --ignore-scripts
}

from_pypi() {
	python3 -m venv "$kept" && "$kept/bin/pip" install -q "wasmtime==$WASMTIME"
}

from_go() {
	GOFLAGS='' GOCACHE="$CACHE/go-build" go build -C "$peers/wazero" -o "$kept/wazero" .
}

rm -rf "$out"
mkdir -p "$out"
if kept "npm-$(key $peers/package-lock.json)" from_npm; then
	ln -s "$kept/node_modules/pyodide/pyodide.mjs" "$out/pyodide"
	for deno in "$kept"/node_modules/@deno/*/deno; do
		[ -x "$deno" ] && ln -sf "$deno" "$out/deno"
	done
	for workerd in "$kept"/node_modules/@cloudflare/*/bin/workerd; do
		[ -x "$workerd" ] && ln -sf "$workerd" "$out/workerd"
	done
fi
kept "wasmtime-$WASMTIME" from_pypi && ln -s "$kept" "$out/wasmtime"
kept "wazero-$(key $peers/wazero/*)" from_go && ln -s "$kept/wazero" "$out/wazero"
for there in bwrap node python3; do
	command -v "$there" >/dev/null && ln -s "$(command -v "$there")" "$out/$there"
done
# The interpreter itself, where the command is a script that looks for it.
[ ! -e "$out/python3" ] || ln -sf "$(python3 -c 'import os, sys; print(os.path.realpath(sys.executable))')" "$out/python3"
exit 0
