#!/bin/sh
# scripts/python-pack.sh DIR: the Python pack as DIR/python, to be signed by `brig pack sign`: CPython from npm, optimized.
#
# Optimizing takes a minute or two, so the module is kept in the user's cache.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh

out=$1/python
node_modules
kept="$CACHE/packs/python-$(wasm-opt --version | key - "$npm/$PYTHON_WASM").wasm"
if [ ! -e "$kept" ]; then
	mkdir -p "$CACHE/packs"
	step "wasm-opt: CPython" wasm-opt -O3 --strip-debug "$npm/$PYTHON_WASM" -o "$kept.new"
	mv "$kept.new" "$kept"
fi
rm -rf "$out"
mkdir -p "$out"
cp runtime/packs/python/* "$out/"
cp "$kept" "$out/python.wasm"
