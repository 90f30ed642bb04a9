"""A report as one HTML file that needs nothing else: tables, images and charts."""

from edgeseg.html_report.reliability_chart import ReliabilityCurve
from edgeseg.html_report.report import HtmlReport
from edgeseg.html_report.scatter_chart import Point
from edgeseg.html_report.svg_charts import Series

__all__ = ["HtmlReport", "Point", "ReliabilityCurve", "Series", "galleries"]
