"""Exercises that are servers in other languages: what the grader says of programs that end, hang, or take too much, and that nothing is left."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.labs import folders, grading, servers
from pystack.labs.folders import LabError, lab_of
from pystack.labs.grading import grade
from pystack.labs.servers import LearnersServer, SourceAnswer
from pystack.sim.network import S
from pystack.sim.programs import sleep
from tests.kernel.hosts import ROOT, as_nobody, processes

C_LAB, NODE_LAB = lab_of("39"), lab_of("40")
INCLUDES = (
    "#include <netinet/in.h>\n#include <signal.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
)
INCLUDES += "#include <unistd.h>\n"
FILES = "#include <errno.h>\n#include <fcntl.h>\n#include <sched.h>\n#include <sys/mount.h>\n#include <sys/shm.h>\n#include <sys/stat.h>\n"
LISTEN = """
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(7000)};
    bind(listener, (struct sockaddr *)&address, sizeof address);
    listen(listener, 64);
    int fd = accept(listener, NULL, NULL);
    (void)fd;
"""
FIRST = "Your server must answer each message with one of the same form, with the bytes in reverse order."
TOO_MANY = "The grader stopped your server because it starts too many processes (at most 64)."

needs_node = pytest.mark.skipif(bool(NODE_LAB.lacks()), reason=NODE_LAB.lacks() or "it has all")
needs_c = pytest.mark.skipif(bool(C_LAB.lacks()), reason=C_LAB.lacks() or "it has all")


def graded(tmp_path, body, limits=None, includes=INCLUDES):
    path = tmp_path / "lab_39_c_server.c"
    path.write_text(f"{includes}int main(void)\n{{{body}}}\n")
    return grade(C_LAB, path, limits)


@needs_c
@pytest.mark.parametrize(
    ("body", "verdict", "says"),
    [
        ("sleep(1000);", "wrong", "Your server does not listen on TCP port 7000 after 5 seconds."),
        (LISTEN + "sleep(1000);", "wrong", f"{FIRST} (there was no answer in "),
        (LISTEN + "close(fd); sleep(1000);", "wrong", f"{FIRST} ("),
        ("raise(SIGSEGV);", "error", "Your server crashed: it was ended by SIGSEGV."),
        (LISTEN + "abort();", "error", "Your server crashed: it was ended by SIGABRT."),
        ("return 3;", "error", "Your server ended with status 3. It must serve until it is killed."),
        ("return fork() == 0 ? (int)sleep(1000) : 0;", "error", "The first process of your server ended with status 0. It must stay"),
        ("raise(SIGKILL);", "error", "Your server crashed: it was ended by SIGKILL."),
        ("raise(SIGRTMIN + 3);", "error", "Your server crashed: it was ended by signal 37."),
        ("for (;;) fork();", "stopped", TOO_MANY),
        (LISTEN + "for (;;) fork();", "stopped", TOO_MANY),
        ('for (;;) puts("0123456789 0123456789");', "stopped", "The grader stopped your server because it prints too much."),
        ("int x = ;", "error", "gcc does not accept your file: server.c:8:10: error: expected expression before"),
        ("\n#include __FILE__\n", "error", "gcc does not accept your file: server.c:1:24: error: #include nested depth 20"),
        (LISTEN.replace("7000)", "7000), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)"), "wrong",
         "Your server listens on TCP port 7000 of 127.0.0.1 only"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_said(tmp_path, body, verdict, says):
    began = time.monotonic()
    found = graded(tmp_path, body)
    assert (found.verdict, found.text[: len(says)]) == (verdict, says)
    assert len(found.output) <= servers.OUTPUT
    assert time.monotonic() - began < grading.GradeLimits().wall  # the grader's own limits were enough


@needs_c
def test_a_wrong_answer_over_udp_gets_a_hint_about_the_answer():
    """The starter file sends the message back. Its answer does come, so a question about the address of the client would mislead."""
    lab = lab_of("34")
    found = grade(lab, lab.starter)
    assert found.verdict == "wrong" and "room" not in found.text
    assert found.text.startswith("The answer must be the number of bytes (2 bytes, in network byte order)")
    assert found.text.endswith("(the answer to b'hello' is b'hello' instead of b'\\x00\\x05olleh')")


@needs_c
@pytest.mark.parametrize("body", ["for (;;);", LISTEN + "for (;;);"])
def test_an_endless_loop_is_stopped(tmp_path, body):
    """On a busy machine, it does not get its two seconds of processor time while the grader waits."""
    found = graded(tmp_path, body)
    assert found.verdict == "stopped" and found.text.endswith("Is there an endless loop?")
    assert "2 seconds of processor time" in found.text or "still computes" in found.text


@needs_c
@pytest.mark.parametrize(("size", "verdict"), [(32, "wrong"), (200, "error")])
def test_memory_is_limited(tmp_path, size, verdict):
    """The control with less memory goes on, and is only wrong because it does not listen."""
    body = f"for (int i = 0; i < {size}; i++) memset(malloc(1 << 20), 1, 1 << 20);\n sleep(1000);"
    found = graded(tmp_path, body, grading.GradeLimits(memory=100 << 20))
    assert found.verdict == verdict
    assert "SIGSEGV. Does it need more than 100 MiB of memory?" in found.text or verdict == "wrong"


@needs_c
@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the program as another user")
def test_for_root_the_program_is_another_user(tmp_path):
    """What only root may read, and what is in the machine's /tmp, stays unread."""
    secret = "/etc/shadow"
    if not os.path.exists(secret):
        pytest.skip(f"this machine has no {secret}")
    body = f'printf("%d %d %d ", getuid() >= 30000, access("{secret}", F_OK), fopen("{secret}", "r") == NULL);'
    body += f'printf("%d %d\\n", setuid(0), access("{tmp_path}", F_OK)); return 0;'
    assert graded(tmp_path, body).output.splitlines()[-1] == "1 0 1 -1 -1"
    path = tmp_path / "lab_39_include.c"
    path.write_text(f'#include "{secret}"\n')
    found = grade(C_LAB, path)
    assert found.verdict == "error" and "Permission denied" in found.text and "root:" not in found.output


