"""Sources: where captions and their images come from."""

from lpt_synth.sources.guess import guess_columns, guess_kind
from lpt_synth.sources.reading import read_source
from lpt_synth.sources.rows import SourceRow

__all__ = ["SourceRow", "guess_columns", "guess_kind", "read_source"]
