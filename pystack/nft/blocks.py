"""Commands and blocks: tables, chains, sets, maps, objects and rules, as commands in nft's JSON."""

from collections.abc import Callable
from typing import Any

from pystack.nft import types as t
from pystack.nft.errors import Place, RulesetError
from pystack.nft.listing import RuleForm
from pystack.nft.matches import MatchReader
from pystack.nft.names import PRIORITIES, PRIORITY_HOOKS
from pystack.nft.scope import Definitions
from pystack.nft.source import Source, place_of
from pystack_c.filter.nft.names import CHAIN_TYPES

FAMILIES = ("ip", "inet")
#: as in the kernel (NFT_RULE_MAXEXPRS)
MAX_STATEMENTS = 128
SET_FLAGS = ("constant", "interval", "timeout", "dynamic")


class BlockReader(MatchReader):
    """Reads the commands of one load.

    `known` has the types of sets and maps that exist already: (family, table, name) -> (key, data or None, interval).
    """

    def __init__(self, source: Source, known: dict[tuple[str, str, str], tuple[Any, Any, bool]]):
        super().__init__()
        self.source = source
        self.known = known
        self.file = ""
        self.words = ""
        self.depth = 0
        self.table = ""
        self.commands: list[Any] = []
        #: where a command comes from, by its id(): the file, its text, and the place
        self.origins: dict[int, tuple[str, str, Place | None]] = {}
        self.place: Place | None = None
        #: rules of the table that is being read. They are read at its end, because they may name what comes behind them.
        self.later: list[Callable[[], None]] = []

    # ---- texts and blocks

    def text(self, text: str, name: str, start: str, each: Callable[[Any], None]) -> None:
        """Read a text, and call `each` for each of its parts. Raises RulesetError with the place in this text."""
        outer = self.file, self.words
        self.file, self.words = name, text
        self.depth += 1
        try:
            for child in self.source.tree(text, name, start).children:
                self.item(child, start, each)
        except RulesetError as error:
            raise error.locate(name, text) from None
        finally:
            self.depth -= 1
            self.file, self.words = outer

    def item(self, node: Any, start: str, each: Callable[[Any], None]) -> None:
        """Read one part of a block: a definition, an include, or what `each` reads."""
        self.place = place_of(node)
        try:
            if node.data in ("define", "redefine", "undefine"):
                self.scope.define(node)
            elif node.data == "include":
                pattern = str(node.children[0])[1:-1]
                for path, text in self.source.included(pattern, self.file, self.depth):
                    self.text(text, path, start, each)
            else:
                each(node)
        except RulesetError as error:
            if error.place is None:
                error.place = place_of(node)
            raise

    def block(self, node: Any, each: Callable[[Any], None]) -> None:
        """Read the parts of a block, whose definitions end with it."""
        if node is None:
            return
        self.scope = Definitions(self.scope)
        try:
            for child in node.children:
                self.item(child, str(node.data), each)
        finally:
            assert self.scope.outer is not None
            self.scope = self.scope.outer

    def add(self, kind: str, body: dict[str, Any], word: str = "add") -> None:
        """Add a command."""
        self.append({word: {kind: body}})

    def append(self, command: Any) -> None:
        """Add a command, and note where it comes from."""
        self.commands.append(command)
        self.origins[id(command)] = self.file, self.words, self.place

    # ---- names

    def chosen(self, family: Any, node: Any) -> str:
        """Return a family. It is ip if none is given. Raises RulesetError for those that pystack does not have."""
        text = "ip" if family is None else str(family.children[0])
        if text not in FAMILIES:
            raise RulesetError(f"pystack has the families ip and inet, not {text}", place_of(family))
        return text

    def spec(self, node: Any, names_: tuple[str, ...]) -> dict[str, Any]:
        """Return the family and the names of a table, a chain or an object."""
        family, *rest = node.children
        found = {"family": self.chosen(family, node)}
        for name, one in zip(names_, rest, strict=True):
            found[name] = self.name(one)
        return found

    # ---- tables and chains

    def command(self, node: Any) -> None:
        """Read a command."""
        getattr(self, f"do_{node.data}")(node)

    def do_table_block(self, node: Any, word: str = "add") -> None:
        """Read a table with its content."""
        spec, content = node.children
        body = self.spec(spec, ("name",))
        self.family, self.table = body["family"], body["name"]
        outer, self.later = self.later, []
        at = len(self.commands)
        self.add("table", body, word)
        self.block(content, lambda child: self.in_table(child, body))
        # A map may name chains and objects that stand behind it.
        self.commands[at:] = sorted(self.commands[at:], key=_rank)
        self.finish(outer)

    def in_table(self, node: Any, table: dict[str, Any]) -> None:
        """Read one part of a table."""
        if node.data == "comment":
            table["comment"] = _comment(node)
        elif node.data == "table_flags":
            flags = [str(flag) for flag in node.children[1:] if flag != ","]
            if flags != ["dormant"]:
                raise RulesetError(f"pystack knows the flag dormant of a table, not {', '.join(flags)}", place_of(node))
            table["flags"] = "dormant"
        elif node.data == "chain_item_block":
            self.chain(self.inside(node.children[0]), node.children[1])
        else:
            kind = str(node.data).removesuffix("_block")
            getattr(self, f"make_{kind}")(self.inside(node.children[0]), node.children[1], "add")

    def inside(self, name: Any) -> dict[str, Any]:
        """Return the beginning of a body for something in the table that is being read."""
        return {"family": self.family, "table": self.table, "name": self.name(name)}

    def do_chain_def(self, node: Any, word: str = "add") -> None:
        """Read a chain in a command of its own."""
        body = self.spec(node.children[0], ("table", "name"))
        self.family, self.table = body["family"], body["table"]
        outer, self.later = self.later, []
        self.chain(body, node.children[1], word)
        self.finish(outer)

    def finish(self, outer: list[Callable[[], None]]) -> None:
        """Read the rules that were left for the end of a table."""
        rules, self.later = self.later, outer
        for read in rules:
            read()

    def chain(self, body: dict[str, Any], content: Any, word: str = "add") -> None:
        """Read a chain. Its rules come after all chains of its table, because they may jump to any of them."""
        self.add("chain", body, word)
        self.block(content, lambda child: self.in_chain(child, body))
        if "policy" in body and "hook" not in body:
            raise RulesetError("a chain has a policy only if it has a hook", place_of(content))
        if "hook" in body:
            body.setdefault("policy", "accept")
        if body.get("type") == "nat" and body["prio"] <= -200:
            raise RulesetError("a chain of the type nat needs a priority above -200", place_of(content))

    def in_chain(self, node: Any, body: dict[str, Any]) -> None:
        """Read one part of a chain."""
        if node.data == "rule":
            rule = {"family": body["family"], "table": body["table"], "chain": body["name"]}
            self.later.append(self.deferred(node, rule))
        elif node.data == "comment":
            body["comment"] = _comment(node)
        elif node.data == "hook":
            self.hook(node, body)
        else:
            word = node.children[0]
            if getattr(word, "data", "") == "variable":
                word = self.scope.resolve(word).children[0]
            if str(word) not in ("accept", "drop"):
                raise RulesetError("the policy of a chain is accept or drop", place_of(node))
            body["policy"] = str(word)

    def hook(self, node: Any, body: dict[str, Any]) -> None:
        """Read a chain's type, hook and priority."""
        kind, hook, device, priority = node.children
        if str(kind) not in CHAIN_TYPES:
            raise RulesetError(f"{kind} is not a type of chain; types are {', '.join(CHAIN_TYPES)}", place_of(kind))
        if str(hook) in ("ingress", "egress") or device is not None:
            raise RulesetError("pystack has no chains at a device (ingress, egress)", place_of(hook))
        if str(hook) not in CHAIN_TYPES[str(kind)]:
            known = ", ".join(CHAIN_TYPES[str(kind)])
            raise RulesetError(f"a chain of the type {kind} has one of the hooks {known}, not {hook}", place_of(hook))
        body |= {"type": str(kind), "hook": str(hook), "prio": self.priority(priority, str(hook))}

    def priority(self, node: Any, hook: str) -> int:
        """Return the number of a priority."""
        if node.data == "priority_variable":
            value = self.scope.resolve(node.children[0])
            if value.data == "negative":
                return self.base(f"-{value.children[0]}", hook, node)
            return self.base(str(value.children[0]), hook, node)
        parts = [str(child) for child in node.children]
        if node.data == "negative_priority":
            return self.base(f"-{parts[0]}", hook, node)
        number = self.base(parts[0], hook, node)
        if len(parts) == 1:
            return number
        change = self.number(node.children[1], high=0x7FFFFFFF)
        return number + change if node.data == "priority_plus" else number - change

    def base(self, word: str, hook: str, node: Any) -> int:
        """Return the number of a priority's name, or of a number."""
        if word in PRIORITIES:
            allowed = PRIORITY_HOOKS.get(word, (hook,))
            if hook not in allowed:
                raise RulesetError(f"the priority {word} is for the hooks {', '.join(allowed)}", place_of(node))
            return PRIORITIES[word]
        digits = word.removeprefix("-")
        if not digits[:1].isdigit():
            raise RulesetError(f"{word!r} is not a priority; {', '.join(PRIORITIES)} are", place_of(node))
        number = t.integer_of(digits) * (-1 if word.startswith("-") else 1)
        if not -(1 << 31) <= number < 1 << 31:
            raise RulesetError("a priority is a number with 32 bits", place_of(node))
        return number

    # ---- rules

    def deferred(self, node: Any, body: dict[str, Any]) -> Callable[[], None]:
        """Return a call that reads a rule with the names and in the file of now."""
        scope, file, words = self.scope, self.file, self.words
        # What a redefine changes later must not change this rule.
        scope = scope.frozen()

        def read() -> None:
            outer = self.scope, self.file, self.words
            self.scope, self.file, self.words, self.place = scope, file, words, place_of(node)
            try:
                self.add("rule", body | self.rule(node))
            except RulesetError as error:
                raise error.locate(file, words) from None
            finally:
                self.scope, self.file, self.words = outer

        return read

    def rule(self, node: Any) -> dict[str, Any]:
        """Return the statements and the comment of a rule, as nft lists them."""
        *statements, comment = node.children
        if len(statements) > MAX_STATEMENTS:
            raise RulesetError(f"a rule has at most {MAX_STATEMENTS} statements", place_of(node))
        places = [place_of(one) for one in statements]
        made = [self.placed(one) for one in statements]
        body: dict[str, Any] = {} if comment is None else {"comment": _comment(comment)}
        return body | {"expr": RuleForm(self.family, places, self.data_of).listed(made)}

    def placed(self, node: Any) -> Any:
        """Return a statement; an error without a place gets that of the statement."""
        try:
            return self.statement(node)
        except RulesetError as error:
            if error.place is None:
                error.place = place_of(node)
            raise

    def do_add_rule(self, node: Any, word: str = "add") -> None:
        """Read a rule in a command of its own."""
        spec, position, rule = node.children
        body = self.spec(spec, ("table", "chain"))
        self.family, self.table = body["family"], body["table"]
        if position is not None:
            kind, number = (str(child) for child in position.children)
            body["index" if kind == "index" else "handle"] = t.integer_of(number)
        self.add("rule", body | self.rule(rule), word)

    def do_insert_rule(self, node: Any) -> None:
        """Read `insert rule`."""
        self.do_add_rule(node, "insert")

    def do_replace_rule(self, node: Any) -> None:
        """Read `replace rule`."""
        spec, handle, rule = node.children
        body = self.spec(spec, ("table", "chain"))
        self.family, self.table = body["family"], body["table"]
        self.add("rule", body | {"handle": self.number(handle)} | self.rule(rule), "replace")

    def uses(self, name: str, place: Place | None) -> None:
        """Check that a set which a rule names exists."""
        if (self.family, self.table, name) not in self.known:
            raise RulesetError(
                f"the table {self.family} {self.table} has no set or map {name!r} before this line", place
            )

    def keys_of(self, name: str) -> Any:
        """Return the type of the keys of a set or a map."""
        return self.known[self.family, self.table, name][0]

    def data_of(self, name: str) -> Any:
        """Return the type of the data of a map, or None."""
        return self.known.get((self.family, self.table, name), (None, None, False))[1]


def _rank(command: Any) -> int:
    """Return the place of a command among those of its table."""
    if "add" not in command:
        return 0
    kind = next(iter(command["add"]))
    # Sets and maps stay in the order of the text.
    return ("table", "chain", "counter", "quota", "limit", "set").index("set" if kind == "map" else kind)


def _comment(node: Any) -> str:
    """Return the text of a comment. Raises RulesetError if it is too long."""
    text = str(node.children[0]).strip('"')
    if len(text.encode()) > 127:
        raise RulesetError("a comment has at most 127 bytes", place_of(node))
    return text
