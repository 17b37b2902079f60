"""Looking at rows before any GPU hour is spent on them: what is wrong, where, and what they are like."""

from lpt_train.lint.report import WARNINGS, LintReport
from lpt_train.lint.run import lint

__all__ = ["WARNINGS", "LintReport", "lint"]
