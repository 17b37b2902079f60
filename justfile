# The verbs of this repository; CI calls the same ones.
set shell := ["bash", "-euo", "pipefail", "-c"]

# Everything, as CI does it.
ci:
    bash .ci/test

# What a change must pass before any test: lock, format, lint, types, directions of imports, versions.
check:
    bash .ci/check

# All tests in the shared environment, the slow ones too; `just test -m "not slow"` for the rest.
test *args:
    uv run pytest {{ args }}

# Each package's own tests in an environment that has that package alone.
isolated:
    bash .ci/isolated

# Build each package's wheel and sdist, as they would be released, into dist/.
build:
    uv build --all-packages --no-sources

# What must hold before a package is released; `--tag lpt-core-v0.1.0` as the workflow of that tag does.
release-check package *args:
    uv run python .ci/release_check.py {{ package }} {{ args }}

# Build each wheel, install it in a clean environment, use it there.
wheels:
    uv run pytest -q tests/workspace/test_wheels.py

# The speed against peers, each in an environment of its own under .bench/ (minutes).
bench *args:
    uv run python tests/benchmarks/speed.py {{ args }}

# A million stored continuations: selection, export, resume (about twenty minutes).
bench-scale *args:
    uv run python tests/benchmarks/scale.py {{ args }}

# The loop in the lab: six models, three seeds, compared; writes docs/explanation/lab-study.md (under an hour).
study *args:
    uv run python docs/study/study.py --page {{ args }}

# The documentation as a site, in build/site; `just docs serve` shows it while you write.
docs verb="build":
    NO_MKDOCS_2_WARNING=1 uv run mkdocs {{ verb }}

# Fine-tuning beside stock TRL: `just bench-sft --rows EXPORT/sft.jsonl` (about twenty minutes).
bench-sft *args:
    uv run python tests/benchmarks/sft_stock.py {{ args }}

# Preference training with and without shared prefixes, beside stock TRL: `just bench-dpo --pairs EXPORT/pairs.jsonl`.
bench-dpo *args:
    uv run python tests/benchmarks/dpo_shared.py {{ args }}

# What a probe tells beside what the training takes: `just bench-estimate --rows EXPORT/sft.jsonl --model MODEL`.
bench-estimate *args:
    uv run python tests/benchmarks/estimate_error.py {{ args }}

# Rewrite what is generated from code.
generate:
    uv run python -m lpt_core.schemas
    uv run python docs/generate.py
    uv run ruff format .
