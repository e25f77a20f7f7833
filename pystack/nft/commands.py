"""Commands in a line of their own: add, create, delete, flush, list, rename."""

from typing import Any

from pystack.nft.errors import NftError
from pystack.nft.sets import Sets
from pystack.nft.source import place_of

_OBJECTS = ("counter", "quota", "limit")


class Commands(Sets):
    """Reads commands."""

    def do_add(self, node: Any, word: str = "add") -> None:
        """Read `add` with a block or a definition."""
        thing = node.children[0]
        getattr(self, f"do_{thing.data}")(thing, word)

    def do_create(self, node: Any) -> None:
        """Read `create`, which fails if the thing exists."""
        self.do_add(node, "create")

    def _make(self, node: Any, kind: str, word: str) -> None:
        body = self.spec(node.children[0], ("table", "name"))
        self.family, self.table = body["family"], body["table"]
        getattr(self, f"make_{kind}")(body, node.children[1], word)

    def do_set_def(self, node: Any, word: str = "add") -> None:
        """Read a set in a command of its own."""
        self._make(node, "set", word)

    def do_map_def(self, node: Any, word: str = "add") -> None:
        """Read a map in a command of its own."""
        self._make(node, "map", word)

    def do_counter_def(self, node: Any, word: str = "add") -> None:
        """Read a counter in a command of its own."""
        self._make(node, "counter", word)

    def do_quota_def(self, node: Any, word: str = "add") -> None:
        """Read a quota in a command of its own."""
        self._make(node, "quota", word)

    def do_limit_def(self, node: Any, word: str = "add") -> None:
        """Read a limit in a command of its own."""
        self._make(node, "limit", word)

    # ---- elements

    def do_add_element(self, node: Any, word: str = "add") -> None:
        """Read elements of a set or of a map. Raises NftError if there is no such set."""
        spec, elements = node.children
        body = self.spec(spec, ("table", "name"))
        self.family, self.table = body["family"], body["table"]
        entry = self.known.get((self.family, self.table, body["name"]))
        if entry is None:
            name = body["name"]
            raise NftError(f"the table {self.family} {self.table} has no set or map {name!r}", place_of(spec))
        if word == "delete" and entry[1] is not None:
            keys = [self.key(element, entry[0])[0] for element in self.elements(elements)]
            self.add("element", body | {"elem": keys}, word)
            return
        self.add("element", body | {"elem": self.members(elements, entry)}, word)

    def do_create_element(self, node: Any) -> None:
        """Read `create element`."""
        self.do_add_element(node, "create")

    def do_delete_element(self, node: Any) -> None:
        """Read `delete element`."""
        self.do_add_element(node, "delete")

    # ---- delete, flush, rename, list

    def do_delete(self, node: Any) -> None:
        """Read `delete`."""
        thing = node.children[0]
        kind = str(thing.data).removeprefix("delete_")
        if kind == "table_handle":
            family, handle = thing.children
            self.add("table", {"family": self.chosen(family, thing), "handle": self.number(handle)}, "delete")
        elif kind == "rule":
            body = self.spec(thing.children[0], ("table", "chain"))
            self.add("rule", body | {"handle": self.number(thing.children[1])}, "delete")
        else:
            places = ("name",) if kind == "table" else ("table", "name")
            self.add(kind, self.spec(thing.children[0], places), "delete")

    def do_flush(self, node: Any) -> None:
        """Read `flush`. After `flush ruleset`, no set is known."""
        thing = node.children[0]
        kind = str(thing.data).removeprefix("flush_")
        if kind == "ruleset":
            family = thing.children[0]
            body = None if family is None else {"family": self.chosen(family, thing)}
            self.append({"flush": {"ruleset": body}})
            gone = [key for key in self.known if body is None or key[0] == body["family"]]
            for key in gone:
                del self.known[key]
        else:
            self.add(kind, self.spec(thing.children[0], ("name",) if kind == "table" else ("table", "name")), "flush")

    def do_rename(self, node: Any) -> None:
        """Read `rename chain`."""
        spec, name = node.children
        self.add("chain", self.spec(spec, ("table", "name")) | {"newname": self.name(name)}, "rename")

    def do_list(self, node: Any) -> None:
        """Read `list`."""
        thing = node.children[0]
        kind = str(thing.data).removeprefix("list_")
        argument = thing.children[0]
        if kind == "ruleset" or kind.endswith("s"):
            body = None if argument is None else {"family": self.chosen(argument, thing)}
            self.append({"list": {kind: body}})
        else:
            self.add(kind, self.spec(argument, ("name",) if kind == "table" else ("table", "name")), "list")
