#!/usr/bin/env bash
# Everything that must hold before a change lands: lint, format, types, tests.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/environment.sh "[dev]"

ruff check .
ruff format --check .
mypy
OMP_NUM_THREADS=1 pytest --numprocesses 2 --dist worksteal "$@"