@needs_c
def test_nothing_is_left(tmp_path):
    """A daemon is killed, too, and the machine's processes cannot be reached."""
    mark = f"98765.{os.getpid()}"
    body = f'if (fork() == 0) {{ setsid(); execlp("sleep", "sleep", "{mark}", NULL); }} kill(-1, SIGTERM); sleep(1000);'
    other = subprocess.Popen(["sleep", "98765"])
    try:
        assert not graded(tmp_path, body).right
        assert processes(mark) == [] and other.poll() is None
    finally:
        other.kill()
        other.wait()


@needs_c
def test_a_conversation_does_not_wait_for_a_server_that_has_ended(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = SourceAnswer(tmp_path / "lab_34.c", "int main(void) { return 0; }", 2, 256 << 20)

    def wait():
        yield sleep(1000 * S)

    with LearnersServer(source) as lab:
        lab.start(lab.compile_c())
        with pytest.raises(TimeoutError, match="the server has ended"):
            lab.play(wait(), seconds=60)


@needs_c
@pytest.mark.parametrize("style", ["forty children", "the first thread ends"])
def test_a_server_with_many_processes_or_no_first_thread_is_graded(tmp_path, style):
    text = C_LAB.solution.read_text()
    if style == "forty children":
        text = text.replace(
            "    for (;;) {",
            "    for (int i = 0; i < 40; i++)\n        if (fork() == 0)\n            break;\n    for (;;) {",
        )
    else:
        text = text.replace("#include <errno.h>", "#include <errno.h>\n#include <pthread.h>")
        text = text.replace("int main(void)", "static void *first(void *unused)")
        text = text.replace('perror("server");\n        return 1;', "return unused;")
        text += "int main(void) { pthread_t t; pthread_create(&t, NULL, first, NULL); pthread_exit(NULL); }\n"
    path = tmp_path / "lab_39_c_server.c"
    path.write_text(text)
    found = grade(C_LAB, path)
    assert (found.verdict, found.text) == ("right", "")
    path.write_text(text.replace("count++", "count += 2"))
    assert grade(C_LAB, path).text.startswith(C_LAB.wrong()["wrong_half_close.c"])


@needs_c
@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("        close(fd);\n    }\n}", "    }\n}", "Your server sends all, and its half stays open. "),
        ("count = htonl(count);", "", "You seem to use the byte order of the machine. "),
        ("if (got == 0)", "if (0)", "You seem to treat the client's FIN as the end of the connection. "),
    ],
)
def test_the_hint_about_the_end_of_a_connection_fits(tmp_path, old, new, says):
    text = C_LAB.solution.read_text()
    assert old in text
    path = tmp_path / "lab_39_c_server.c"
    path.write_text(text.replace(old, new))
    assert grade(C_LAB, path).text.startswith(says)


