"""From nft's JSON to sets, maps and their elements, and back."""

from typing import Any

from pystack_c.filter.nft import datatypes as t
from pystack_c.filter.nft.chains import verdict_text
from pystack_c.filter.nft.connlimit import ConnLimit
from pystack_c.filter.nft.datatypes import DataType
from pystack_c.filter.nft.errors import NftError
from pystack_c.filter.nft.expressions import ExpressionBuilder, Path, number, only, word
from pystack_c.filter.nft.sets import CROSSING_MAX, Element, MapLookup, NftSet
from pystack_c.filter.nft.stateful import OBJECTS, STATEFUL, shown, stateful

_SECOND = 1_000_000_000


class SetModel:
    """A set or map of a table. `live` is what packets use. `data_types` is empty for sets and for verdict maps."""

    def __init__(self, name: str, handle: int, types: list[DataType], live: NftSet) -> None:
        self.name = name
        self.handle = handle
        self.types = types
        self.live = live
        plain = all(kind.kind not in ("name", "time") for kind in types)
        live.narrow = len(types) == 1 and types[0].bits <= 32 and plain
        if (
            plain
            and 8 * sum(kind.size for kind in types) <= 62
            and (live.narrow or not live.interval or len(types) > 1)
        ):
            live.sizes = tuple(kind.size for kind in types)
        self.is_map = False
        self.verdicts = False
        #: the kind of the objects that a map has as data: "counter", "limit", "quota", or ""
        self.objects = ""
        self.data_types: list[DataType] = []
        self.flags: list[str] = []
        self.auto_merge = False
        self.anonymous = False
        #: what to show of the declaration: type, map, policy, comment, gc-interval, stmt, size
        self.declared: dict[str, Any] = {}
        self.templates: list[Any] = []

    # JSON.

    def show_key(self, key: Any, last: Any) -> Any:
        """Return a key as nft's JSON shows it."""
        if len(self.types) == 1:
            return self.types[0].show_interval(key, last)
        parts = zip(self.types, key, last, strict=True)
        return {"concat": [kind.show_interval(low, high) for kind, low, high in parts]}

    def show_data(self, data: Any) -> Any:
        """Return the data of a map as nft's JSON shows them."""
        if self.verdicts:
            return verdict_json(data)
        if self.objects:
            return data.name
        if len(self.data_types) > 1:
            return {"concat": [_show(kind, one) for kind, one in zip(self.data_types, data, strict=True)]}
        return _show(self.data_types[0], data)

    def show_element(self, element: Element, now: int) -> Any:
        """Return an element as nft's JSON shows it."""
        val = self.show_key(element.key, element.last)
        more: dict[str, Any] = {}
        if element.expires >= 0:
            if element.timeout != self.live.timeout:
                more["timeout"] = element.timeout // _SECOND
            more["expires"] = max(0, element.expires - now) // _SECOND
        if element.comment is not None:
            more["comment"] = element.comment
        for one in element.statements or ():
            more |= shown(one)
        if more:
            val = {"elem": {"val": val, **more}}
        return [val, self.show_data(element.data)] if self.is_map else val

    def show_elements(self, now: int) -> list[Any]:
        """Return all elements."""
        return [self.show_element(element, now) for element in self.live.all(now)]


def _show(kind: DataType, data: Any) -> Any:
    low, high = data if isinstance(data, tuple) else (data, data)
    return kind.show_interval(low, high)


def verdict_json(verdict: Any) -> dict[str, Any]:
    """Return a verdict as nft's JSON shows it."""
    name = verdict_text(verdict.code, verdict.target).partition(" ")[0]
    return {name: None if verdict.target is None else {"target": verdict.target.name}}


