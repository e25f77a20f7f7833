"""The commands of nft's JSON: add, create, insert, replace, delete, destroy, flush (libnftables-json(5), "COMMAND OBJECTS")."""

from typing import Any

from pystack_c.filter.nft import declared
from pystack_c.filter.nft.chains import Chain, FilterRule
from pystack_c.filter.nft.elements import SetModel, insert, remove
from pystack_c.filter.nft.errors import NftError
from pystack_c.filter.nft.expressions import Path, number, only, word
from pystack_c.filter.nft.rules import RuleBuilder

#: the kinds of objects; sets and objects with names have the same methods for all of their kinds
_PLAIN = ("table", "chain", "rule", "element")
_SETS = ("set", "map")
_OBJECTS = ("counter", "quota", "limit")
_REFUSED = ("ct helper", "ct timeout", "ct expectation", "flowtable", "secmark", "synproxy", "tunnel")
#: bounds of a ruleset
TABLES_MAX, CHAINS_MAX, RULES_MAX, SETS_MAX = 64, 1024, 16384, 1024


class Register(dict[Any, Any]):
    """A dictionary that is a thing of its own, whatever is in it."""

    __hash__ = object.__hash__  # type: ignore[assignment]


class RulesetCommands:
    """The part of a Ruleset that applies commands. Each change leaves a step in `undo` that takes it back."""

    tables: Register
    undo: list[Any]
    core: Any
    packets: Any

    def __init__(self) -> None:
        self.chain_order = 0
        #: the things that the load at hand has changed
        self.touched: dict[Any, None] = {}
        #: the rules that it has made; their paths lead to its commands
        self.made: list[FilterRule] = []

    def new_table(self, family: str, name: str) -> Any:
        """Return a new table."""
        raise NotImplementedError

    def new_handle(self, table: Any) -> int:
        """Return the next handle of a table."""
        raise NotImplementedError

    def command(self, given: Any, path: Path) -> None:
        """Apply one command. An object without a command is added."""
        if not isinstance(given, dict) or len(given) != 1:
            raise NftError("a command is an object with one name", path)
        [(name, body)] = given.items()
        if name == "metainfo":
            if isinstance(body, dict) and body.get("json_schema_version", 1) != 1:
                raise NftError("only version 1 of nft's JSON is known", (*path, name))
            return
        if name not in ("add", "create", "insert", "replace", "delete", "destroy", "flush"):
            name, body = "add", given
            inner = path
        else:
            inner = (*path, name)
        if not isinstance(body, dict) or len(body) != 1:
            raise NftError("a command has an object with one name", inner)
        [(kind, what)] = body.items()
        where = (*inner, kind)
        if kind == "ruleset" and name == "flush":
            self._flush_ruleset()
            return
        if kind in _REFUSED:
            raise NftError(f"{kind} is not supported", where)
        if not isinstance(what, dict):
            raise NftError("an object is needed here", where)
        made = None
        if kind in _PLAIN:
            made = getattr(self, f"_{name}_{kind}", None)
        elif kind in _SETS + _OBJECTS:
            made = getattr(self, f"_{name}_{'set' if kind in _SETS else 'object'}", None)
        if made is None:
            raise NftError(f"{name} {kind} is not supported", where)
        made(what, where) if kind in _PLAIN else made(kind, what, where)

    # Finding things.

    def _table(self, what: dict[str, Any], path: Path, name: str = "table") -> Any:
        family = what.get("family", "ip")
        if family not in ("ip", "inet"):
            raise NftError(f"the family {family!r} is not supported, only ip and inet", (*path, "family"))
        if name not in what:
            raise NftError(f"{name!r} is missing", path)
        found = self.tables.get((family, word(what[name], (*path, name))))
        if found is None:
            raise NftError(f"there is no table {family} {what[name]}", (*path, name))
        return found

    def _has(self, what: dict[str, Any], path: Path, contents: str, key: Any) -> bool:
        """Return True if there are the table that a command names and the thing in it. `destroy` is content without them."""
        family, name = word(what.get("family", "ip"), (*path, "family")), word(what.get("table", ""), (*path, "table"))
        table = self.tables.get((family, name))
        return table is not None and key in getattr(table, contents)

    def _chain(self, what: dict[str, Any], path: Path, name: str) -> Any:
        table = self._table(what, path)
        if name not in what and "handle" in what:
            found = next((chain for chain in table.chains.values() if chain.handle == what["handle"]), None)
        else:
            found = table.chains.get(word(what.get(name, ""), (*path, name)))
        if found is None:
            raise NftError(f"there is no chain {what.get(name)!r} in the table", (*path, name))
        return found

    def _rule_at(self, chain: Chain, handle: Any, path: Path) -> int:
        for i, rule in enumerate(chain.rules):
            if rule.handle == handle:
                return i
        raise NftError(f"there is no rule with handle {handle!r} in the chain", (*path, "handle"))

    def _first(self, thing: Any) -> bool:
        """Return True if this load has not changed a thing before: one copy of it is enough to take the load back."""
        if thing in self.touched:
            return False
        self.touched[thing] = None
        return True

    def _put(self, mapping: Register, key: Any, value: Any) -> None:
        """Set a value of a dictionary, or delete it (None)."""
        if self._first(mapping):
            before = dict(mapping)

            def undo() -> None:
                mapping.clear()
                mapping.update(before)

            self.undo.append(undo)
        if value is None:
            del mapping[key]
        else:
            mapping[key] = value

    def _rules(self, chain: Chain) -> list[FilterRule]:
        """Return the rules of a chain as a list that may be changed."""
        if self._first(chain):
            before = chain.rules

            def undo() -> None:
                chain.rules = before

            self.undo.append(undo)
            chain.rules = list(before)
        return chain.rules

    # Tables.

    def _flush_ruleset(self) -> None:
        for key in list(self.tables):
            self._put(self.tables, key, None)

    def _add_table(self, what: dict[str, Any], path: Path, exclusive: bool = False) -> None:
        only(what, path, "name", "family handle flags comment")
        family, name = what.get("family", "ip"), what["name"]
        if family not in ("ip", "inet"):
            raise NftError(f"the family {family!r} is not supported, only ip and inet", (*path, "family"))
        declared.checked_name(name, (*path, "name"))
        table = self.tables.get((family, name))
        if table is not None:
            if exclusive:
                raise NftError("the table exists already", path)
            return
        if len(self.tables) >= TABLES_MAX:
            raise NftError(f"a ruleset may have {TABLES_MAX} tables", path)
        flags = what.get("flags", [])
        if flags not in ([], "dormant", ["dormant"]):
            raise NftError("only the flag dormant is supported", (*path, "flags"))
        table = self.new_table(family, name)
        table.comment = what.get("comment")
        table.dormant = bool(flags)
        self._put(self.tables, (family, name), table)

    def _create_table(self, what: dict[str, Any], path: Path) -> None:
        self._add_table(what, path, True)

    def _delete_table(self, what: dict[str, Any], path: Path) -> None:
        if "name" not in what and "handle" in what:
            what = {
                **what,
                "name": next((one.name for one in self.tables.values() if one.handle == what["handle"]), ""),
            }
        table = self._table(what, path, "name")
        self._put(self.tables, (table.family, table.name), None)

    def _destroy_table(self, what: dict[str, Any], path: Path) -> None:
        family, name = word(what.get("family", "ip"), (*path, "family")), word(what.get("name", ""), (*path, "name"))
        if (family, name) in self.tables:
            self._delete_table(what, path)

    def _flush_table(self, what: dict[str, Any], path: Path) -> None:
        for chain in self._table(what, path, "name").chains.values():
            self._rules(chain).clear()

    # Chains.

    def _add_chain(self, what: dict[str, Any], path: Path, exclusive: bool = False) -> None:
        only(what, path, "table name", "family handle newname type hook prio dev policy comment flags")
        for name in ("newname", "dev", "flags"):
            if name in what:
                raise NftError(f"{name!r} is not supported", (*path, name))
        table, name = self._table(what, path), what["name"]
        declared.checked_name(name, (*path, "name"))
        old = table.chains.get(name)
        if old is not None:
            if exclusive:
                raise NftError("the chain exists already", path)
            self._set_policy(old, what, path)
            return
        if len(table.chains) >= CHAINS_MAX:
            raise NftError(f"a table may have {CHAINS_MAX} chains", path)
        chain = Chain(table, name, 0)
        declared.base_chain(chain, what, path)
        chain.handle = self.new_handle(table)
        chain.comment = what.get("comment")
        chain.packets = self.packets
        self.chain_order += 1
        chain.order = self.chain_order
        self._put(table.chains, name, chain)

    def _set_policy(self, chain: Chain, what: dict[str, Any], path: Path) -> None:
        if "type" in what:
            other = Chain(chain.table, chain.name, 0)
            declared.base_chain(other, what, path)
            if (other.kind, other.place, other.priority) != (chain.kind, chain.place, chain.priority):
                raise NftError("the chain exists already, with another type, hook or priority", path)
        if "policy" not in what:
            return
        if not chain.kind:
            raise NftError("only a base chain has a policy", (*path, "policy"))
        before = chain.policy

        def undo() -> None:
            chain.policy = before

        self.undo.append(undo)
        chain.policy = declared.policy(what["policy"], (*path, "policy"))

    def _create_chain(self, what: dict[str, Any], path: Path) -> None:
        self._add_chain(what, path, True)

    def _delete_chain(self, what: dict[str, Any], path: Path) -> None:
        chain = self._chain(what, path, "name")
        if chain.rules:
            raise NftError("the chain still has rules", path)
        self._put(chain.table.chains, chain.name, None)

    def _destroy_chain(self, what: dict[str, Any], path: Path) -> None:
        if self._has(what, path, "chains", word(what.get("name", ""), (*path, "name"))):
            self._delete_chain(what, path)

    def _flush_chain(self, what: dict[str, Any], path: Path) -> None:
        self._rules(self._chain(what, path, "name")).clear()

    # Rules.

    def _make_rule(self, what: dict[str, Any], chain: Chain, path: Path) -> FilterRule:
        if len(chain.rules) >= RULES_MAX:
            raise NftError(f"a chain may have {RULES_MAX} rules", path)
        builder = RuleBuilder(self, chain.table)
        statements = builder.rule(what["expr"], (*path, "expr"))
        rule = FilterRule(self.new_handle(chain.table), statements, what["expr"], what.get("comment"))
        rule.uses = builder.uses
        rule.wants_ct = builder.wants_ct
        rule.nat_kinds = builder.nat_kinds
        rule.queues = builder.queues
        rule.rejects = builder.rejects
        rule.confined = builder.confined
        rule.path = path
        self.made.append(rule)
        return rule

    def _add_rule(self, what: dict[str, Any], path: Path, before: bool = False) -> None:
        only(what, path, "table chain expr", "family handle index comment")
        chain = self._chain(what, path, "chain")
        at = 0 if before else len(chain.rules)
        if "index" in what:
            at = number(what["index"], (*path, "index"), 0, max(0, len(chain.rules) - 1)) + (0 if before else 1)
        elif "handle" in what and any(rule.handle == what["handle"] for rule in chain.rules):
            at = self._rule_at(chain, what["handle"], path) + (0 if before else 1)
        rule = self._make_rule(what, chain, path)
        self._rules(chain).insert(at, rule)

    def _create_rule(self, what: dict[str, Any], path: Path) -> None:
        self._add_rule(what, path)

    def _insert_rule(self, what: dict[str, Any], path: Path) -> None:
        self._add_rule(what, path, True)

    def _replace_rule(self, what: dict[str, Any], path: Path) -> None:
        only(what, path, "table chain handle expr", "family comment index")
        chain = self._chain(what, path, "chain")
        at = self._rule_at(chain, what["handle"], path)
        rule = self._make_rule(what, chain, path)
        self._rules(chain)[at] = rule

    def _delete_rule(self, what: dict[str, Any], path: Path) -> None:
        only(what, path, "table chain handle", "family expr comment index")
        chain = self._chain(what, path, "chain")
        at = self._rule_at(chain, what["handle"], path)
        del self._rules(chain)[at]

    def _destroy_rule(self, what: dict[str, Any], path: Path) -> None:
        chain = self._chain(what, path, "chain")
        if any(rule.handle == what.get("handle") for rule in chain.rules):
            self._delete_rule(what, path)

    # Sets, maps and their elements.

    def _add_set(self, kind: str, what: dict[str, Any], path: Path, exclusive: bool = False) -> None:
        table = self._table(what, path)
        name = what.get("name")
        declared.checked_name(name, (*path, "name"))
        if name in table.sets:
            if exclusive:
                raise NftError("the set exists already", path)
            model = table.sets[name]
        else:
            if len(table.sets) >= SETS_MAX:
                raise NftError(f"a table may have {SETS_MAX} sets", path)
            model = declared.set_of(self, table, kind, what, path)
            self._put(table.sets, name, model)
        if "elem" in what:
            self._insert_elements(table, model, what["elem"], (*path, "elem"), False)

    def _create_set(self, kind: str, what: dict[str, Any], path: Path) -> None:
        self._add_set(kind, what, path, True)

    def _model(self, what: dict[str, Any], path: Path) -> SetModel:
        table = self._table(what, path)
        found: SetModel | None = table.sets.get(word(what.get("name", ""), (*path, "name")))
        if found is None and "name" not in what:
            found = next((one for one in table.sets.values() if one.handle == what.get("handle")), None)
        if found is None:
            raise NftError(f"there is no set {what.get('name')!r} in the table", (*path, "name"))
        return found

    def _delete_set(self, kind: str, what: dict[str, Any], path: Path) -> None:
        self._put(self._table(what, path).sets, self._model(what, path).name, None)

    def _destroy_set(self, kind: str, what: dict[str, Any], path: Path) -> None:
        if self._has(what, path, "sets", word(what.get("name", ""), (*path, "name"))):
            self._delete_set(kind, what, path)

    def _flush_set(self, kind: str, what: dict[str, Any], path: Path) -> None:
        model = self._model(what, path)
        self._keep_elements(model)
        model.live.elements = {}
        model.live.fresh = False

    def _keep_elements(self, model: SetModel) -> None:
        if not self._first(model):
            return
        live, before = model.live, dict(model.live.elements)

        def undo() -> None:
            live.elements = before
            live.fresh = False

        self.undo.append(undo)

    def _insert_elements(self, table: Any, model: SetModel, given: Any, path: Path, exclusive: bool) -> None:
        builder = RuleBuilder(self, table)
        items = given if isinstance(given, list) else [given]
        self._keep_elements(model)
        insert(
            model,
            [builder.element(one, model, (*path, i)) for i, one in enumerate(items)],
            path,
            self.core.now,
            exclusive,
        )

    def _add_element(self, what: dict[str, Any], path: Path, exclusive: bool = False) -> None:
        only(what, path, "table name elem", "family")
        self._insert_elements(
            self._table(what, path), self._model(what, path), what["elem"], (*path, "elem"), exclusive
        )

    def _create_element(self, what: dict[str, Any], path: Path) -> None:
        self._add_element(what, path, True)

    def _delete_element(self, what: dict[str, Any], path: Path) -> None:
        only(what, path, "table name elem", "family")
        table, model, at = self._table(what, path), self._model(what, path), (*path, "elem")
        items = what["elem"] if isinstance(what["elem"], list) else [what["elem"]]
        builder = RuleBuilder(self, table)
        found = []
        for i, one in enumerate(items):
            # An element of a map may be named by its key alone.
            if model.is_map and not isinstance(one, list):
                found.append(declared.key_only(builder, one, model, (*at, i)))
            else:
                found.append(builder.element(one, model, (*at, i)))
        self._keep_elements(model)
        remove(model, found, at)

    # Named counters, quotas and limits.

    def _add_object(self, kind: str, what: dict[str, Any], path: Path, exclusive: bool = False) -> None:
        table = self._table(what, path)
        name = what.get("name")
        declared.checked_name(name, (*path, "name"))
        if (kind, name) in table.objects:
            if exclusive:
                raise NftError("the object exists already", path)
            return
        self._put(table.objects, (kind, name), declared.object_of(self, table, kind, what, path))

    def _create_object(self, kind: str, what: dict[str, Any], path: Path) -> None:
        self._add_object(kind, what, path, True)

    def _delete_object(self, kind: str, what: dict[str, Any], path: Path) -> None:
        table = self._table(what, path)
        if (kind, word(what.get("name", ""), (*path, "name"))) not in table.objects:
            raise NftError(f"there is no {kind} {what.get('name')!r} in the table", (*path, "name"))
        self._put(table.objects, (kind, what["name"]), None)

    def _destroy_object(self, kind: str, what: dict[str, Any], path: Path) -> None:
        if self._has(what, path, "objects", (kind, word(what.get("name", ""), (*path, "name")))):
            self._delete_object(kind, what, path)
