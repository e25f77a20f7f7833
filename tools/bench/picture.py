"""Draws the ratios as horizontal bars, in hand-written SVG, so that one look shows which goals are met."""

from html import escape
from typing import Any

ROW, LEFT, WIDTH, SCALE = 22, 560, 300, 2.0


def draw(verdicts: "list[dict[str, Any]]") -> str:
    """Return an SVG picture. The line is the goal, and a full bar is twice the goal."""
    height = ROW * (len(verdicts) + 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 80} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="100%" height="{height}" fill="#fff"/>',
        f'<text x="8" y="{ROW - 6}" font-weight="bold">How far each goal is met within one run (the line is the goal)</text>',
    ]
    for i, one in enumerate(verdicts):
        y = ROW * (i + 1)
        reached = one["bar"] / max(one["ratio"], 1e-9) if one["at_most"] else one["ratio"] / one["bar"]
        length = min(reached, SCALE) / SCALE * WIDTH
        colour = "#2a7" if one["met"] else "#c63"
        sign = "≤" if one["at_most"] else "≥"
        name = f"{one['work']}: {one['of']} / {one['to']}"
        parts.append(f'<text x="{LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect x="{LEFT}" y="{y + 4}" width="{length:.0f}" height="{ROW - 8}" fill="{colour}"/>')
        label = f"{one['ratio']:.2f} ({sign} {one['bar']:g})"
        parts.append(f'<text x="{LEFT + length + 4:.0f}" y="{y + 15}">{label}</text>')
    middle = LEFT + WIDTH / SCALE
    parts.append(f'<line x1="{middle}" x2="{middle}" y1="{ROW}" y2="{height - ROW}" stroke="#333"/>')
    parts.append("</svg>\n")
    return "\n".join(parts)
