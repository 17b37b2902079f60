"""Shared by the tests of lpt-eval."""

from __future__ import annotations

from hypothesis import settings

# The machine may be busy with other things: how long an example takes says nothing.
settings.register_profile("lpt-eval", deadline=None)
settings.load_profile("lpt-eval")
