# Sourced by the scripts beside it: sets PYTHON to an interpreter that has all that tfodhelper needs, making a virtual
# environment where that is necessary. POSIX sh; the caller stands in the root of the checkout.
#
#   TFODHELPER_PYTHON  this interpreter, as it is
#   TFODHELPER_VENV    where the virtual environment lies; .venv by default

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

# Whether an interpreter has every package in its range; it asks their metadata, nothing is imported.
has_packages() {
    "$1" - <<'PYTHON' >/dev/null 2>&1
import sys
from tfodhelper.cli import doctor

wanted = (*doctor.REQUIREMENTS, "pytest>=8,<10", "hypothesis>=6.100,<7")
sys.exit(any(doctor.installed_version(requirement)[1] for requirement in wanted))
PYTHON
}

# Makes the virtual environment; where the interpreter comes without ensurepip, with the pip that it has.
make_environment() {
    base=$(find_python) || fail "Python 3.10 to 3.13 is needed, and python3 is none of them"
    say "Making a virtual environment in $venv with $base"
    if [ -e "$venv" ] && [ ! -f "$venv/pyvenv.cfg" ]; then
        fail "$venv is there and is no virtual environment; choose another place with TFODHELPER_VENV"
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
    # An activated environment, or the machine's own Python, when all is there already.
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
        fail "pip could not be brought up to date; look above for the first line that says ERROR"
    PYTHONWARNINGS=ignore "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-input -c constraints.txt -e ".[dev]" ||
        fail "the packages could not be installed; look above for the first line that says ERROR"
    has_packages "$PYTHON" || fail "packages are missing after the installation: $PYTHON -m tfodhelper doctor"
    printf '%s\n' "$stamp" >"$venv/.tfodhelper"
}
