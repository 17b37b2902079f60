"""The errors that LPT raises on purpose: what is wrong, then what to do.

Each error is also the standard type that a caller would catch without knowing LPT, and each survives
pickling, so that it crosses process borders whole.
"""

from __future__ import annotations


class LptError(Exception):
    """The root of all errors that LPT raises on purpose.

    Args:
        message: What is wrong and where, in one sentence.
        remedy: What the person can do about it; empty when the message says it all.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  -> {self.remedy}" if self.remedy else self.message


class ConfigError(LptError, ValueError):
    """A configuration or a prompt that cannot be used as it is written."""


class DataError(LptError, ValueError):
    """Input data that cannot be used: captions, images, records."""


class StoreError(LptError, OSError):
    """A file of ours that cannot be read or written."""

    # OSError would take two arguments for (errno, strerror).
    __str__ = LptError.__str__


class EndpointError(LptError, ConnectionError):
    """A model's endpoint that cannot be used at all, as opposed to one request that failed."""

    __str__ = LptError.__str__


class MissingExtraError(LptError, ImportError):
    """An optional dependency that is not installed; the remedy is the line that installs it."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)

    __str__ = LptError.__str__

    @classmethod
    def of(cls, package: str, extra: str, purpose: str) -> MissingExtraError:
        """The error for ``purpose`` needing ``package[extra]``."""
        return cls(f"{purpose} needs an optional dependency.", f"pip install '{package}[{extra}]'")
