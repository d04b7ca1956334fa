# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion for bootrace(1). It asks the program what there is, so that it needs no change when that changes.

_bootrace_words() {
    # The sub-commands of the program, or the parts of one ("run|list|show").
    if (($#)); then
        "$_bootrace_program" "$1" --help 2>/dev/null | sed -nE '1s/^Usage: bootrace [a-z]+ ([a-z]+(\|[a-z]+)+) .*/\1/p' | tr '|' ' '
    else
        "$_bootrace_program" --help 2>/dev/null | sed -nE 's/^  ([a-z]+) +[^ ].*/\1/p'
    fi
}

_bootrace_options() {
    ARGP_HELP_FMT=rmargin=4000 "$_bootrace_program" "$@" --help 2>/dev/null | sed -nE 's/^ +(-[^ ],? +)?(--[a-z][a-z-]*)(=?).*/\2\3/p'
}

_bootrace_values() {
    case $1 in
        --mode) echo pvh hvm pv dom0 ;;
        --xen) echo 4.1 4.2 4.3 4.4 4.5 4.6 4.7 4.8 4.9 4.10 4.11 4.12 4.13 4.14 4.15 4.16 4.17 4.18 4.19 4.20 ;;
        --console-stream) echo auto ring io both ;;
        --inject) "$_bootrace_program" fuzz --help 2>/dev/null | sed -nE '/^Sources of --inject:/,$s/^  ([a-z]+:?)[A-Z]* .*/\1/p' ;;
        --memory) echo 64M 256M 512M 1G 2G ;;
        *) return 1 ;;
    esac
}

_bootrace() {
    local _bootrace_program=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local words=() parts values IFS=$' \t\n'
    COMPREPLY=()
    # `--mode=p` comes as three words: --mode, =, p.
    if [[ $current == '=' ]]; then
        current=
    elif [[ $previous == '=' ]]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$(_bootrace_words) --help --version" -- "$current")
        return
    fi
    if values=$(_bootrace_values "$previous"); then
        mapfile -t COMPREPLY < <(compgen -W "$values" -- "$current")
        return
    fi
    words=("${COMP_WORDS[1]}")
    parts=$(_bootrace_words "${words[0]}")
    if [[ $parts ]]; then
        if ((COMP_CWORD == 2)); then
            mapfile -t COMPREPLY < <(compgen -W "$parts --help" -- "$current")
            return
        fi
        words+=("${COMP_WORDS[2]}")
    fi
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_bootrace_options "${words[@]}")" -- "$current")
        [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
        return
    fi
    if [[ ${words[*]} == 'corpus show' && -d corpus ]]; then
        mapfile -t COMPREPLY < <(cd corpus && compgen -G "$current*.yaml" | sed 's/\.yaml$//')
    fi
    compopt -o default 2>/dev/null
}

complete -F _bootrace bootrace
