"""`pystack run`: unmodified programs as processes, with the kernel as the peer over a TAP, and the errors for wrong use."""

import os
import signal
import subprocess
import sys
import time

import pytest
import trustme
from click.testing import CliRunner

from pystack.cli import run as command
from pystack.cli.main import cli
from tests.cli.test_up import PYSTACK, Lab, possible

KERNEL = pytest.mark.skipif(not possible(), reason="needs root and /dev/net/tun")
OPTIONS = ("-a", "10.0.0.2/24", "--kernel-address", "10.0.0.1/24")


@pytest.fixture
def lab(tmp_path):
    lab = Lab(str(tmp_path))
    yield lab
    lab.close()


def run(lab, *program, options=(), **kwargs):
    return lab.run(*PYSTACK, "run", *OPTIONS, *options, "--", *program, **kwargs)


@pytest.fixture
def start(lab):
    """Return a function that starts `pystack run` and waits until `port` answers."""
    processes = []

    def start(*program, port, options=()):
        process = subprocess.Popen(
            lab.command(*PYSTACK, "run", *OPTIONS, *options, "--", *program),
            env=lab.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=lab.directory,
        )  # fmt: skip
        processes.append(process)
        limit = time.monotonic() + 40
        while lab.run("curl", "-s", "-m", "2", f"http://10.0.0.2:{port}/").returncode:
            assert process.poll() is None, process.stdout.read()
            assert time.monotonic() < limit
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.kernel
@KERNEL
def test_a_script_its_arguments_its_status_and_its_sockets(lab, tmp_path):
    (tmp_path / "beside.py").write_text("value = 7\n")
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, socket, beside\n"
        "assert __name__ == '__main__' and sys.modules['__main__'].beside is beside\n"
        "with socket.create_server(('', 80)) as s, socket.create_connection(('10.0.0.2', 80)) as c:\n"
        "    print(sys.argv[1:], type(c).__module__, c.getsockname()[0])\n"
        "try:\n    socket.socket(socket.AF_INET6)\nexcept OSError as e:\n    print(e)\n"
        "sys.exit(beside.value)\n"
    )
    for words in ((str(program),), ("python", str(program)), (sys.executable, "-u", str(program))):
        done = run(lab, *words, "-a", "x")
        assert (done.returncode, done.stderr) == (7, "")
        first, second = done.stdout.splitlines()
        assert first == "['-a', 'x'] pystack.socket 10.0.0.2" and "speaks IPv4" in second


@pytest.mark.kernel
@KERNEL
def test_code_errors_and_texts_for_exit(lab):
    done = run(lab, "python", "-c", "import sys; print(sys.argv); sys.exit('no way')", "one")
    assert (done.returncode, done.stdout, done.stderr) == (1, "['-c', 'one']\n", "no way\n")
    assert run(lab, "-c", "print('short')").stdout == "short\n"
    done = run(lab, "python", "-c", "def f(): 1 / 0\nf()")
    assert done.returncode == 1 and done.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert "runpy" not in done.stderr and "pystack" not in done.stderr
    done = run(lab, "python", "-c", "import uvloop")
    assert done.returncode == 1 and "uvloop opens sockets of the kernel" in done.stderr


@pytest.mark.kernel
@KERNEL
def test_what_the_interpreter_does_at_its_end_happens_on_the_stack(lab, tmp_path):
    """An executor that was not shut down does not delay the end, and the sockets of atexit functions are the stack's."""
    (tmp_path / "pool.py").write_text(
        "from concurrent.futures import ThreadPoolExecutor\nexecutor = ThreadPoolExecutor(2)\n"
    )
    code = (
        f"import atexit, socket, sys, threading; sys.path.insert(0, {str(tmp_path)!r}); import pool\n"
        "def gone(): raise ValueError('no')\n"
        "atexit.register(lambda text: print(text, type(socket.socket()).__module__), 'last')\n"
        "atexit.register(gone); atexit.register(print, 'never'); atexit.unregister(print)\n"
        "atexit.register(gone); atexit.register(print, 'first')\n"
        "threading.Timer(0.2, print, ('thread',)).start()\n"
        "print(pool.executor.submit(abs, -1).result())\n"
    )
    done = run(lab, "-c", code, timeout=15)
    assert done.returncode == 0 and done.stdout == "1\nthread\nfirst\nlast pystack.socket\n"
    assert done.stderr.count("ValueError: no") == 2


@pytest.mark.kernel
@KERNEL
def test_a_module_that_serves_until_ctrl_c(lab, start, tmp_path):
    (tmp_path / "page.txt").write_text("from a module")
    process = start("python", "-m", "http.server", "80", port=80)
    assert lab.run("curl", "-s", "http://10.0.0.2/page.txt").stdout == "from a module"
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "Keyboard interrupt received" in output


@pytest.mark.kernel
@KERNEL
def test_a_console_script_uvicorn_with_starlette(lab, start, tmp_path):
    (tmp_path / "app.py").write_text(
        "from starlette.applications import Starlette\n"
        "from starlette.responses import FileResponse, PlainTextResponse\n"
        "from starlette.routing import Route\n"
        "async def hello(request):\n    return PlainTextResponse(f'to {request.client.host}')\n"
        "async def file(request):\n    return FileResponse(__file__)\n"
        "app = Starlette(routes=[Route('/', hello), Route('/file', file)])\n"
    )
    process = start("uvicorn", "app:app", "--app-dir", ".", "--host", "0.0.0.0", "--port", "80", port=80)
    assert lab.run("curl", "-s", "http://10.0.0.2/").stdout == "to 10.0.0.1"
    assert lab.run("curl", "-s", "http://10.0.0.2/file").stdout == (tmp_path / "app.py").read_text()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert "Finished server process" in output and process.returncode in (0, 128 + signal.SIGTERM), output


