"""Suites that a part of LPT, or somebody's own in its place, must pass. Shipped, so that it can be tried."""
