"""What bears loss in a row, as the collators of the trainings see it: in the terminal, and as HTML."""

from lpt_train.preview.page import html_page
from lpt_train.preview.spans import PreviewResponse, PreviewRow, Span, preview
from lpt_train.preview.terminal import row_text

__all__ = ["PreviewResponse", "PreviewRow", "Span", "html_page", "preview", "row_text"]
