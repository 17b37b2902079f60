"""The paper's vision benchmarks, scored honestly, with comparisons one can believe."""

__version__ = "0.1.0"
