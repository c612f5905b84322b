"""What people read of a campaign: a page, and a few lines for the terminal."""

from prove.report.page import page, write_page
from prove.report.summary import summary

__all__ = ["page", "summary", "write_page"]