@pytest.mark.kernel
@KERNEL
def test_aiohttp_sends_a_file(lab, start, tmp_path):
    """web.FileResponse uses loop.sendfile."""
    pytest.importorskip("aiohttp")
    (tmp_path / "data").write_bytes(os.urandom(600_000))
    (tmp_path / "files.py").write_text(
        "from aiohttp import web\n"
        "async def file(request):\n    return web.FileResponse('data')\n"
        "app = web.Application()\napp.router.add_get('/data', file)\n"
        "web.run_app(app, port=80)\n"
    )
    start("files.py", port=80)
    assert lab.run("curl", "-s", "-m", "20", "-o", str(tmp_path / "copy"), "http://10.0.0.2/data").returncode == 0
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "data").read_bytes()
    ranged = lab.run("curl", "-s", "-m", "20", "-r", "1000-", "-o", str(tmp_path / "copy"), "http://10.0.0.2/data")
    assert ranged.returncode == 0 and (tmp_path / "copy").read_bytes() == (tmp_path / "data").read_bytes()[1000:]


def test_wrong_use():
    runner = CliRunner()
    for words, text in (
        ([], "Missing argument"),
        (["--", "no-such-program-at-all"], "no such program"),
        (["--", "ls"], "not a Python program"),
        (["--", "python"], "no interactive mode"),
        (["--", "python", "-m"], "argument expected for the -m option"),
        (["--", "python", "-X", "dev", "x.py"], "the option -X has no meaning here"),
        (["--", "python", "no/such/file.py"], "can't open file"),
        (["--write", "-", "--", "python", "-c", ""], "standard output is the program's"),
        (["--", "python", "-c", ""], "the stack needs an address"),
    ):
        result = runner.invoke(cli, ["run", *words])
        assert result.exit_code == 2 and text in result.output, (words, result.output)


def test_the_program_is_found_and_leaves_nothing(tmp_path, monkeypatch):
    path, argv, finders = list(sys.path), sys.argv, list(sys.meta_path)
    script = tmp_path / "tool"
    script.write_text(f"#!{sys.executable}\nimport sys\nsys.exit(sys.argv[1])\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    function, words = command.find_program(("tool", "5"))
    assert words == [str(script), "5"]
    assert command.run_program(function, words) == 1  # (the text "5")
    (tmp_path / "a_module.py").write_text("import sys\nsys.exit(6)\n")
    monkeypatch.chdir(tmp_path)
    assert command.run_program(*command.find_program(("python", "-m", "a_module"))) == 6
    assert (sys.path, sys.argv, sys.meta_path) == (path, argv, finders)
    assert (
        command.is_python("/usr/bin/python3.13")
        and not command.is_python("pythonic")
        and not command.is_python("pytest")
    )
    assert [command.status_of(code) for code in (None, 0, 3, 256 + 4, True)] == [0, 0, 3, 4, 1]


@pytest.mark.kernel
@KERNEL
@pytest.mark.parametrize("how", ["SSLKEYLOGFILE", "--keylog"])
def test_the_keys_of_the_program_go_into_the_capture(lab, start, tmp_path, how):
    trustme.CA(key_type=trustme.KeyType.RSA).issue_cert(
        "localhost", key_type=trustme.KeyType.RSA
    ).private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    (tmp_path / "page.txt").write_text("secret page")
    (tmp_path / "serve.py").write_text(
        "import http.server, ssl, threading\n"
        "context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)\n"
        "context.load_cert_chain('server.pem')\n"
        "plain, secret = [http.server.ThreadingHTTPServer(('', port), http.server.SimpleHTTPRequestHandler) for port in (80, 443)]\n"
        "secret.socket = context.wrap_socket(secret.socket, server_side=True)\n"
        "threading.Thread(target=secret.serve_forever, daemon=True).start()\n"
        "plain.serve_forever()\n"
    )
    options = ["--write", str(tmp_path / "run.pcapng")]
    if how == "--keylog":
        options += [how, str(tmp_path / "keys")]
    else:
        lab.env[how] = str(tmp_path / "keys")
    process = start("serve.py", port=80, options=options)
    lab.env.pop("SSLKEYLOGFILE", None)  # curl would write to it, too
    assert lab.run("curl", "-sk", "-m", "20", "https://10.0.0.2/page.txt").stdout == "secret page"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    keys = (tmp_path / "keys").read_text()
    assert "SERVER_TRAFFIC_SECRET_0" in keys
    assert b"SERVER_TRAFFIC_SECRET_0" in (tmp_path / "run.pcapng").read_bytes()


@pytest.mark.kernel
@KERNEL
def test_names_of_the_options(lab, tmp_path):
    (tmp_path / "hosts").write_text("10.0.0.1 kernel.lan kernel\n")
    code = "import socket; print(socket.gethostbyname_ex('kernel'), socket.gethostbyname('me'), socket.gethostbyname('other'))"
    options = ("--hosts", str(tmp_path / "hosts"), "--host-entry", "other=10.0.0.9", "--name", "me")
    done = run(lab, "-c", code, options=options)
    assert done.stdout == "('kernel.lan', ['kernel'], ['10.0.0.1']) 10.0.0.2 10.0.0.9\n", done.stderr
    done = run(lab, "-c", "import socket; socket.gethostbyname('web')", options=("--dns", "10.0.0.1"))
    assert "Temporary failure in name resolution" in done.stderr and done.returncode == 1
