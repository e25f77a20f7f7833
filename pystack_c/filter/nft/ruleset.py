"""The ruleset of one stack: loading nft's JSON, all or nothing, and showing it again (libnftables-json(5))."""

import json
from collections.abc import Callable
from typing import Any

import pystack_c.const as C
from pystack_c.core import Core
from pystack_c.filter import conntrack, nat
from pystack_c.filter.hooks import NAMES, attach, detach
from pystack_c.filter.nft.chains import Beginning, Chain, FilterPackets, FilterRule
from pystack_c.filter.nft.commands import Register, RulesetCommands
from pystack_c.filter.nft.errors import NftError
from pystack_c.filter.nft.expressions import Path, only
from pystack_c.filter.nft.listing import listing
from pystack_c.filter.nft.queueing import Queues
from pystack_c.filter.nft.validation import check

#: the first hooks of all, which begin with a new packet
FIRST = -(1 << 30)


class Table:
    """A table: chains, sets and named objects by name. Handles are numbered in each table."""

    def __init__(self, family: str, name: str, handle: int) -> None:
        self.family = family
        self.name = name
        self.handle = handle
        self.comment: Any = None
        self.dormant = False
        self.chains = Register()
        self.sets = Register()
        self.objects = Register()
        self.next_handle = 1


class Ruleset(RulesetCommands):
    """The tables of one stack. `load` changes them as `nft -j -f` does, and `dump` lists them as `nft -j list ruleset` does."""

    def __init__(self, core: Core, helper: Any = None) -> None:
        super().__init__()
        self.core = core
        self.packets = FilterPackets(core)
        self.packets.helper = helper
        self.packets.queues = Queues()
        self.tables = Register()
        self.next_table = 1
        #: what takes back the commands of a load, the newest last
        self.undo: list[Callable[[], None]] = []
        self.hooked: list[tuple[Chain, int, Any]] = []
        self.started = False
        self.beginning = Beginning(self.packets)
        #: whether this ruleset switched connection tracking on
        self.tracks = False

    def load(self, commands: Any) -> None:
        """Apply a list of commands, or an object {"nftables": [...]}. Raises NftError, and then nothing has changed."""
        path: Path = ()
        if isinstance(commands, dict):
            only(commands, (), "nftables")
            commands, path = commands["nftables"], ("nftables",)
        if not isinstance(commands, list):
            raise NftError("a list of commands is needed here", path)
        self.undo = []
        try:
            for i, command in enumerate(commands):
                self.command(command, (*path, i))
            check(self, path)
        except BaseException:
            for step in reversed(self.undo):
                step()
            raise
        finally:
            self.undo = []
            self.touched = {}
            self.packets.epoch += 1
            for rule in self.made:
                rule.path = ()
            self.made = []
        self._arrange()
        if self.core.probe is not None:
            chains = [chain for table in self.tables.values() for chain in table.chains.values()]
            rules = sum(len(chain.rules) for chain in chains)
            fields = {"tables": len(self.tables), "chains": len(chains), "rules": rules}
            self.core.emit(
                "nft.load", self.core.name, 0, "the application changed the ruleset", "Linux nf_tables", fields
            )

    def load_text(self, text: str) -> None:
        """Apply commands in the form of a JSON text."""
        try:
            commands = json.loads(text)
        except ValueError as exc:
            raise NftError(f"the text is no JSON: {exc}") from None
        except RecursionError:
            raise NftError("the JSON is nested too deeply") from None
        self.load(commands)

    def dump(self) -> list[dict[str, Any]]:
        """Return the ruleset as a list of objects, without the metainfo."""
        return listing(self.tables.values(), self.core.now)

    def log(self) -> list[dict[str, Any]]:
        """Return the newest lines of `log` statements."""
        names = ("time", "prefix", "level", "place", "packet")
        return [dict(zip(names, line, strict=True)) for line in self.packets.log]

    def new_table(self, family: str, name: str) -> Table:
        """Return a new table."""
        table = Table(family, name, self.next_table)
        self.next_table += 1
        return table

    def new_handle(self, table: Table) -> int:
        """Return the next handle of a table."""
        handle = table.next_handle
        table.next_handle += 1
        return handle

    # The hooks.

    def base_chains(self) -> list[Chain]:
        """Return the base chains that see packets, the oldest first."""
        found = [
            chain
            for table in self.tables.values()
            if not table.dormant
            for chain in table.chains.values()
            if chain.kind
        ]
        return sorted(found, key=lambda chain: chain.order)

    def _arrange(self) -> None:
        """Attach the base chains to the places of their hooks, and switch on what the rules need."""
        chains = self.base_chains()
        self._services(chains)
        wanted = [(chain, chain.place, chain.priority) for chain in chains if chain.kind != "nat"]
        if chains and not self.started:
            attach(self.core, C.HOOK_PREROUTING, self.beginning, FIRST)
            attach(self.core, C.HOOK_OUTPUT, self.beginning, FIRST)
        elif self.started and not chains:
            detach(self.core, C.HOOK_PREROUTING, self.beginning)
            detach(self.core, C.HOOK_OUTPUT, self.beginning)
        self.started = bool(chains)
        for item in list(self.hooked):
            if item not in wanted:
                detach(self.core, item[1], item[0])
                self.hooked.remove(item)
        for chain, place, priority in wanted:
            if (chain, place, priority) not in self.hooked:
                # As on Linux, the newest chain of a priority is the first.
                attach(self.core, place, chain, priority, True)
                self.hooked.append((chain, place, priority))

    def _services(self, chains: list[Chain]) -> None:
        """Switch connection tracking and translation on if a rule needs them, and off again if this ruleset needed them before."""
        core = self.core
        translating = [chain for chain in chains if chain.kind == "nat"]
        needed = bool(translating) or any(
            rule.wants_ct for table in self.tables.values() for chain in table.chains.values() for rule in chain.rules
        )
        if needed and core.conntrack is None:
            conntrack.enable(core)
            self.tracks = True
        if translating:
            nat.enable(core)
        if core.nat is not None:
            for place in range(len(NAMES)):
                mine = [chain for chain in translating if chain.place == place]
                mine.sort(key=lambda chain: (chain.priority, -chain.order))
                core.nat.chains[place] = mine
            if not translating and self.tracks and not any(core.nat.rules):
                nat.disable(core)
        if not needed and self.tracks:
            conntrack.disable(core)
            self.tracks = False


__all__ = ["NftError", "FilterRule", "Ruleset", "Table"]
