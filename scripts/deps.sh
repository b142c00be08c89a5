#!/bin/sh
# scripts/deps.sh [build|check|bench|pack|fuzz]...: install what is missing. The one place that names every package.
#
# Each row: what it serves | a command that succeeds when it is there | Debian's package | the upstream name.
# Without apt-get, says what is missing by its upstream name and stops.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh
PATH="$PATH:$HOME/.cargo/bin"

RUSTC_MIN=1.95
WASMSIGN2=0.2.8

table() {
	cat <<-'END'
	build|command -v pkg-config|pkg-config|pkg-config (freedesktop.org) or pkgconf
	build|command -v cmake|cmake|CMake
	build|command -v clang|clang|Clang (LLVM)
	build|command -v wasm-ld|lld|LLD (LLVM), with wasm-ld
	build|wasm_target|wasi-libc libclang-rt-dev-wasm32|wasi-libc, and compiler-rt's builtins for wasm32
	build|pkg-config --exists libevent_core|libevent-dev|libevent, 2.1 or newer
	build|pkg-config --exists jansson|libjansson-dev|Jansson
	build|pkg-config --exists libsodium|libsodium-dev|libsodium
	build|pkg-config --exists libseccomp|libseccomp-dev|libseccomp, 2.5 or newer
	check|pkg-config --exists cmocka|libcmocka-dev|cmocka
	check|sanitizer_links|libasan8 libubsan1|the compiler's address and undefined-behaviour sanitizers
	check|command -v python3|python3|Python, 3.9 or newer
	check|python_makes_venvs|python3-venv|Python's venv module
	check|python_has_jsonschema|python3-jsonschema|jsonschema for Python, 4.0 or newer
	check|command -v setpriv|util-linux|util-linux, with setpriv
	check|node_is_new_enough|nodejs|Node.js, 18 or newer
	check|command -v npm|npm|npm
	check|command -v minisign|minisign|minisign
	bench|command -v bwrap|bubblewrap|bubblewrap
	bench|command -v gnuplot|gnuplot-nox|gnuplot
	bench|command -v node|nodejs|Node.js, 18 or newer
	bench|command -v npm|npm|npm
	bench|command -v python3|python3|Python, 3.9 or newer
	bench|python_makes_venvs|python3-venv|Python's venv module
	pack|command -v wasm-opt|binaryen|Binaryen, with wasm-opt
	pack|command -v npm|npm|npm
	fuzz|fuzzer_links|libclang-rt-dev|Clang's libFuzzer and sanitizers (compiler-rt)
	fuzz|command -v llvm-symbolizer|llvm|llvm-symbolizer (LLVM)
	END
}

# wasm_target: whether clang makes a WASI program out of a C one.
wasm_target() {
	clang --target=wasm32-wasi -o /dev/null examples/hello.c
}

sanitizer_links() {
	echo 'int main(void){return 0;}' | cc -fsanitize=address,undefined -x c -o /dev/null -
}

fuzzer_links() {
	echo 'int LLVMFuzzerTestOneInput(void);int LLVMFuzzerTestOneInput(void){return 0;}' |
		clang -fsanitize=fuzzer,address,undefined -x c -o /dev/null -
}

# Debian's venv module is there without python3-venv, but makes nothing.
python_makes_venvs() {
	python3 -c 'import ensurepip, venv'
}

# The first python3 need not be the one that Debian's packages are for; the tests take either (tests/scenario/validate.py).
python_has_jsonschema() {
	for python in python3 /usr/bin/python3; do
		"$python" -c 'import jsonschema; jsonschema.Draft202012Validator' && return
	done
	return 1
}

node_is_new_enough() {
	[ "$(node -p 'process.versions.node.split(".")[0] >= 18')" = true ]
}

# rust_check: before anything slow, that there is a rustc and that it is new enough.
rust_check() {
	rustc=${RUSTC:-rustc}
	version=$("$rustc" --version 2>/dev/null | sed 's/^rustc \([0-9.]*\).*/\1/') || true
	[ -n "$version" ] || die "rustc was not found: the engine needs Rust $RUSTC_MIN or newer." \
		"Install rustup, then: rustup toolchain install stable"
	oldest=$(printf '%s\n%s\n' "$RUSTC_MIN" "$version" | sort -V | head -n 1)
	[ "$oldest" = "$RUSTC_MIN" ] || die "rustc $version is too old: the engine needs $RUSTC_MIN or newer." \
		"With rustup: rustup update stable"
}

# engine_is_given: whether BRIG_ENGINE names a prebuilt one; then nothing needs Rust.
engine_is_given() {
	[ -n "${BRIG_ENGINE:-}" ] && [ -e "$BRIG_ENGINE/worker/libbrig_engine.a" ] &&
		[ -e "$BRIG_ENGINE/compiler/libbrig_engine.a" ]
}

# missing GROUP COLUMN: that column (3 the package, 4 the upstream name) of each row whose command fails.
missing() {
	table | grep "^$1|" | while IFS='|' read -r _ probe package upstream; do
		$probe >/dev/null 2>&1 </dev/null && continue
		[ "$2" = 3 ] && echo "$package" || echo "$upstream"
	done
}

install_group() {
	packages=$(missing "$1" 3 | tr '\n' ' ')
	[ -n "$packages" ] || return 0
	if ! command -v apt-get >/dev/null; then
		echo "Missing, and there is no apt-get here to install it with:" >&2
		missing "$1" 4 | sed 's/^/  - /' >&2
		die "Install these with your system's package manager, then run make again."
	fi
	[ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
		die "Missing packages: $packages" "Install them as root: apt-get install $packages"
	step "package lists" as_root apt-get update -q
	# shellcheck disable=SC2086 # a list of names
	step "packages: $packages" as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y \
		--no-install-recommends $packages
	left=$(missing "$1" 4)
	[ -z "$left" ] || die "Installed, but still not working:" "$left"
}

# witness: wasmsign2's own command, which the tests ask for a second opinion; without it they skip that, visibly.
witness() {
	[ -x "$CACHE/tools/bin/wasmsign2" ] && return 0
	step "wasmsign2, an outside witness of signatures" "${CARGO:-cargo}" install --quiet --locked \
		--root "$CACHE/tools" wasmsign2-cli --version "$WASMSIGN2" || true
}

[ $# -gt 0 ] || set -- build
for group; do
	[ "$group" != build ] || engine_is_given || rust_check
	install_group "$group"
	[ "$group" = check ] && witness
done
exit 0
