"""Looking at rows before any GPU hour is spent on them: what is wrong, where, and what they are like."""

from lpt_train.lint.kinds import ERRORS, WARNINGS
from lpt_train.lint.report import LintReport
from lpt_train.lint.run import lint

__all__ = ["ERRORS", "WARNINGS", "LintReport", "lint"]
