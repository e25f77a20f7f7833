"""Grades a server that the learner wrote in another language: it runs on a kernel host, and scripted hosts of pystack talk to it.

The program has a network of its own, which reaches nothing else, and a PID namespace, whose processes are killed at the end. setrlimit(2) limits
its processor time, its memory, its output and the number of its processes. It can write to one folder only, which is in memory, has a limit of its own,
and disappears with the host. If the grader is root, the program runs as a user who owns nothing.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from pystack.labs.asleep import Asleep, asleep
from pystack.labs.hosts import is_user
from pystack.labs.processor import children_seconds
from pystack.labs.values import Ended, WrongAnswer
from pystack.sim.hub import Signal
from pystack.sim.network import MS, Network, S
from pystack.sim.programs import Program, spawn

CLIENT, SERVER = "10.0.0.1", "10.0.0.2"
PROCESSES = 64  # processes and threads of the program
MANY = 56  # so many processes are too many. Those that start the program count, too, so it never has all 64.
OUTPUT = 1 << 20  # bytes of a file that it writes, and so of what it prints
FOLDER = "/tmp"  # the only folder to which it can write, as it sees it
ROOM, FILES = 16 << 20, 1000  # bytes of all files there, and their number with folders, links and so on
CPU = 2  # seconds of processor time of the program, unless the limit is lower
BUILD = 20  # seconds of processor time for the compiler
START = 5.0  # seconds until the program must listen
ANSWER = 4.0  # seconds for one conversation
PATIENCE = 20.0  # seconds for it if the program still computes then
WATCH = 50 * MS  # between two looks at the program
QUIET = 3  # how many looks in a row must find that nothing has happened. The pauses of conversations are shorter than two looks.
LOOKS = 10  # how often a program must be seen to compute
OFTEN = 4  # how many looks are between two looks at what the program takes
OPEN, LISTENING = "01", "0A"
ENDED = {"Z", "X"}  # the states of threads that have ended
FLAGS = ("-std=gnu11", "-Wall", "-Wextra", "-O1", "-fmax-errors=20", "-fmax-include-depth=20")


@dataclass(frozen=True)
class SourceAnswer:
    """A learner's file that is not Python, and its limits: seconds of processor time, and bytes of memory."""

    path: Path
    text: str
    cpu: int
    memory: int


class Unexpected(Exception):
    """A conversation raises it if the server said something wrong. The text says what."""


class Silent(Unexpected):
    """The server waits for its clients, and they wait for it, so the answer does not come. This is certain without waiting longer."""