class Elements(ExpressionBuilder):
    """Makes sets and their elements. A RuleBuilder is one."""

    def __init__(self, ruleset: Any, table: Any) -> None:
        super().__init__()
        self.ruleset = ruleset
        self.table = table
        self.packets = ruleset.packets
        self.uses: list[Any] = []
        self.nat_kinds: list[int] = []
        self.queues = False
        self.rejects = False
        #: the expressions that work only at some places: (text, places)
        self.confined: list[tuple[str, tuple[int, ...]]] = []

    def verdict(self, given: Any, path: Path) -> Any:
        """Return a verdict."""
        raise NotImplementedError

    # What a name refers to.

    def chain(self, name: Any, path: Path) -> Any:
        """Return a chain of the table by name."""
        found = self.table.chains.get(word(name, path))
        if found is None:
            raise NftError(f"there is no chain {name!r} in this table", path)
        if found.kind:
            raise NftError(f"{name} is a base chain, and rules cannot jump to one", path)
        self.uses.append(found)
        return found

    def named(self, kind: str, name: Any, path: Path) -> Any:
        """Return a named counter, limit or quota (declared.Named)."""
        found = self.table.objects.get((kind, word(name, path)))
        if found is None:
            raise NftError(f"there is no {kind} {name!r} in this table", path)
        self.uses.append(found)
        return found

    def model(self, name: Any, path: Path) -> SetModel:
        """Return a set or map of the table by its name with @."""
        found: SetModel | None = None
        if isinstance(name, str) and name.startswith("@"):
            found = self.table.sets.get(name[1:])
        if found is None:
            raise NftError(f"there is no set or map {name!r} in this table", path)
        self.uses.append(found)
        return found

    def set_for(self, given: Any, types: list[DataType], path: Path, data: Any = None) -> SetModel:
        """Return a named set for keys of these types, or make an anonymous one.

        `data`: "verdict", the kind of a map's objects, or the wanted types of a map.
        """
        objects = data if data in OBJECTS else ""
        if isinstance(given, str):
            found = self.model(given, path)
            if [kind.size for kind in found.types] != [kind.size for kind in types]:
                raise NftError(f"{found.name} has keys of another type", path)
            kinds = (found.is_map, found.verdicts, found.objects)
            if kinds != (data is not None, data == "verdict", objects):
                raise NftError(f"{found.name} is of another kind (set, map, verdict map or map of objects)", path)
            return found
        only(given, path, "set")
        items = given["set"] if isinstance(given["set"], list) else [given["set"]]
        model = SetModel("__anonymous", self.ruleset.new_handle(self.table), types, NftSet("", True, len(types)))
        model.anonymous = model.auto_merge = True
        model.is_map = data is not None
        model.verdicts = data == "verdict"
        model.objects = objects
        if model.is_map and not model.verdicts and not objects:
            model.data_types = self._data_types(items, data, (*path, "set"))
        made = [self.element(one, model, (*path, "set", i)) for i, one in enumerate(items)]
        model.live.interval = any(one.key != one.last for one in made)
        insert(model, made, path, self.ruleset.core.now, None)
        model.live.arrange()
        return model

    def _data_types(self, items: list[Any], wanted: list[DataType], path: Path) -> list[DataType]:
        """Return the types of the data of an anonymous map: what the context wants, or an address, perhaps with a port."""
        if wanted:
            return wanted
        first = items[0][1] if items and isinstance(items[0], list) and len(items[0]) == 2 else None
        if isinstance(first, dict) and "concat" in first:
            return [t.ADDRESS, t.SERVICE]
        return [t.ADDRESS]

    def _map(self, body: Any, path: Path, wanted: list[DataType] | None) -> Any:
        only(body, path, "key data")
        key, types = self.expression(body["key"], (*path, "key"))
        model = self.set_for(body["data"], types, (*path, "data"), wanted or [])
        return MapLookup(key, model.live), model.data_types

    # Elements.

    def key(self, given: Any, model: SetModel, path: Path) -> tuple[Any, Any]:
        """Return the first and the last key of an element."""
        if len(model.types) == 1:
            return model.types[0].interval(given, path)
        only(given, path, "concat")
        parts = given["concat"]
        if not isinstance(parts, list) or len(parts) != len(model.types):
            raise NftError(f"the keys of this set have {len(model.types)} parts", path)
        ends = [
            kind.interval(one, (*path, "concat", i))
            for i, (kind, one) in enumerate(zip(model.types, parts, strict=True))
        ]
        return tuple(low for low, _ in ends), tuple(high for _, high in ends)

    def data(self, given: Any, model: SetModel, path: Path) -> Any:
        """Return the data of an element of a map."""
        if model.verdicts:
            return self.verdict(given, path)
        if model.objects:
            return self.named(model.objects, given, path)
        if len(model.data_types) == 1:
            low, high = model.data_types[0].interval(given, path)
            return low if low == high else (low, high)
        only(given, path, "concat")
        parts = given["concat"]
        if not isinstance(parts, list) or len(parts) != len(model.data_types):
            raise NftError(f"the data of this map have {len(model.data_types)} parts", path)
        pairs = zip(model.data_types, parts, strict=True)
        ends = [kind.interval(one, (*path, "concat", i)) for i, (kind, one) in enumerate(pairs)]
        return tuple(low if low == high else (low, high) for low, high in ends)

    def element(self, given: Any, model: SetModel, path: Path) -> Element:
        """Return a new element. Its time begins when it is inserted."""
        data = None
        if model.is_map:
            if not isinstance(given, list) or len(given) != 2:
                raise NftError("an element of a map is a list of its key and its data", path)
            data = self.data(given[1], model, (*path, 1))
            given, path = given[0], (*path, 0)
        more: dict[str, Any] = {}
        if isinstance(given, dict) and "elem" in given:
            path = (*path, "elem")
            more = only(given["elem"], path, "val", "timeout expires comment " + " ".join(STATEFUL), ("ct count",))
            given = more["val"]
            path = (*path, "val") if more else path
        element = Element(*self.key(given, model, path), data)
        if not model.anonymous and not model.live.interval and element.key != element.last:
            raise NftError("the set has no flag interval", path)
        timeout = number(more.get("timeout", 0), path, 0, 1 << 32) * _SECOND
        if timeout and "timeout" not in model.flags:
            raise NftError("the set has no flag timeout", path)
        element.timeout = timeout or model.live.timeout
        if "expires" in more:
            element.expires = number(more["expires"], path, 0, 1 << 32) * _SECOND
        element.comment = more.get("comment")
        found = [stateful(name, more[name], (*path, name)) for name in STATEFUL if name in more]
        element.statements = found or [one.clone() for one in model.templates] or None
        return element

    def all_templates(self, given: Any, path: Path) -> list[Any]:
        """Return the counters, limits, quotas and counts of connections that each new element of a set gets."""
        if not isinstance(given, list):
            raise NftError("a list of statements is needed here", path)
        made = [self.template(one, (*path, i)) for i, one in enumerate(given)]
        self.wants_ct = self.wants_ct or any(isinstance(one, ConnLimit) for one in made)
        return made

    def template(self, given: Any, path: Path) -> Any:
        """Return one of them."""
        if not isinstance(given, dict) or len(given) != 1 or next(iter(given)) not in STATEFUL:
            raise NftError("only counter, limit, quota and ct count are supported here", path)
        [(name, body)] = given.items()
        return stateful(name, body, (*path, name))


