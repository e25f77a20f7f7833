"""Plots of a run: the data to draw (data.py, shared with the web page), and figures that draw it into files
(figures.py).
"""