def state_of(task: Path) -> str:
    """Return the letter of a thread's state (proc(5)), X if it has just ended."""
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def signal_name(number: int) -> str:
    """Return the name of a signal. Real-time signals have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class LearnersServer:
    """The learner's program on the kernel host `server`, and the host `client` of pystack, which talks to it."""

    def __init__(self, source: SourceAnswer):
        self.source = source
        self.net = Network(seed=1)
        try:
            self.host = self.net.kernel("server")
            self.host.space.seal(ROOM, FILES)
            self.folder = self.host.space.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY)
            self.client = self.net.host("client")
            self.link = self.net.link(self.client, self.host, addrs=(f"{CLIENT}/24", f"{SERVER}/24"))
        except BaseException:
            self.net.close()
            raise
        # A number that no other user of the machine has, so that RLIMIT_NPROC counts the processes of this program only.
        number = 30_000 + os.getpid() % 30_000
        self.user = number if not self.host.space.users and is_user(number) else 0
        self.process: subprocess.Popen[bytes] | None = None
        self.before = 0.0  # seconds of processor time of other programs, such as the compiler
        self.said: IO[bytes] = open("output", "a+b")  # noqa: SIM115 (closed by __exit__)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        os.close(self.folder)
        self.net.close()
        self.said.seek(0)
        sys.stderr.write(self.said.read(OUTPUT).decode("utf-8", "replace"))
        self.said.close()

    # -- the program -------------------------------------------------------------------------------------------------

    def limited(self, words: list[str], cpu: int) -> list[str]:
        """Return the command line that runs a command with the limits."""
        limits = [f"--cpu={cpu}:{cpu + 1}", f"--data={self.source.memory}", f"--nproc={PROCESSES}"]
        user = [f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"]
        # The root of a user namespace could make the rest of the files writable again.
        user = user if self.user else ["--bounding-set=-all", "--inh-caps=-all"]
        drop = ["setpriv", "--no-new-privs", *user]
        return ["prlimit", *limits, f"--fsize={OUTPUT}", "--core=0", *drop, *words]

    def put(self, name: str) -> None:
        """Write the learner's file into the folder of the program."""
        path = f"{FOLDER}/{name}"
        with open(self.host.space.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
            file.write(self.source.text.encode())

    def compile_c(self) -> list[str]:
        """Compile the file with gcc, and return the command that runs it. Ended with the compiler's words if that fails."""
        self.put("server.c")
        gcc = self.limited(["gcc", *FLAGS, "-o", "server", "server.c"], BUILD)
        environment = {"PATH": os.environ.get("PATH", os.defpath), "TMPDIR": ".", "LC_ALL": "C"}
        try:
            done = self.host.run(gcc, stdout=self.said, stderr=self.said, cwd=FOLDER, env=environment, timeout=BUILD)
        except subprocess.TimeoutExpired:
            raise Ended("stopped", f"The grader stopped the compiler after {BUILD} seconds.") from None
        if done.returncode:
            self.said.seek(0)
            lines = self.said.read(OUTPUT).decode("utf-8", "replace").splitlines()
            first = next((line for line in lines if "error" in line), f"it ended with status {done.returncode}")
            raise Ended("error", f"gcc does not accept your file: {first[:300]}")
        return ["./server"]

    def start(self, words: list[str]) -> None:
        """Start the program."""
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
        command = self.limited(words, min(CPU, self.source.cpu))
        self.before = children_seconds()
        self.process = self.host.popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self.said,
            stderr=self.said,
            cwd=FOLDER,
            env=environment,
            start_new_session=True,  # kill(0, ...) of the program does not reach the grader
        )

    def start_node(self) -> None:
        """Start the file with Node.js.

        It is a file, and not the standard input, because servers start themselves again (the module cluster), and look at require.main.
        """
        self.put("server.js")
        heap = max(16, (self.source.memory >> 20) // 2)
        self.start(["node", f"--max-old-space-size={heap}", f"{FOLDER}/server.js"])

    def sockets(self, protocol: str, port: int) -> list[tuple[str, str]]:
        """Return the local address (in hexadecimal) and the state of each socket of the host with this port."""
        found = []
        for name in (protocol, protocol + "6"):
            lines = Path(f"/proc/{self.host.space.pid}/net/{name}").read_text().splitlines()[1:]
            for _, local, _, state, *_ in map(str.split, lines):
                address, _, number = local.partition(":")
                if int(number, 16) == port:
                    found.append((address, state))
        return found

    def wait_for_port(self, protocol: str, port: int) -> None:
        """Wait until the program listens on a port ("tcp" or "udp"). WrongAnswer if it does not."""
        end = time.monotonic() + START
        name = f"{protocol.upper()} port {port}"
        while True:
            found = [one for one in self.sockets(protocol, port) if protocol == "udp" or one[1] == LISTENING]
            if found:
                break
            self.look()
            if time.monotonic() > end:
                self.why()
                raise WrongAnswer(f"Your server does not listen on {name} after {START:g} seconds.")
            time.sleep(0.01)
        if all(address == "0100007F" for address, _ in found):
            raise WrongAnswer(
                f"Your server listens on {name} of 127.0.0.1 only, where no other host can reach it. Bind it to all addresses."
            )

    def backlog(self, port: int) -> int:
        """Return the backlog of the listener on a port, as ss shows it."""
        done = self.host.run(["ss", "-ltnH", f"sport = :{port}"], capture_output=True, text=True, timeout=10, cwd="/")
        return int(done.stdout.split()[2])

    def unacknowledged(self, port: int) -> int:
        """Return how many bytes the program has written to the connections of a port that their clients have not acknowledged, sent or not."""
        found = 0
        for name in ("tcp", "tcp6"):
            lines = Path(f"/proc/{self.host.space.pid}/net/{name}").read_text().splitlines()[1:]
            for _, local, _, state, queues, *_ in map(str.split, lines):
                if state == OPEN and int(local.rpartition(":")[2], 16) == port:
                    found += int(queues.partition(":")[0], 16)
        return found

    def processes(self) -> dict[int, str]:
        """Return the states of the host's processes without its process 1, a letter for each thread: R if it computes, S if it waits (proc(5))."""
        own = os.stat(f"/proc/{self.host.space.pid}/ns/pid").st_ino
        found = {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                if int(name) != self.host.space.pid and os.stat(f"/proc/{name}/ns/pid").st_ino == own:
                    found[int(name)] = "".join(map(state_of, Path(f"/proc/{name}/task").iterdir()))
            except OSError:  # it has ended, or it is somebody else's
                continue
        return found

    def why(self) -> None:
        """After something went wrong: raise Ended if the program has ended, or computes without an end, also if the machine has other work."""
        computes = True
        for _ in range(LOOKS):  # what a program that ends does to its connections is seen before its end
            self.look()
            states = "".join(self.processes().values())
            if self.process and not set(states) - ENDED:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(START)
            computes = computes and "R" in states
            time.sleep(0.02)
        self.look()
        if computes:
            text = "Your server still computes, instead of waiting for its clients. Is there an endless loop?"
            raise Ended("stopped", text)

    def too_much(self) -> None:
        """Raise Ended if the program has too many processes, prints too much, or has no more room for files."""
        if len(self.processes()) >= MANY:
            raise Ended(
                "stopped", f"The grader stopped your server because it starts too many processes (at most {PROCESSES})."
            )
        if os.fstat(self.said.fileno()).st_size >= OUTPUT:
            raise Ended("stopped", "The grader stopped your server because it prints too much.")
        room = os.statvfs(self.folder)
        if not room.f_ffree:
            raise Ended("stopped", f"The grader stopped your server because it makes too many files (at most {FILES}).")
        if not room.f_bfree:
            text = f"The grader stopped your server because its files are too large ({ROOM >> 20} MiB together)."
            raise Ended("stopped", text)

    def seconds(self) -> float:
        """Return the seconds of processor time of the program, which has ended."""
        return children_seconds() - self.before

    def look(self) -> None:
        """Raise Ended if the program has ended or has used up its limits, with the reason."""
        status = self.process.poll() if self.process else None
        self.too_much()
        if status is None:
            return
        if status == -signal.SIGXCPU or (status == -signal.SIGKILL and self.seconds() >= min(CPU, self.source.cpu)):
            text = f"The grader stopped your server after {min(CPU, self.source.cpu)} seconds of processor time. Is there an endless loop?"
            raise Ended("stopped", text)
        if status < 0:
            name = signal_name(-status)
            memory = f"Does it need more than {self.source.memory >> 20} MiB of memory?"
            raise Ended(
                "error",
                f"Your server crashed: it was ended by {name}. {memory if status != -signal.SIGPIPE else ''}".strip(),
            )
        what = f"Your server ended with status {status}. It must serve until it is killed."
        if set("".join(self.processes().values())) - ENDED:
            what = f"The first process of your server ended with status {status}. It must stay while its children serve: do not become a daemon."
        raise Ended("error", what)

    # -- conversations -----------------------------------------------------------------------------------------------

    def play(self, *programs: Program, seconds: float = ANSWER) -> list[Any]:
        """Run programs of the client in real time, and return their results.

        TimeoutError if one of them does not end, or the server has ended. Silent if no answer can come any more.
        """
        signal_ = Signal("the clients of the learner's server")
        box: list[Any] = []
        failed: list[BaseException] = []

        def join() -> Program:
            try:
                for proc in [spawn(self.net, program) for program in programs]:
                    box.append((yield proc))  # noqa: PERF401 (a generator's yield)
            except BaseException as error:  # handed to the caller
                failed.append(error)
            signal_.fire()

        spawn(self.net, join())
        self._drive(signal_, seconds)
        if failed:
            raise failed[0]
        return box

    def _drive(self, over: Signal, seconds: float) -> None:
        """Drive the network until the signal is fired. See `play` for the exceptions.

        Time is counted in looks at the program. Before each one the client reads what has arrived, so a grader that the machine delays does not take its own
        delay for the program's. Two looks that find that nothing happens are the last ones.
        """
        hub, net = self.net.hub, self.net
        looks, end = round(seconds * S / WATCH), time.monotonic() + max(PATIENCE, seconds)
        before: tuple[int, Asleep | None] = (-1, None)
        look = quiet = still = 0
        while look < looks or (still < 2 and time.monotonic() < end):
            look += 1
            if hub.park(over, net.now + WATCH):
                return
            if self.process and self.process.poll() is not None:
                if hub.park(over, net.now + 2 * WATCH):  # for the answers that it has sent
                    return
                raise TimeoutError("the server has ended")
            timer = self.client.poll_timeout()
            now: tuple[int, Asleep | None] = (net.steps, None)
            moved = net.steps != before[0]
            if not moved and (timer is None or timer > net.now + seconds * S):
                now = (net.steps, asleep(self.host.space.pid, self.processes()))
            quiet = quiet + 1 if now == before and now[1] else 0
            if quiet >= QUIET:
                raise Silent(f"there was no answer: your server waits {now[1]}, and its client has sent everything")
            before = now
            if look >= looks - 1:
                still = 0 if moved or {"R", "D"} & set("".join(self.processes().values())) else still + 1
            if look % OFTEN == 0:
                self.too_much()
        raise TimeoutError(f"there was no answer in {look * WATCH / S:g} seconds")

    def expect(self, hint: str, *programs: Callable[[], Program]) -> list[Any]:
        """Run a conversation. WrongAnswer with the hint and what happened if it does not go as it must, and Ended if the program has ended."""
        try:
            found = self.play(*(program() for program in programs))
        except Silent as error:
            self.look()
            raise WrongAnswer(f"{hint} ({error})") from None
        except (Unexpected, OSError) as error:
            self.why()
            what = f"the connection ended: {error.strerror}" if isinstance(error, OSError) and error.errno else error
            raise WrongAnswer(f"{hint} ({what})") from None
        self.look()
        return found
