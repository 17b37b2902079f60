"""The command line. Each command builds what a public function needs, and calls it."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point: errors of ours become a sentence and an exit status, never a traceback.

    Exit status: 0 done, 1 incomplete or too many failures, 2 misuse.
    """
    from lpt_eval.cli.app import app

    try:
        app(prog_name="lpt-eval")
    except KeyboardInterrupt:
        sys.stderr.write("stopped; the same line goes on where it was\n")
        raise SystemExit(1) from None
    except BrokenPipeError:
        raise SystemExit(1) from None
    except Exception as error:  # what is not ours goes on as it came
        # Only now: importing our own errors takes longer than `--help` may.
        from lpt_core import ConfigError, LptError

        if not isinstance(error, LptError):
            raise
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2 if isinstance(error, ConfigError) else 1) from None
