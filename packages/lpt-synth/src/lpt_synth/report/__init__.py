"""A run as one HTML file that opens anywhere: figures, and a gallery of what the models thought."""

from lpt_synth.report.gather import IMAGE_BYTES, Gathered, gather
from lpt_synth.report.job import Reported, report
from lpt_synth.report.sections import ReportFacts
from lpt_synth.report.write import write_report

__all__ = ["IMAGE_BYTES", "Gathered", "ReportFacts", "Reported", "gather", "report", "write_report"]