FILLED = [
    ("while (1) { char n[20]; sprintf(n, \"%d\\n\", i++); if (mkdir(n, 0700)) sleep(1000); }", "makes too many files (at most 1000)."),
    ("while (1) { if (mkdir(\"d\", 0) || chmod(\"d\", 0700) || chdir(\"d\")) sleep(1000); }", "makes too many files (at most 1000)."),
    ("creat(\"own\", 0); while (1) { char n[20]; sprintf(n, \"%d\", i++); if (link(\"own\", n)) sleep(1000); }", "makes too many files (at most 1000)."),
    ("while (1) { char n[20]; sprintf(n, \"/dev/shm/%d\", i++); if (mkfifo(n, 0)) sleep(1000); }", "makes too many files (at most 1000)."),
    ("static char b[1 << 20]; while (1) { char n[20]; sprintf(n, \"%d\", i++); if (write(creat(n, 0600), b, 1 << 20) < 0) sleep(1000); }",
     "files are too large (16 MiB together)."),
]  # fmt: skip


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder in which the grader makes its own folders."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@needs_c
@pytest.mark.parametrize(("body", "says"), FILLED)
def test_a_server_that_makes_many_files_is_stopped(tmp_path, temporary, body, says):
    """Folders, links and pipes count, too, and it does not matter how deep they are. All of them disappear with the host."""
    found = graded(tmp_path, f"int i = 0; {body}", includes=INCLUDES + FILES)
    assert found.verdict == "stopped" and found.text.endswith(says)
    assert os.listdir(temporary) == []


@needs_c
def test_a_server_may_make_files(tmp_path, temporary):
    """Control: names with a new line, links that lead out of the folder, pipes, and folders that may not be opened are no problem, nor are 900 files."""
    body = 'int bad = mkfifo("pipe\\n", 0) + link("server", "hard\\n") + symlink("/etc", "etc") + symlink("..", "up") + mkdir("shut", 0);'
    body += 'for (int i = 0; i < 900; i++) { char n[20]; sprintf(n, "%d", i); bad += creat(n, 0) < 0; } bad += tmpfile() == NULL; usleep(900000); return bad != 0;'
    found = graded(tmp_path, body, includes=INCLUDES + FILES)
    assert found.text == "Your server ended with status 0. It must serve until it is killed."
    assert os.listdir(temporary) == [] and os.path.exists("/etc/hosts")


def segments():
    """The shared memory of the machine, without that of other tests, which comes and goes."""
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return [line for line in lines if line.split()[3] == "54321"]


@needs_c
def test_a_server_leaves_nothing_outside_of_its_folder(tmp_path):
    """It cannot write to the folders that are everybody's, and its shared memory disappears with the host."""
    name = f"pystack-test-{os.getpid()}"
    body = f'int bad = creat("/var/tmp/{name}", 0600) < 0 || creat("/dev/shm/{name}2", 0600) < 0 || shmget(7, 54321, 01600) < 0;'
    body += (
        f'bad += mkdir("{tmp_path}/made", 0700) == 0 || creat("/etc/hosts", 0600) >= 0 || errno != EROFS; return bad;'
    )
    tmp_path.chmod(0o777)
    found = graded(tmp_path, body, includes=INCLUDES + FILES)
    assert found.text.startswith("Your server ended with status 0.")
    assert [one for one in shared() if name in one] == [] and segments() == []
    assert sorted(os.listdir(tmp_path)) == ["lab_39_c_server.c"]


def shared():
    """What is in the folders in which everybody may write."""
    return [*os.listdir("/tmp"), *os.listdir("/var/tmp"), *os.listdir("/dev/shm")]


