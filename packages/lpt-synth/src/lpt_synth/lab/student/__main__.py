"""Make a student: ``python -m lpt_synth.lab.student DIR``."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import cast


def main() -> None:
    """Read the command line and teach."""
    from lpt_core import MissingExtraError
    from lpt_synth.lab.student.schooling import Schooling

    parser = argparse.ArgumentParser(
        prog="python -m lpt_synth.lab.student",
        description="Teach a new student of the lab from nothing; stopped, the same line goes on.",
    )
    parser.add_argument("to", type=Path, metavar="DIR", help="the student's folder")
    parser.add_argument("--threads", type=int, default=1, help="of torch; more than one seldom helps (1)")
    standard = Schooling()
    for one in fields(Schooling):
        value = cast(int | float, getattr(standard, one.name))
        name = f"--{one.name.replace('_', '-')}"
        parser.add_argument(name, type=type(value), default=value, metavar="N", help=f"({value})")
    given = vars(parser.parse_args())
    to, threads = given.pop("to"), given.pop("threads")
    try:
        import torch
        import transformers
    except ImportError as error:
        raise SystemExit(str(MissingExtraError.of("lpt-synth", "transformers", "a student"))) from error
    from lpt_synth.lab.student.school import School

    torch.set_num_threads(threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    School(to.resolve(), Schooling(**given), lambda line: print(line, flush=True)).teach()  # noqa: T201


if __name__ == "__main__":
    main()
