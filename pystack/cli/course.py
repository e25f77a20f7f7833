"""`pystack course`: the course in a browser."""

import importlib

import click

EXAMPLES = """\b
Examples:
  pystack course        the list of labs
  pystack course 17     lab 17
"""


@click.command(epilog=EXAMPLES)
@click.argument("number", metavar="[N]", required=False)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the server; 0 takes a free one.")
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
def course(number: str | None, port: int, no_browser: bool) -> None:
    """Work through the course in a browser: predict, run, compare, look inside, and do the exercise of each lab.

    The server listens on this machine only, and its address has a secret, which changes each time. Your files and your progress are those of `pystack lab`.
    """
    from pystack.labs.folders import LabError, lab_of

    try:
        lab = None if number is None else lab_of(number).number
    except LabError as error:
        raise click.ClickException(str(error)) from None
    try:
        serve = importlib.import_module("pystack.labs.course.server").serve
    except ImportError as error:
        raise click.ClickException(f"the course needs {error.name}: pip install 'pystack[course]'") from None
    try:
        serve(port=port, browser=not no_browser, lab=lab)
    except LabError as error:
        raise click.ClickException(str(error)) from None