@needs_c
def test_the_root_of_a_user_namespace_can_write_nowhere_else(tmp_path):
    """In a container, root is often no root of the machine. The program has the same user then, but may not change the mounts."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-Ur", "true"], check=False).returncode:
        pytest.skip("there is no user namespace here")
    answer = tmp_path / "lab_39_write.c"
    refused = (
        'mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL) < 0 && umount("/etc/hosts") < 0 && unshare(CLONE_NEWNS) < 0'
    )
    refused += ' && mkdir("/made", 0) < 0 && errno == EROFS'
    answer.write_text(f"#define _GNU_SOURCE\n{INCLUDES}{FILES}int main(void) {{ return {refused} ? 7 : 1; }}\n")
    code = (
        "import sys\nfrom pathlib import Path\nfrom pystack.labs.folders import lab_of\nfrom pystack.labs.grading import grade\n"
        f"lab = lab_of('39')\nprint(lab.lacks() or [grade(lab, path).text for path in (lab.solution, Path({str(answer)!r}))])"
    )
    words = ["unshare", "-Ur", sys.executable, "-c", code]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    if done.stdout.startswith("needs a kernel host"):
        pytest.skip(done.stdout)
    ended = "Your server ended with status 7. It must serve until it is killed."
    assert done.stdout == f"{['', ended]}\n", done.stderr


@needs_c
def test_the_warnings_of_the_compiler_are_shown(tmp_path):
    found = graded(tmp_path, "int unused; return 0;")
    assert "unused variable" in found.output


@pytest.fixture
def readable():
    """A folder that every user can read. Those of pytest are only for the user who runs the tests."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        yield Path(place)


@needs_c
def test_an_ordinary_user_can_grade(readable):
    """Without root, the host has a user namespace, and the limits of processes hold in it. A signal to the program's group does not reach the grader."""
    words = as_nobody(devices=False)
    if words is None:
        pytest.skip("an ordinary user can reach no interpreter and no source here")
    source = readable / "lab_39_fork.c"
    source.write_text(INCLUDES + "int main(void) { for (;;) fork(); }\n")
    group = readable / "lab_39_group.c"
    group.write_text(INCLUDES + "int main(void) { kill(0, SIGKILL); }\n")
    code = (
        "from pathlib import Path\nfrom pystack.labs.folders import lab_of\nfrom pystack.labs.grading import grade\n"
        f"lab = lab_of('39')\nprint(lab.lacks() or [grade(lab, path).text for path in (lab.solution, Path({str(source)!r}), Path({str(group)!r}))])"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *(p for p in sys.path if "site-packages" in p)])}
    done = subprocess.run(
        [*words, "-c", code], env={**env, "PYSTACK_PURE": "1"}, cwd="/", capture_output=True, text=True, timeout=100
    )
    if done.stdout.startswith("needs a kernel host"):
        pytest.skip(done.stdout)
    killed = "Your server crashed: it was ended by SIGKILL. Does it need more than 512 MiB of memory?"
    assert done.stdout == f"{['', TOO_MANY, killed]}\n", done.stderr


@needs_node
def test_a_last_line_that_comes_too_early_has_a_hint_of_its_own(tmp_path):
    text = NODE_LAB.solution.read_text()
    path = tmp_path / "lab_40_node_server.js"
    path.write_text(
        text.replace("() => last.then(() => socket.end(`BYE ${count}\\n`))", "() => socket.end(`BYE ${count}\\n`)")
    )
    assert path.read_text() != text
    assert grade(NODE_LAB, path).text.startswith("BYE must be the last line. ")


@needs_node
@pytest.mark.parametrize(
    ("options", "says"),
    [(", noDelay: true", ""), ("", "Your second answer waits for the acknowledgement of the first one.")],
)
def test_slow_look_ups_are_not_nagles_algorithm(tmp_path, options, says):
    """One after the other, they take longer than the least retransmission timeout of Linux, 200 ms. The control has slow look-ups and the algorithm."""
    text = NODE_LAB.solution.read_text().replace(", noDelay: true", options).replace("resolve, 5,", "resolve, 300,")
    at_once, found = "    const found = lookUp(line.toString('utf8'));\n", "(await found)"
    assert at_once in text and found in text
    path = tmp_path / "lab_40_node_server.js"
    path.write_text(text.replace(at_once, "").replace(found, "(await lookUp(line.toString('utf8')))"))
    assert grade(NODE_LAB, path).text[: len(says) or None] == says


