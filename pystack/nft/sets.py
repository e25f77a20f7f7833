"""Sets, maps and objects with names, and their elements."""

from typing import Any

from pystack.nft import fields as f
from pystack.nft import intervals
from pystack.nft import types as t
from pystack.nft.blocks import SET_FLAGS, BlockReader, _comment
from pystack.nft.errors import RulesetError
from pystack.nft.source import place_of
from pystack_c.filter.nft.names import BYTE_UNITS


class SetReader(BlockReader):
    """Reads sets, maps and objects."""

    # ---- sets and maps

    def make_set(self, body: dict[str, Any], content: Any, word: str, kind: str = "set") -> None:
        """Read a set or a map."""
        parts: dict[str, Any] = {}
        self.block(content, lambda child: self.in_set(child, parts))
        if "key" not in parts:
            raise RulesetError(f"the {kind} has no type: type ipv4_addr, or typeof ip saddr", place_of(content))
        if (kind == "map") != ("data" in parts):
            raise RulesetError("a map has the types of keys and of data, key : data; a set has one", place_of(content))
        made = body | {"type": parts["type"]}
        if kind == "map":
            made["map"] = parts["map"]
        for name in ("policy", "flags", "timeout", "gc-interval", "size", "comment", "auto-merge", "stmt"):
            if name in parts:
                made[name] = parts[name]
        flags = parts.get("flags", [])
        if "auto-merge" in parts and "interval" not in flags:
            raise RulesetError("auto-merge works only with flags interval", place_of(content))
        if parts.get("data") in [t.DATA[name] for name in ("counter", "quota", "limit")] and "dynamic" in flags:
            raise RulesetError("packets cannot change a map of counters, quotas or limits", place_of(content))
        if ("timeout" in parts or "gc-interval" in parts) and "timeout" not in flags:
            made["flags"] = [flag for flag in SET_FLAGS if flag in (*flags, "timeout")]
        entry = (parts["key"], parts.get("data"), "interval" in flags)
        self.known[body["family"], body["table"], body["name"]] = entry
        if parts.get("elements") is not None:
            elements = self.members(parts["elements"], entry, parts.get("auto-merge", False))
            if elements:
                made["elem"] = elements
        self.add(kind, made, word)

    def make_map(self, body: dict[str, Any], content: Any, word: str) -> None:
        """Read a map."""
        self.make_set(body, content, word, "map")

    def in_set(self, node: Any, parts: dict[str, Any]) -> None:
        """Read one property of a set."""
        kind = node.data
        if kind == "set_type":
            parts["key"], parts["type"] = self.named(node.children[0], t.NAMED)
            if node.children[1] is not None:
                parts["data"], parts["map"] = self.named(node.children[1], t.DATA)
        elif kind == "typeof":
            self.typeof(node, parts)
        elif kind == "set_flags":
            tokens = [token for token in node.children[1:] if token != ","]
            given = [str(token) for token in tokens]
            for flag, token in zip(given, tokens, strict=True):
                if flag not in SET_FLAGS:
                    raise RulesetError(f"{flag} is not a flag of a set; {', '.join(SET_FLAGS)} are", place_of(token))
            parts["flags"] = [flag for flag in SET_FLAGS if flag in given]
        elif kind in ("set_timeout", "gc_interval"):
            parts["timeout" if kind == "set_timeout" else "gc-interval"] = t.seconds(str(node.children[0]))
        elif kind == "size":
            parts["size"] = self.number(node.children[0])
        elif kind == "set_policy":
            if str(node.children[0]) not in ("memory", "performance"):
                raise RulesetError("the policy of a set is memory or performance", place_of(node))
            # The kernel does not keep the choice that it makes by itself.
            if str(node.children[0]) == "memory":
                parts["policy"] = "memory"
        elif kind == "auto_merge":
            parts["auto-merge"] = True
        elif kind == "set_statements":
            parts["stmt"] = [self.template(one) for one in node.children]
        elif kind == "elements":
            parts["elements"] = node.children[0]
        else:
            parts["comment"] = _comment(node)

    def named(self, node: Any, table: dict[str, t.Type]) -> tuple[Any, Any]:
        """Return types that are given by name, and their JSON."""
        found = []
        for part in node.children:
            name = str(part.children[0])
            if name not in table:
                raise RulesetError(f"pystack has no type {name!r} here; it has: {', '.join(table)}", place_of(part))
            found.append(table[name])
        if len(found) == 1:
            return found[0], found[0].name
        if any(one.name in ("verdict", "counter", "quota", "limit") for one in found):
            raise RulesetError("a verdict or an object is no part of a concatenation", place_of(node))
        return found, [one.name for one in found]

    def typeof(self, node: Any, parts: dict[str, Any]) -> None:
        """Read types that are given by an example."""
        key, data = node.children
        example = self.selectors(key)
        parts["key"], parts["type"] = f.type_of(example), {"typeof": example}
        if data is None:
            return
        if data.data == "typeof_verdict":
            parts["data"], parts["map"] = t.VERDICT, "verdict"
            return
        if data.data == "object_kind":
            parts["map"] = str(data.children[0])
            parts["data"] = t.DATA[parts["map"]]
            return
        parts["data"] = f.type_of(self.selectors(data))
        kinds = parts["data"] if isinstance(parts["data"], list) else [parts["data"]]
        shown = [one.name for one in kinds]
        parts["map"] = shown[0] if len(shown) == 1 else shown

    def members(self, node: Any, entry: tuple[Any, Any, bool], merge: bool = False) -> list[Any]:
        """Return the elements of a named set or map, in the order in which nft lists them."""
        keys, data, interval = entry
        if data is not None:
            made = self.pairs(node, keys, None if data == t.VERDICT else data, interval)
        else:
            made = self.set(node, keys)
        if not interval and any(intervals.is_interval(one[0] if data is not None else one) for one in made):
            raise RulesetError("the set holds ranges and prefixes only with flags interval", place_of(node))
        if data is not None:
            return made
        if isinstance(keys, list) or keys.kind == "string" or not interval:
            return intervals.unique(made, keys, interval)
        if merge:
            return intervals.merged(made, keys)
        return intervals.checked(made, keys)

    # ---- objects

    def make_counter(self, body: dict[str, Any], content: Any, word: str) -> None:
        """Read a counter."""
        parts: dict[str, Any] = {"packets": 0, "bytes": 0}
        self.block(content, lambda child: self.in_object(child, parts, "counts"))
        self.add("counter", body | parts, word)

    def make_quota(self, body: dict[str, Any], content: Any, word: str) -> None:
        """Read a quota."""
        parts: dict[str, Any] = {}
        self.block(content, lambda child: self.in_object(child, parts, "quota_size"))
        parts.setdefault("bytes", 0)
        parts.setdefault("used", 0)
        parts.setdefault("inv", False)
        self.add("quota", body | parts, word)

    def make_limit(self, body: dict[str, Any], content: Any, word: str) -> None:
        """Read a limit."""
        parts: dict[str, Any] = {}
        self.block(content, lambda child: self.in_object(child, parts, "rate"))
        if "rate" not in parts:
            raise RulesetError("the limit has no rate: rate 10/second", place_of(content))
        self.add("limit", body | parts, word)

    def in_object(self, node: Any, parts: dict[str, Any], wanted: str) -> None:
        """Read one property of an object."""
        if node.data == "comment":
            parts["comment"] = _comment(node)
        elif node.data == "counts" and wanted == "counts":
            for name, token in zip(("packets", "bytes"), node.children, strict=True):
                parts[name] = self.number(token, high=(1 << 64) - 1)
        elif node.data == "quota_size" and wanted == "quota_size":
            quota = self.quota_body(node)
            parts["bytes"] = quota["val"] * BYTE_UNITS[quota["val_unit"]]
            parts["used"] = quota.get("used", 0) * BYTE_UNITS[quota.get("used_unit", "bytes")]
            parts["inv"] = quota.get("inv", False)
        elif str(node.data).endswith("_rate") and wanted == "rate":
            rate = self.rate(node)
            if rate.get("burst_unit") == "bytes" and not rate["burst"]:
                # An object shows no burst of bytes if it has none.
                del rate["burst_unit"], rate["burst"]
            parts |= rate
        else:
            raise RulesetError("this is no property of such an object", place_of(node))
