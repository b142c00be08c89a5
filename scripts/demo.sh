#!/bin/sh
# scripts/demo.sh BUILD: the whole path once, in a temporary directory: compile, sign, serve, run, look at the records.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh

build=$(cd "$1" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/brig-demo.XXXXXX")
brigd_pid=
clean_up() {
	[ -z "$brigd_pid" ] || kill "$brigd_pid" 2>/dev/null || true
	[ -z "$brigd_pid" ] || wait "$brigd_pid" 2>/dev/null || true
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# show COMMAND...: the command as a person would type it, then what it prints.
show() {
	printf '\n$ %s\n' "$*"
	"$@"
}

# quiet COMMAND...: the command, and what it prints only when it fails.
quiet() {
	printf '\n$ %s\n' "$*"
	"$@" >"$work/out" 2>&1 || {
		cat "$work/out" >&2
		return 1
	}
}

cp examples/hello.c "$work/"
PATH="$build:$PATH"
cd "$work"

echo
echo "A program, compiled to WebAssembly and signed with a new key that brigd's keyring knows:"
quiet clang --target=wasm32-wasi -O2 -o hello.wasm hello.c
quiet brig keygen -o root
quiet brig keygen -o me
quiet brig keys init --keyring keyring.json --root-key root.key
quiet brig keys add --keyring keyring.json --root-key root.key --name me --key me.pub
quiet brig sign -k me.key hello.wasm

echo
echo "A brigd of its own, and the module sent over its socket:"
mkfifo ready
printf '\n$ brigd --socket brigd.sock --state state --keyring keyring.json --root-key root.pub &\n'
brigd --socket "$work/brigd.sock" --state "$work/state" --keyring "$work/keyring.json" --root-key "$work/root.pub" \
	--ready-fd 8 8>ready >brigd.log 2>&1 &
brigd_pid=$!
# One byte when it serves, end of file when it could not.
[ "$(head -c 1 ready | wc -c)" -eq 1 ] || {
	cat brigd.log >&2
	exit 1
}

export BRIG_SOCKET="$work/brigd.sock"
show brig run --usage hello.wasm

echo
echo "What the audit log keeps of it:"
show brig audit show "$(find state -name log.jsonl)"
show brig audit verify "$(find state -name log.jsonl)"

kill "$brigd_pid"
wait "$brigd_pid" || true
brigd_pid=
echo
echo "Everything is stopped and removed again. Next: $build/brig run FILE.wasm"
