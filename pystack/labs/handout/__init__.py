"""Handouts: a lab as one HTML file that needs nothing else, and as a PDF (`pystack lab handout`).

page.py makes the HTML, markdown.py the parts that are written in Markdown, and pdf.py the PDF.
"""

from pystack.labs.handout.page import page
from pystack.labs.handout.pdf import pdf

__all__ = ["page", "pdf"]
