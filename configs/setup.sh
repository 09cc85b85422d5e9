#!/bin/sh
# Leaves .venv/bin/dialer, with every dependency in the locked version and checked by its hash.
# Needs Python >= 3.11 (or uv); run by `make setup`. Quick when nothing has changed.
set -eu
cd "$(dirname "$0")/.."
venv=.venv
stamp=$venv/.installed

say() { printf '%s\n' "$*" >&2; }

runs() { # does this interpreter run, in a version and with the parts we need?
    "$1" -c "import sys; sys.exit(not ($2))" >/dev/null 2>&1
}

find_python() { # sets $python; first those the locked wheels exist for, then any newer one
    pip_at_hand='__import__("importlib.util").util.find_spec("ensurepip") or __import__("importlib.util").util.find_spec("pip")'
    [ -n "${uv:-}" ] && pip_at_hand=True
    for test in '(3, 11) <= sys.version_info < (3, 15)' 'sys.version_info >= (3, 15)'; do
        for python in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 python; do
            if runs "$python" "($test) and ($pip_at_hand)"; then return 0; fi
        done
    done
    return 1
}

fingerprint() { # what is installed depends on these, and scripts in a venv on the folder it is in
    { pwd; cat pyproject.toml requirements.lock configs/build.lock configs/setup.sh; } | cksum
}

works() { runs "$venv/bin/python" 'sys.version_info >= (3, 11)'; }

if [ -x "$venv/bin/dialer" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$(fingerprint)" ] && works; then
    exit 0
fi

uv=$(command -v uv || true)
if ! find_python; then
    python=
    if [ -z "$uv" ]; then
        say 'No Python to set up with: the dialer needs Python 3.11 or newer, with pip or the venv module.'
        say 'Install one (Debian and Ubuntu: apt install python3-venv python3-pip), or uv; or name one: make setup PYTHON=/path/to/python3'
        exit 1
    fi
fi

# An environment of another folder (a moved clone) or of a Python that is gone cannot be mended.
if [ -e "$venv" ] && { ! works || [ "$(cat "$venv/.folder" 2>/dev/null || pwd)" != "$(pwd)" ]; }; then
    rm -rf "$venv"
fi
rm -f "$stamp"

say "Setting up $venv (the first time about half a minute) ..."
if [ -n "$uv" ]; then
    works || "$uv" venv --quiet --python "${python:->=3.11}" "$venv"
    install() { "$uv" pip install --quiet --python "$venv/bin/python" "$@"; }
else
    # Debian's and Ubuntu's python3 come without ensurepip: then the system's pip fills the environment from outside.
    works || "$python" -m venv "$venv" >/dev/null 2>&1 || "$python" -m venv --clear --without-pip "$venv"
    if runs "$venv/bin/python" '__import__("pip")'; then
        install() { "$venv/bin/python" -m pip --disable-pip-version-check install --quiet "$@"; }
    else
        install() { "$python" -m pip --disable-pip-version-check --python "$venv/bin/python" install --quiet "$@"; }
    fi
fi
pwd >"$venv/.folder"

# The build backend is locked too, so nothing is fetched unpinned: hence no build isolation.
install --require-hashes -r requirements.lock -r configs/build.lock
install --no-deps --no-build-isolation --editable .
[ -x "$venv/bin/dialer" ] || { say "$venv/bin/dialer is missing after the installation; remove $venv and try again"; exit 1; }
fingerprint >"$stamp"
