"""The devices beside TAP that the options --link and --packet ask for."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from pystack.style import echo

if TYPE_CHECKING:
    from pystack.cli.common import Settings
    from pystack.kernel.netns import Namespace
    from pystack.phy.device import Device

OPTIONS = [
    click.option(
        "--link",
        metavar="PATH[,PEER]",
        help="Instead of a TAP: a cable to another stack on this machine, without root. This end listens at PATH, the other at"
        " PEER; with PATH alone, both ends get the same option.",
    ),
    click.option(
        "--packet",
        metavar="IFNAME",
        help="Instead of a TAP: this interface of the kernel, in --netns if given. It must be up."
        " The kernel answers, too, if it has an address there.",
    ),
]


def named(settings: "Settings") -> "Settings":
    """Check the options against each other, and name the device as it will be called."""
    if settings.link is None and settings.packet is None:
        return settings
    if settings.link is not None and not settings.link.partition(",")[0]:
        raise click.UsageError("--link needs the path of a file")
    option = "--link" if settings.packet is None else "--packet"
    wrong = {
        "--link": settings.link is not None and settings.packet is not None,
        "--tun": settings.tun,
        "--kernel-address": settings.kernel_address is not None,
        "--no-offload": settings.no_offload,
        "--netns": settings.link is not None and settings.netns is not None,
        "--mtu": settings.packet is not None and settings.mtu is not None,
    }
    for other, together in wrong.items():
        if together:
            raise click.UsageError(f"{option} cannot be used together with {other}")
    return replace(settings, device=settings.packet or "link0")


def make(settings: "Settings", netns: "Namespace | None", mac: int | None) -> "Device | None":
    """Return the device, or None for a TAP."""
    if settings.link is not None:
        from pystack.phy.pair import UnixDevice

        path, _, peer = settings.link.partition(",")
        options: dict[str, Any] = {} if settings.mtu is None else {"mtu": settings.mtu}
        try:
            return UnixDevice(path, peer or None, settings.device, mac=mac, **options)
        except ValueError as error:
            raise click.UsageError(f"--link {settings.link}: {error}") from None
    if settings.packet is not None:
        from pystack.kernel import netns as ns
        from pystack.phy.packet import PacketDevice

        device = PacketDevice(settings.packet, netns, mac=mac)
        if not ns.is_up(settings.packet, netns):
            echo(f"pystack: {ns.down_text(settings.packet)}", err=True)
        return device
    return None
