"""Runs programs (tests.support.world) in a process of its own, on the other build of the core: for comparing.

    with Worker(pure=True) as other:
        other.run(program)        -> one digest a step, of everything observable after it

The process reads pickled requests from its standard input and answers on its standard output; it lives until closed.
Run by hand for nothing: `python -m tests.support.worker` is the process's side.
"""

import hashlib
import os
import pickle
import struct
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def execute(program: dict[str, Any], full: int = -1, oracles: bool = False) -> tuple[list[bytes], Any, str]:
    """Run a program. Digests of what each step showed, all of it for step number `full`, and how it ended ("" is well)."""
    from tests.support.world import World, simple

    digests: list[bytes] = []
    shown: Any = None
    try:
        world = World(program, oracles)
        for i, step in enumerate(program["steps"]):
            result = simple(world.apply(step))
            seen = (result, world.observe())
            if i == full:
                shown = seen
            digests.append(hashlib.blake2b(repr(seen).encode(), digest_size=16).digest())
    except Exception:
        return digests, shown, traceback.format_exc()
    return digests, shown, ""


class Worker:
    """The other build, in a process."""

    def __init__(self, pure: bool):
        env = {name: value for name, value in os.environ.items() if name != "PYSTACK_PURE"}
        if pure:
            env["PYSTACK_PURE"] = "1"
        command = [sys.executable, "-m", "tests.support.worker"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=env)
        self.pure = pure

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *args: Any) -> None:
        self.close()

    def run(self, program: dict[str, Any], full: int = -1) -> tuple[list[bytes], Any, str]:
        """`execute` over there."""
        assert self.process.stdin is not None and self.process.stdout is not None
        write(self.process.stdin, (program, full))
        answer: tuple[list[bytes], Any, str] = read(self.process.stdout)
        return answer

    def build(self) -> bool:
        """True where the process over there runs the compiled core."""
        assert self.process.stdin is not None and self.process.stdout is not None
        write(self.process.stdin, None)
        return bool(read(self.process.stdout))

    def close(self) -> None:
        """End the process."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process.wait(10)


def write(pipe: Any, thing: Any) -> None:
    """One length-prefixed pickle."""
    data = pickle.dumps(thing)
    pipe.write(struct.pack(">I", len(data)) + data)
    pipe.flush()


def read(pipe: Any) -> Any:
    """One length-prefixed pickle; EOFError where the other side is gone."""
    head = pipe.read(4)
    if len(head) < 4:
        raise EOFError("the worker process is gone")
    return pickle.loads(pipe.read(struct.unpack(">I", head)[0]))


def compare(program: dict[str, Any], other: Worker) -> str:
    """Run a program here and over there. "" where they agree, else what differs first."""
    mine, _, my_end = execute(program)
    theirs, _, their_end = other.run(program)
    for i, (a, b) in enumerate(zip(mine, theirs)):
        if a != b:
            here, there = execute(program, i)[1], other.run(program, i)[1]
            return f"step {i} {str(program['steps'][i])[:300]}\n" + difference(here, there)
    if len(mine) != len(theirs) or last_line(my_end) != last_line(their_end):
        return f"one build fails after {len(mine)}, the other after {len(theirs)} steps\n{my_end}\n{their_end}"
    return my_end


def last_line(text: str) -> str:
    """The exception's own line."""
    return text.strip().rsplit("\n", 1)[-1]


def difference(a: Any, b: Any, path: str = "") -> str:
    """Where two nested tuples first differ."""
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b)):
            if repr(x) != repr(y):
                return difference(x, y, f"{path}[{i}]")
    return f"at {path}: {str(a)[:1500]}\n         {str(b)[:1500]}"


def main() -> None:
    """Serve requests until the pipe closes."""
    import pystack

    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that prints may disturb the answers
    while True:
        try:
            request = read(sys.stdin.buffer)
        except EOFError:
            return
        if request is None:
            write(out, all(pystack.compiled().values()))
        else:
            write(out, execute(*request))


if __name__ == "__main__":
    main()
