"""SSH: paramiko and asyncssh, with OpenSSH as the peer."""

import asyncio
import contextlib
import os
import subprocess

from tests.programs.real.apps.processes import running

DATA = bytes(range(256)) * 1000


@contextlib.contextmanager
def sshd(files):
    """Debian's OpenSSH server on port 22; the key of the client opens it."""
    os.makedirs("/run/sshd", exist_ok=True)
    options = {
        "HostKey": f"{files}/ssh_host", "AuthorizedKeysFile": f"{files}/ssh_client.pub", "PermitRootLogin": "yes", "StrictModes": "no",
        "UsePAM": "no", "PidFile": "none", "Subsystem": "sftp internal-sftp", "ListenAddress": "0.0.0.0", "PerSourcePenalties": "no",
    }  # fmt: skip
    words = ["/usr/sbin/sshd", "-D", "-f", "/dev/null"]
    for name, value in options.items():
        words += ["-o", f"{name}={value}"]
    with running(words):
        yield


def paramiko_client(host, files):
    """paramiko: a command, and a file by SFTP in both directions."""
    import paramiko

    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(
            host, username="root", key_filename=f"{files}/ssh_client", allow_agent=False, look_for_keys=False,
            timeout=20, banner_timeout=20, auth_timeout=20,
        )  # fmt: skip
        _, out, _ = client.exec_command("echo hello", timeout=20)
        assert out.read() == b"hello\n" and out.channel.recv_exit_status() == 0
        with client.open_sftp() as sftp:
            with sftp.open(f"{files}/uploaded", "wb") as file:
                file.write(DATA)
            with sftp.open(f"{files}/uploaded", "rb") as file:
                assert file.read() == DATA


async def asyncssh_client(host, files):
    """asyncssh: a command, and a file by SFTP."""
    import asyncssh

    keys = {"client_keys": [f"{files}/ssh_client"], "known_hosts": None, "config": None, "agent_path": None}
    async with asyncssh.connect(host, username="root", login_timeout=20, **keys) as conn:
        done = await conn.run("echo hello", check=True)
        assert done.stdout == "hello\n"
        async with conn.start_sftp_client() as sftp, sftp.open(f"{files}/uploaded", "wb+") as file:
            await file.write(DATA)
            assert await file.read(len(DATA), 0) == DATA


async def asyncssh_server(files):
    """asyncssh's server on port 22: it knows one command, and serves files."""
    import asyncssh

    def command(process):
        process.stdout.write("hello\n" if process.command == "echo hello" else "")
        process.exit(0)

    server = await asyncssh.listen(
        "0.0.0.0", 22, server_host_keys=[f"{files}/ssh_host"], authorized_client_keys=f"{files}/ssh_client.pub",
        process_factory=command, sftp_factory=True, config=None,
    )  # fmt: skip
    try:
        await asyncio.Event().wait()
    finally:
        server.close()
        await server.wait_closed()


def ssh(host, files):
    """OpenSSH's client as the peer of asyncssh's server."""
    words = [
        "ssh",
        "-F",
        "/dev/null",
        "-i",
        f"{files}/ssh_client",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "BatchMode=yes",
    ]
    words += ["-o", "UserKnownHostsFile=/dev/null", "-o", "IdentityAgent=none", f"root@{host}", "echo hello"]
    assert subprocess.run(words, capture_output=True, timeout=30, check=True).stdout == b"hello\n"
