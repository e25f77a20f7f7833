"""Packetdrill scripts in process: a script's packets and system calls against a fresh stack, in virtual time.

`load(path)` reads a script, and `run(script, settings)` runs it. `run_path` does both. It never raises an exception
because of the file's contents, but returns a `Verdict` (passed, failed or unsupported, and why). docs/reference/pkt.md
describes the language.
"""

from pystack.pkt.errors import Failure, ScriptError, Unsupported
from pystack.pkt.model import Script
from pystack.pkt.report import Verdict, run_path
from pystack.pkt.settings import ScriptSettings

__all__ = ["Failure", "Script", "ScriptError", "ScriptSettings", "Unsupported", "Verdict", "run_path"]
