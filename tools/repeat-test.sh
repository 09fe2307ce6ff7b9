#!/usr/bin/env bash
# Runs one test again and again, half of the time beside processes that keep every core busy: tools/repeat-test.sh TEST [COUNT]
# It stops at the first failure and prints that run's output.
set -euo pipefail
cd "$(dirname "$0")/.."
test=$1 count=${2:-200}
busy=()
trap '[ ${#busy[@]} -eq 0 ] || kill "${busy[@]}"' EXIT
for ((run = 1; run <= count; run++)); do
    if ((run == count / 2 + 1)); then
        for ((core = 0; core < $(nproc); core++)); do
            while :; do :; done &
            busy+=($!)
        done
    fi
    output=$(.venv/bin/python -m pytest -p no:cacheprovider "$test" 2>&1) || {
        printf '%s\nrun %d of %d failed (%d busy processes)\n' "$output" "$run" "$count" "${#busy[@]}"
        exit 1
    }
done
printf '%d runs passed, %d of them beside %d busy processes\n' "$count" "$((count - count / 2))" "${#busy[@]}"
