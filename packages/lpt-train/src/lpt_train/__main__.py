"""``python -m lpt_train``, and ``accelerate launch -m lpt_train``."""

from lpt_train.cli import main

main()
