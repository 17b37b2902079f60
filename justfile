# The verbs of this repository; CI calls the same ones.
set shell := ["bash", "-euo", "pipefail", "-c"]

# What a change must pass: format, lint, types, directions of imports, the lock.
check:
    uv lock --check
    uv run ruff format --check .
    uv run ruff check .
    uv run pyright
    uv run lint-imports
    uv pip check

# All tests, the slow ones too.
test *args:
    uv run pytest {{ args }}

# Each package's tests in an environment that has that package alone.
isolated:
    uv run --isolated --exact --no-default-groups --package lpt-core --group test pytest -q tests/core
    uv run --isolated --exact --no-default-groups --package lpt-synth --extra parquet --extra hub --group test pytest -q tests/synth

# Build each wheel, install it alone in a clean environment, use it there.
wheels:
    uv run pytest -q tests/workspace/test_wheels.py

# The speed against peers, each in an environment of its own under .bench/ (minutes).
bench *args:
    uv run python tests/benchmarks/speed.py {{ args }}

# A million stored continuations: selection, export, resume (about twenty minutes).
bench-scale *args:
    uv run python tests/benchmarks/scale.py {{ args }}

# Rewrite what is generated from code.
generate:
    uv run python -m lpt_core.schemas
    uv run ruff format .
