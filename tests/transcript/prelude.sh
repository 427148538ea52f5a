# Prints what `kubectl ARGUMENTS` prints while it watches: `watching FIRST TOTAL ARGUMENTS`. Once it has printed FIRST
# lines, standard input is run; once it has printed TOTAL lines, it is ended.
watching() {
    first=$1 total=$2
    shift 2
    : >watched
    kubectl "$@" >watched 2>watched-errors </dev/null &
    watcher=$!
    await_lines "$first"
    . /dev/stdin
    await_lines "$total"
    kill "$watcher"
    wait "$watcher" 2>/dev/null
    cat watched-errors >&2
    cat watched
}

await_lines() {
    tries=0
    until [ "$(wc -l <watched)" -ge "$1" ]; do
        tries=$((tries + 1))
        if [ "$tries" -gt 400 ]; then
            echo "fewer than $1 lines" >&2
            return
        fi
        sleep 0.05
    done
}
