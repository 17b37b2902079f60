"""``python -m lpt_synth``."""

from lpt_synth.cli import main

main()
