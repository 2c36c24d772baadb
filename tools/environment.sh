# Sourced by demo.sh and test.sh: makes .venv once and installs skelemo into it, with the extras given in $1.
python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "skelemo needs Python 3.11 or newer; '$python' is $("$python" --version 2>&1). Set PYTHON=/path/to/python3.11" >&2
    exit 2
fi
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint tools/constraints.txt --editable ".$1"
export PATH="$PWD/.venv/bin:$PATH"
