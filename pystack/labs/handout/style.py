"""The stylesheet of the handouts. Dark text on white has a contrast of at least 7 to 1 everywhere."""

PAPERS = ("A4", "Letter")

STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #fff; color: #1a1a1a; font: 11pt/1.45 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 46rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6em; line-height: 1.2; margin: 0 0 .6em; }
h2 { font-size: 1.2em; margin: 1.4em 0 .4em; }
h3 { font-size: 1em; margin: 1.2em 0 .4em; }
p, ul, ol, table, figure, pre { margin: 0 0 .8em; }
a { color: #00457c; }
code, pre { font-family: "DejaVu Sans Mono", ui-monospace, monospace; font-size: .85em; }
pre { padding: .6em; border: 1px solid #767676; white-space: pre-wrap; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; padding-bottom: .3em; color: #444; }
th, td { border: 1px solid #767676; padding: .35em .5em; text-align: left; vertical-align: top; font-weight: normal; }
thead th, th[scope=rowgroup] { font-weight: bold; background: #f0f0f0; }
.predictions td { width: 22%; height: 1.8em; vertical-align: bottom; text-align: right; }
.results td { width: 27%; }
.unit { color: #444; }
figure { text-align: center; }
figure img { max-width: 100%; height: auto; }
figcaption { color: #444; font-size: .9em; }
.fields span { display: inline-block; width: 14em; border-bottom: 1px solid #1a1a1a; margin-right: 1.5em; }
@media print {
  main { max-width: none; padding: 0; }
  figure img { max-height: 21cm; width: auto; }
  h1, h2, h3, caption { break-after: avoid; }
  figure, table, tr, li { break-inside: avoid; }
  p { orphans: 3; widows: 3; }
  a[href]::after { content: " (" attr(href) ")"; font-size: .85em; overflow-wrap: anywhere; }
}
"""


def paper_style(paper: str, name: str) -> str:
    """Return the rules for pages: their size ("A4", "Letter", or "" for the printer's), and their number at the foot. `name` is beside it."""
    size = f"size: {paper}; " if paper else ""
    foot = 'font: 9pt "DejaVu Sans", sans-serif; color: #444;'
    return f"""@page {{ {size}margin: 18mm 18mm 20mm;
  @bottom-left {{ content: "{name}"; {foot} }}
  @bottom-right {{ content: counter(page) " / " counter(pages); {foot} }} }}
"""