# Changing a set. The callers undo the changes if a later command fails.


def insert(model: SetModel, made: list[Element], path: Path, now: int, exclusive: Any) -> None:
    """Add elements. Overlaps are merged if the set allows it, and refused otherwise. An element that is there already stays."""
    live = model.live
    size = min(live.size, CROSSING_MAX) if live.interval and live.fields > 1 else live.size
    for i, element in enumerate(made):
        place = (element.key, element.last) if live.interval else element.key
        old = live.elements.get(place)
        if old is not None and (old.expires < 0 or old.expires > now):
            if exclusive or (model.is_map and not same_data(old.data, element.data)):
                raise NftError("the element exists already", (*path, i))
            continue
        left = element.expires
        element.expires = -1
        live.put(element)
        live.arm(element, now)
        if left >= 0:
            element.expires = now + left
        if len(live.elements) > size:
            raise NftError(f"the set may have {size} elements", (*path, i))
    if live.interval and live.fields == 1:
        _merge(model, path)


def same_data(one: Any, other: Any) -> bool:
    """Return True if two elements of a map have the same data."""
    code = getattr(one, "code", None)
    return one == other if code is None else code == other.code and one.target is other.target


def _merge(model: SetModel, path: Path) -> None:
    """Merge intervals that overlap or touch, or refuse overlaps."""
    live = model.live
    found: list[Element] = []
    for element in sorted(live.elements.values(), key=lambda one: (one.key, one.last)):
        if not found or _apart(found[-1].last, element.key):
            found.append(element)
            continue
        before = found[-1]
        overlaps = element.key <= before.last
        if not model.auto_merge or model.is_map:
            if overlaps:
                raise NftError("intervals overlap", path)
            found.append(element)
            continue
        if not overlaps and model.anonymous:
            found.append(element)
            continue
        merged = Element(before.key, max(before.last, element.last))
        merged.statements, merged.comment = before.statements, before.comment
        found[-1] = merged
    live.elements = {(one.key, one.last): one for one in found}
    live.fresh = False


def _apart(last: Any, first: Any) -> bool:
    return last < first if isinstance(last, str) else last + 1 < first


def remove(model: SetModel, made: list[Element], path: Path) -> None:
    """Remove elements. With auto-merge, a part of an interval may be removed."""
    live = model.live
    for i, element in enumerate(made):
        place = (element.key, element.last) if live.interval else element.key
        if place in live.elements:
            live.remove(place)
        elif not (model.auto_merge and live.fields == 1 and _cut(live, element)):
            raise NftError("there is no such element", (*path, i))


def _cut(live: NftSet, element: Element) -> bool:
    for old in list(live.elements.values()):
        if old.key <= element.key and element.last <= old.last and not isinstance(old.key, str):
            live.remove((old.key, old.last))
            if old.key < element.key:
                live.put(Element(old.key, element.key - 1))
            if element.last < old.last:
                live.put(Element(element.last + 1, old.last))
            return True
    return False
