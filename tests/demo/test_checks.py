"""What the demo says where something is missing."""

import errno
import os
import subprocess

import pytest

from pystack.demo import checks


def test_missing_commands_name_the_packages(monkeypatch):
    monkeypatch.setattr(checks.shutil, "which", lambda name, path: None if name in ("curl", "ping") else "/bin/" + name)
    with pytest.raises(checks.MissingRequirement) as info:
        checks.check_commands()
    assert "missing: ping, curl" in str(info.value)
    assert str(info.value).endswith("apt-get install -y --no-install-recommends curl iputils-ping")


def test_nothing_missing(monkeypatch):
    monkeypatch.setattr(checks.shutil, "which", lambda name, path: "/bin/" + name)
    checks.check_commands()


@pytest.mark.parametrize(
    ("code", "told"), [(errno.ENOENT, "modprobe tun"), (errno.EACCES, "chmod 666"), (errno.ENODEV, "modprobe tun")]
)
def test_tun_that_cannot_be_opened(monkeypatch, code, told):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(checks.os, "open", refuse)
    with pytest.raises(checks.MissingRequirement, match=told):
        checks.check_tun()


def finished(status: int, stderr: str):
    return lambda *_, **__: subprocess.CompletedProcess([], status, "", stderr)


def test_no_user_namespaces(monkeypatch):
    monkeypatch.setattr(checks.subprocess, "run", finished(1, "unshare: unshare failed: Operation not permitted\n"))
    knobs = {"/proc/sys/user/max_user_namespaces": "0"}
    monkeypatch.setattr(checks, "_read", lambda path: knobs.get(path, ""))
    with pytest.raises(checks.MissingRequirement) as info:
        checks.check_user_namespace()
    assert "Operation not permitted" in str(info.value)
    assert "sysctl user.max_user_namespaces=15000" in str(info.value)
    assert "apparmor" not in str(info.value)


def test_a_second_user_namespace_is_not_tried(monkeypatch):
    monkeypatch.setenv(checks.INNER, "1")
    monkeypatch.setattr(checks, "check_commands", lambda: None)
    monkeypatch.setattr(checks, "check_tun", lambda: None)
    monkeypatch.setattr(checks, "may_unshare", lambda: False)
    with pytest.raises(checks.MissingRequirement, match="even inside"):
        checks.ready([])
