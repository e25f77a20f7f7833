"""Plots of a run: what is to be drawn (data.py, shared with the web page) and drawing it into files (figures.py)."""
