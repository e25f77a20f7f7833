"""FTP and mail: ftplib, pyftpdlib, smtplib, aiosmtpd, and curl for both."""

import contextlib
import ftplib
import io
import os
import smtplib
import subprocess
import threading

DATA = bytes(range(256)) * 1000
MESSAGE = b"From: a@example.test\r\nTo: b@example.test\r\nSubject: hello\r\n\r\n" + b"line of text\r\n" * 2000


def ftp_server(files):
    """pyftpdlib on port 21, in a thread with the loop that it chooses (epoll)."""
    return serving_ftp(files, None)


def ftp_server_select(files):
    """The same with a loop of select."""
    from pyftpdlib.ioloop import Select

    return serving_ftp(files, Select())


@contextlib.contextmanager
def serving_ftp(files, loop):
    """Serve the folder `ftp`."""
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer

    folder = f"{files}/ftp"
    os.makedirs(folder, exist_ok=True)

    class Handler(FTPHandler):
        authorizer = DummyAuthorizer()
        banner = "ready"

    Handler.authorizer.add_user("user", "secret", folder, perm="elradfmwMT")
    server = FTPServer(("0.0.0.0", 21), Handler, ioloop=loop)
    stop = threading.Event()

    def serve():
        while not stop.is_set():
            server.ioloop.loop(timeout=0.05, blocking=False)
        server.close_all()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def ftp_client(host, files):
    """ftplib: a file in both directions, passive and active, and a listing."""
    with ftplib.FTP(timeout=20) as ftp:
        ftp.connect(host)
        ftp.login("user", "secret")
        for passive in (True, False):
            ftp.set_pasv(passive)
            ftp.storbinary("STOR one", io.BytesIO(DATA))
            got = io.BytesIO()
            ftp.retrbinary("RETR one", got.write)
            assert got.getvalue() == DATA
        assert "one" in ftp.nlst()
        ftp.delete("one")


def curl_ftp(host, files):
    """curl uploads and fetches a file."""
    command = ["curl", "-sS", "-m", "20", "--disable-epsv", f"ftp://user:secret@{host}/two"]
    subprocess.run([*command, "-T", "-"], input=DATA, capture_output=True, check=True)
    assert subprocess.run(command, capture_output=True, check=True).stdout == DATA


@contextlib.contextmanager
def smtp_server(files):
    """aiosmtpd's controller on port 25, which has a thread with an asyncio loop."""
    from aiosmtpd.controller import Controller

    class Keep:
        async def handle_DATA(self, server, session, envelope):
            assert envelope.content == MESSAGE
            return f"250 {len(envelope.content)} bytes for {envelope.rcpt_tos[0]}"

    controller = Controller(Keep(), "0.0.0.0", 25, server_hostname="server")
    controller.start()
    try:
        yield
    finally:
        controller.stop()


def smtp_client(host, files):
    """smtplib: a message of many lines."""
    with smtplib.SMTP(host, 25, local_hostname="client", timeout=20) as smtp:
        assert smtp.ehlo()[0] == 250
        smtp.mail("a@example.test")
        smtp.rcpt("b@example.test")
        assert smtp.data(MESSAGE) == (250, b"%d bytes for b@example.test" % len(MESSAGE))


def curl_smtp(host, files):
    """curl sends the same message."""
    command = ["curl", "-sS", "-m", "20", f"smtp://{host}/client", "--mail-from", "a@example.test"]
    command += ["--mail-rcpt", "b@example.test", "--upload-file", "-"]
    subprocess.run(command, input=MESSAGE, capture_output=True, check=True)
