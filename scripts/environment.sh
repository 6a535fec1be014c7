# Sourced by the scripts in this folder: sets PYTHON to an interpreter that has all that tfodhelper needs, making a virtual
# environment if necessary. POSIX sh; the caller must be in the root of the checkout.
#
#   TFODHELPER_PYTHON  this interpreter, as it is
#   TFODHELPER_VENV    path of the virtual environment; .venv by default

say() { printf '%s\n' "$*"; }

fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Prints the path of a Python that is new enough.
find_python() {
    for candidate in python3 python3.11 python3.12 python3.13 python3.10 python; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

# Whether an interpreter has every package in its range; it reads their metadata and imports nothing.
has_packages() {
    "$1" - <<'PYTHON' >/dev/null 2>&1
import sys
from tfodhelper.cli import doctor

wanted = (*doctor.REQUIREMENTS, "pytest>=8,<10", "pytest-xdist>=3.6,<4", "hypothesis>=6.100,<7")
wanted += ("sphinx>=8.1,<10", "furo>=2024.8,<2027", "myst-parser>=4,<6", "nbclient>=0.10,<1", "ipykernel>=6.29,<8")
sys.exit(any(doctor.installed_version(requirement)[1] for requirement in wanted))
PYTHON
}

# Makes the virtual environment; if the interpreter has no ensurepip, with its pip.
make_environment() {
    base=$(find_python) || fail "Python 3.10 to 3.13 is needed, and python3 is none of them"
    say "Making a virtual environment in $venv with $base"
    if [ -e "$venv" ] && [ ! -f "$venv/pyvenv.cfg" ]; then
        fail "$venv exists and is not a virtual environment; choose another folder with TFODHELPER_VENV"
    fi
    rm -rf "$venv"
    if ! "$base" -m venv "$venv" >/dev/null 2>&1; then
        rm -rf "$venv"
        "$base" -m venv --without-pip "$venv" || fail "$base cannot make virtual environments (package python3-venv)"
        "$base" -m pip --python "$venv/bin/python" install --quiet pip ||
            fail "$base has neither ensurepip nor a pip of version 22.3 or later (package python3-venv)"
    fi
}

set_up() {
    if [ -n "${TFODHELPER_PYTHON:-}" ]; then
        PYTHON=$TFODHELPER_PYTHON
        return 0
    fi
    # An activated environment, or the machine's own Python, if it already has everything.
    PYTHON=$(find_python) || PYTHON=
    if [ -n "$PYTHON" ] && has_packages "$PYTHON"; then
        return 0
    fi
    venv=${TFODHELPER_VENV:-.venv}
    PYTHON=$venv/bin/python
    stamp=$(cat constraints.txt setup.cfg pyproject.toml | cksum)
    if [ -f "$venv/.tfodhelper" ] && [ "$(cat "$venv/.tfodhelper")" = "$stamp" ] && has_packages "$PYTHON"; then
        return 0
    fi
    make_environment
    say "Installing tfodhelper and its packages (about 3 GB on disk)"
    # The pip that comes with an older Python cannot build some packages that have no wheel.
    "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-input --upgrade "pip>=24.1" ||
        fail "pip could not be upgraded; see the first line above that says ERROR"
    PYTHONWARNINGS=ignore "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-input -c constraints.txt -e ".[dev]" ||
        fail "the packages could not be installed; see the first line above that says ERROR"
    has_packages "$PYTHON" || fail "packages are missing after the installation: $PYTHON -m tfodhelper doctor"
    printf '%s\n' "$stamp" >"$venv/.tfodhelper"
}
