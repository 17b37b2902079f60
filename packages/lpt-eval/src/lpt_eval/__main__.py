"""``python -m lpt_eval``: the command line."""

from lpt_eval.cli import main

main()
