#!/bin/sh
# scripts/engine.sh worker|compiler DIR: build the engine's wrapper crate into DIR/{worker,compiler} and DIR/include.
#
# DIR is named by the hash of recipe and compiler (Makefile), so what is there is right and is left alone. Each part
# appears whole, by rename. Two of these at once: the second waits.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh

kind=$1
dir=$2
CARGO=${CARGO:-cargo}
PATH="$PATH:$HOME/.cargo/bin"

case $kind in
worker) features='' about='about 2 minutes, once' ;;
compiler) features='--features compiler' about='about 4 minutes, once' ;;
*) die "usage: scripts/engine.sh worker|compiler DIR" ;;
esac

mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9
[ -e "$dir/$kind/libbrig_engine.a" ] && exit 0

target="$dir/target"
export CARGO_TARGET_DIR="$target"
# shellcheck disable=SC2086 # no or two words
step "the engine for brig-$kind ($about)" "$CARGO" build --quiet --locked --release \
	--manifest-path runtime/engine/Cargo.toml $features

# The headers say which features the build has; the compiler's have all, so they are the ones for both.
part=$(mktemp -d "$dir/part.XXXXXX")
if [ "$kind" = compiler ]; then
	headers=$(ls -td "$target"/release/build/wasmtime-c-api-impl-*/out/include | head -n 1)
	cp -R "$headers" "$part/include"
	rm -rf "$dir/include"
	mv "$part/include" "$dir/include"
fi
mkdir "$part/$kind"
cp "$target/release/libbrig_engine.a" "$part/$kind/"
mv "$part/$kind" "$dir/$kind"
rm -rf "$part"
[ ! -e "$dir/worker" ] || [ ! -e "$dir/compiler" ] || rm -rf "$target"
