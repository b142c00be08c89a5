# scripts/lib.sh: what the scripts share. Sourced, not run.

CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/brig"

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