@needs_node
@pytest.mark.parametrize(
    "first",
    [
        "if (require.main === module) {",
        "const cluster = require('node:cluster'); if (cluster.isPrimary) cluster.fork(); else {",
        "const workers = require('node:worker_threads'); if (workers.isMainThread) new workers.Worker(__filename); else {",
        "require('node:fs').writeFileSync('log', 'started'); {",
    ],
)
def test_a_node_server_is_a_file_in_a_folder_of_its_own(tmp_path, first):
    """As on the learner's machine: it can start itself again, and write files."""
    path = tmp_path / "lab_40_node_server.js"
    path.write_text(f"{first}\n{NODE_LAB.solution.read_text()}\n}}\n")
    found = grade(NODE_LAB, path)
    assert (found.verdict, found.text) == ("right", "")


@needs_node
@pytest.mark.parametrize(
    ("text", "verdict", "says"),
    [
        ("for (;;);", "stopped", "Is there an endless loop?"),
        ("setInterval(() => {}, 1000);", "wrong", "Your server does not listen on UDP port 7001 after 5 seconds."),
        ("const x = ;", "error", "Your server ended with status 1."),
        ("process.exit(0);", "error", "Your server ended with status 0."),
        ("const all = []; for (;;) all.push(Buffer.alloc(1 << 20, 1));", "error", "Does it need more than 256 MiB"),
        ("require('child_process').spawnSync('sleep', ['1000']);", "wrong", "does not listen on UDP port 7001"),
    ],
)
def test_what_goes_wrong_with_node_is_said(tmp_path, text, verdict, says):
    path = tmp_path / "lab_40_node_server.js"
    path.write_text(text)
    found = grade(NODE_LAB, path, grading.GradeLimits(memory=256 << 20))
    assert found.verdict == verdict and says in found.text


def test_what_is_missing_is_a_skip(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert NODE_LAB.lacks() == "needs node, which the Debian package nodejs has"
    needs = "needs gcc, which the Debian package gcc has"
    assert C_LAB.lacks() == needs
    found = grade(C_LAB, C_LAB.solution)
    assert (found.verdict, found.text) == ("skipped", f"The grader of this lab cannot run here: it {needs}.")


def test_without_namespaces_the_reason_is_said(monkeypatch):
    def refused(name):
        raise PermissionError(1, "the kernel allows no namespaces here")

    monkeypatch.setattr("pystack.kernel.space.HostSpace", refused)
    folders.no_host.cache_clear()
    try:
        assert folders.no_host() == "needs a kernel host: the kernel allows no namespaces here"
    finally:
        folders.no_host.cache_clear()


def test_a_file_in_another_language_is_refused(tmp_path):
    path = tmp_path / "lab_39_c_server.py"
    path.write_text("")
    with pytest.raises(LabError, match=r"is no exercise of lab 39, whose files end with \.c"):
        grade(C_LAB, path)


def test_a_lab_whose_grader_cannot_run_is_checked_without_it(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    needs = "needs gcc, which the Debian package gcc has"
    done = CliRunner().invoke(cli, ["lab", "check", "39", "--lab"])
    said, _, times = done.output.rpartition("), ")
    assert (done.exit_code, said + ")") == (0, f"lab 39: right (without its grader, which {needs})")
    assert re.fullmatch(r"\d+\.\d s \(\d+\.\d s\)\n", times)
    (record,) = json.loads(CliRunner().invoke(cli, ["lab", "check", "39", "--lab", "--json"]).output)
    assert (record["verdict"], record["skipped"]) == ("right", f"without its grader, which {needs}")
    junit = tmp_path / "grades.xml"
    (tmp_path / "lab_39_c_server.c").write_text("")
    done = CliRunner().invoke(cli, ["lab", "check", str(tmp_path / "lab_39_c_server.c"), "--junit", str(junit)])
    assert done.exit_code == 1 and done.output.startswith("lab 39: skipped\n")
    assert ET.parse(junit).getroot()[0].attrib["skipped"] == "1"
    assert len(ET.parse(junit).getroot().findall(".//skipped")) == 1
