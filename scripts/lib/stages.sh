# shellcheck shell=bash
# Stages: run a command with its output in a log, count what passed and failed, and report at the end.
# Sourced by scripts/test, which sets `logs` and `work`.

passed=0
failed=0
times=()
stage_pid=

# Runs when scripts/test ends, in whatever way: stops what was started, then says how it went.
finish() {
    local status=$?
    trap - EXIT
    # An interruption is not to be interrupted.
    trap '' INT TERM
    if [[ -n $stage_pid ]]; then
        kill -TERM -- "-$stage_pid" 2>/dev/null || true
        wait "$stage_pid" 2>/dev/null || true
    fi
    stop_servers
    rm -rf "$work"
    if ((${#times[@]} > 0 || failed > 0)); then
        printf '\n'
        printf '%s\n' ${times[@]+"${times[@]}"}
        echo "$passed passed, $failed failed"
    fi
    if ((status == 0 && failed > 0)); then
        status=1
    fi
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# logged NAME COMMAND…: runs the command in a process group of its own, so that all of it can be ended.
logged() {
    local status=0
    set -m
    "${@:2}" >"$logs/$1.log" 2>&1 </dev/null &
    stage_pid=$!
    set +m
    wait "$stage_pid" || status=$?
    stage_pid=
    return "$status"
}

# stage COUNT NAME COMMAND…: runs the command, has COUNT read the log, and says how it went.
# COUNT is called with the log and the command's status and prints two numbers: passed and failed.
stage() {
    local count=$1 name=$2 log="$logs/$2.log" begun=$SECONDS status=0 good bad
    echo "$name: running, log in $log"
    logged "${@:2}" || status=$?
    read -r good bad < <("$count" "$log" "$status")
    # A command that failed without a failed test, because it did not build for example, is a failure.
    if ((status != 0 && bad == 0)); then
        bad=1
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
    times+=("$(printf '%-13s %6d s   %5d passed  %3d failed' "$name" $((SECONDS - begun)) "$good" "$bad")")
    if ((bad > 0)); then
        echo "$name: FAILED, the end of its log:"
        tail -n 80 "$log" | sed 's/^/    /'
    fi
}

check() { stage count_check "$@"; }
nextest_tests() { stage count_nextest "$@"; }
doc_tests() { stage count_doc_tests "$@"; }

count_check() {
    if (($2 == 0)); then echo 1 0; else echo 0 1; fi
}

# `Summary [ 1.5s] 12 tests run: 10 passed (1 slow), 1 failed, 1 timed out, 3 skipped`, or `10/12 tests run:` when cut short.
count_nextest() {
    sed -nE 's|.*Summary \[.*\] +([0-9]+/)?([0-9]+) tests? run: ([0-9]+) passed.*|\3 \2|p' "$1" | tail -n 1 |
        awk '{ good = $1; bad = $2 - $1 } END { print good + 0, bad + 0 }'
}

# `test result: ok. 3 passed; 0 failed; …`, once for each crate.
count_doc_tests() {
    sed -nE 's/^test result: .* ([0-9]+) passed; ([0-9]+) failed;.*/\1 \2/p' "$1" |
        awk '{ good += $1; bad += $2 } END { print good + 0, bad + 0 }'
}

# give_up SENTENCE: what the tests need cannot be had.
give_up() {
    echo "scripts/test: $1" >&2
    failed=$((failed + 1))
    exit 1
}
