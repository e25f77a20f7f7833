"""The pictures of the terminal stepper in the documentation are up to date."""

import asyncio
import html
import re
from pathlib import Path

import pytest

from tools import stepper_pictures

IMAGES = Path(__file__).resolve().parents[3] / "docs" / "images"


def words(svg):
    """Return the words of a picture in their order, without the lines that are drawn with characters."""
    text = " ".join(html.unescape(part) for part in re.findall(r"<text[^>]*>(.*?)</text>", svg, re.S))
    return re.findall(r"\w[\w.:,-]*", text.replace("\xa0", " "))


@pytest.mark.once
@pytest.mark.parametrize("name", stepper_pictures.PICTURES)
def test_a_picture_has_the_words_of_the_program(name):
    shown = words((IMAGES / f"{name}.svg").read_text())
    assert len(shown) > 100
    assert shown == words(asyncio.run(stepper_pictures.draw(name))), "run tools/stepper_pictures.py"


def test_control_another_word_is_noticed():
    svg = (IMAGES / "step-ladder.svg").read_text()
    assert words(svg) != words(svg.replace("ESTABLISHED", "LISTEN"))
