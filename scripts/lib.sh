# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by the other scripts: messages, and a private view of Debian's archive. Not a program.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=$root/.cache
me=$(basename "$0")

say() {
    printf '%s: %s\n' "$me" "$*" >&2
}

die() {
    say "$*"
    exit 1
}

# try DESCRIPTION COMMAND...: one line that says what is done, and one that says for how long it took. Its output goes to
# a log, of which the end is shown when it fails. Sets try_status and succeeds itself: as part of a condition
# (`try ... || ...`) bash would turn `set -e` off inside the command.
try() {
    local what=$1 begin=$SECONDS log
    shift
    mkdir -p "$cache/log"
    log=$cache/log/$me-$(tr -c 'a-zA-Z0-9\n' '-' <<<"$what" | cut -c1-60).log
    say "$what ..."
    set +e
    (
        set -e
        "$@"
    ) </dev/null >"$log" 2>&1
    try_status=$?
    set -e
    if ((try_status)); then
        tail -n 15 "$log" >&2
        say "$what: failed after $((SECONDS - begin)) s (whole log: $log)"
    else
        say "$what: $((SECONDS - begin)) s"
    fi
}

# The same, and the script ends when the command fails.
step() {
    try "$@"
    ((try_status == 0)) || exit 1
}

# Only one script at a time may change .deps, .cache or a build folder; the others wait for it.
lock_project() {
    [[ ${BOOTRACE_LOCKED:-} ]] && return
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    if ! flock -n 9; then
        say "waiting for another bootrace script"
        flock 9
    fi
    export BOOTRACE_LOCKED=1
}

as_root() {
    if ((EUID == 0)); then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root: run it as root, or install sudo, or run yourself: $*"
    fi
}

need_debian() {
    command -v apt-get >/dev/null || die "apt-get is not here; bootrace is set up on Debian 12 or 13"
    # shellcheck disable=SC1091
    codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
    [[ $codename ]] || die "/etc/os-release names no Debian release"
}

# debian_entries DIR SUITE TYPE: writes into DIR the machine's own entries for its Debian release, so that a mirror, its
# options and its key stay as the machine has them. SUITE is `own` (the release with updates and security), or another
# suite, which then takes the place of the release. TYPE is deb or deb-src.
debian_entries() {
    local dir=$1 suite=$2 type=$3 file number=0
    rm -rf "$dir"
    mkdir -p "$dir"
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [[ -f $file ]] || continue
        number=$((number + 1))
        awk -v codename="$codename" -v suite="$suite" -v type="$type" '
            $1 == "deb" {
                options = ""
                at = 2
                if ($2 ~ /^\[/) {
                    for (; at <= NF; at++) {
                        word = $at
                        last = word ~ /\]$/
                        gsub(/[][]/, "", word)
                        if (word != "" && word !~ /^(arch|lang|target)[-+]?=/)
                            options = options " " word
                        if (last)
                            break
                    }
                    at++
                }
                if ($(at + 2) != "main" || !wanted($(at + 1)))
                    next
                print type, (options == "" ? "" : "[" options " ]"), $at, (suite == "own" ? $(at + 1) : suite), "main"
            }
            function wanted(name) {
                if (suite != "own")
                    return name == codename || name == "stable" || name == "oldstable"
                return name ~ ("^(" codename "|stable|oldstable)(-updates|-security)?$")
            }' "$file" >"$dir/$number.list"
    done
    for file in /etc/apt/sources.list.d/*.sources; do
        [[ -f $file ]] || continue
        number=$((number + 1))
        # A stanza ends at an empty line; a line that begins with a blank continues the field before it.
        awk -v codename="$codename" -v suite="$suite" -v type="$type" '
            function wanted(name) {
                if (suite != "own")
                    return name == codename || name == "stable" || name == "oldstable"
                return name ~ ("^(" codename "|stable|oldstable)(-updates|-security)?$")
            }
            function finish(    count, names, i, list) {
                count = split(suites, names, /[ \t]+/)
                for (i = 1; i <= count; i++)
                    if (wanted(names[i]))
                        list = list " " (suite == "own" ? names[i] : suite)
                if (suite != "own" && list != "")
                    list = " " suite
                if (list != "" && enabled && (" " components " ") ~ /[ \t]main[ \t]/ && (" " types " ") ~ /[ \t]deb[ \t]/)
                    printf "Types: %s\nSuites:%s\nComponents: main\n%s\n", type, list, rest
                suites = components = types = rest = field = ""
                enabled = 1
            }
            BEGIN { enabled = 1 }
            /^#/ { next }
            /^[ \t]*$/ { finish(); next }
            /^[ \t]/ {
                if (field == "suites") suites = suites " " $0
                else if (field == "components") components = components " " $0
                else if (field == "types") types = types " " $0
                else if (field == "kept") rest = rest $0 "\n"
                next
            }
            {
                name = tolower($1)
                value = $0
                sub(/^[^:]*:[ \t]*/, "", value)
                if (name == "suites:") { field = "suites"; suites = value }
                else if (name == "components:") { field = "components"; components = value }
                else if (name == "types:") { field = "types"; types = value }
                else if (name == "enabled:") { field = "dropped"; if (tolower(value) ~ /^(no|false|off|0)/) enabled = 0 }
                else if (name ~ /^(architectures|languages|targets)/) { field = "dropped" }
                else { field = "kept"; rest = rest $0 "\n" }
            }
            END { finish() }' "$file" >"$dir/$number.sources"
    done
    find "$dir" -type f -empty -delete
    [[ $(ls -A "$dir") ]] ||
        die "no entry for Debian $codename with component main in /etc/apt/sources.list or sources.list.d; add one"
}

# private_apt STATE: sets `apt_options` so that apt works on the folder STATE (which holds sources.d) for architecture
# `apt_architecture` and neither reads nor changes the system's package state. apt checks signatures and checksums as ever;
# only the age of a list is not held against it, since a snapshot or a slow mirror serves us as well.
private_apt() {
    local state=$1
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    : >"$state/status"
    apt_options=(
        -o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$state/sources.d"
        -o "Dir::State=$state" -o "Dir::State::lists=$state/lists" -o "Dir::State::status=$state/status"
        -o "Dir::Cache=$state/cache"
        -o "APT::Architecture=$apt_architecture" -o "APT::Architectures=$apt_architecture"
        -o "Acquire::Check-Valid-Until=false" -o "Acquire::Languages=none" -o "Acquire::Retries=3" -o "Dpkg::Use-Pty=0"
    )
    # apt's own unprivileged user cannot write into the project's folder.
    if ((EUID == 0)); then
        apt_options+=(-o "APT::Sandbox::User=root")
    fi
}

# private_update STATE SUITE TYPE: fetches the lists. A list that another entry of the machine fails to give is no error
# here; what is then not found is said by whoever looks for it.
private_update() {
    debian_entries "$1/sources.d" "$2" "$3"
    private_apt "$1"
    apt-get "${apt_options[@]}" update || say "apt-get update reported an error; going on with what it got"
}
