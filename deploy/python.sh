# Sourced by run, stop and test: changes to the project's folder and finds a Python.

# shellcheck shell=bash
for name in $(compgen -e PYTHON); do unset "$name"; done
cd "$(dirname "${BASH_SOURCE[0]}")/.."

find_python() {
    local candidate
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -I -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
            >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    echo "No Python 3.11 or newer with venv and pip was found: install one" \
        "(on Debian and Ubuntu: apt install python3-venv)." >&2
    exit 69
}
