"""Names that `define` gives to values, and the bound for the work that they can cause."""

from typing import Any

from pystack.nft.errors import NftError
from pystack.nft.names import RESERVED
from pystack.nft.source import place_of

#: values that one load may read, those that come from variables counted each time
MAX_VALUES = 200_000
#: names of one block; a definition copies those that the block has
MAX_NAMES = 256


class Scope:
    """The names of one block. An inner block sees those of the outer blocks."""

    def __init__(self, outer: "Scope | None" = None):
        self.outer = outer
        self.values: dict[str, Any] = {}

    def frozen(self) -> "Scope":
        """Return the scope as it is now. A scope is copied only when it changes (define), so this costs nothing."""
        copy = Scope(None if self.outer is None else self.outer.frozen())
        copy.values = self.values
        return copy

    def find(self, name: str) -> Any:
        """Return the value of a name, or None."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.outer
        return None

    def define(self, node: Any) -> None:
        """Do what a `define`, `redefine` or `undefine` says. Raises NftError."""
        if len(self.values) >= MAX_NAMES:
            raise NftError(f"a block defines more than {MAX_NAMES} names", place_of(node))
        name = str(node.children[0])
        known = name in self.values
        if name in RESERVED:
            raise NftError(f"{name!r} is a word of the language, so it cannot be defined", place_of(node.children[0]))
        if node.data == "define" and known:
            raise NftError(f"the name {name!r} is defined already; redefine changes it", place_of(node.children[0]))
        if node.data == "undefine":
            self.values = {key: value for key, value in self.values.items() if key != name}
        else:
            # A new dictionary, because frozen() scopes share the old one.
            self.values = {**self.values, name: self.replaced(node.children[1])}

    def resolve(self, node: Any) -> Any:
        """Return the value that a node `$name` means. Raises NftError."""
        name = str(node.children[0])
        found = self.find(name)
        if found is None:
            raise NftError(f"the name {name!r} is not defined", place_of(node))
        return found

    def replaced(self, node: Any) -> Any:
        """Return a tree with the variables' values in the places of the variables, so that no value refers to itself."""
        if not hasattr(node, "children"):
            return node
        if node.data == "variable":
            return self.resolve(node)
        children = [self.replaced(child) for child in node.children]
        if all(new is old for new, old in zip(children, node.children, strict=True)):
            return node
        return type(node)(node.data, children, node.meta)


class Budget:
    """Counts the values that are read, and refuses more than MAX_VALUES."""

    def __init__(self) -> None:
        self.left = MAX_VALUES

    def spend(self, node: Any) -> None:
        """Count one value. Raises NftError if there were too many."""
        self.left -= 1
        if self.left < 0:
            raise NftError(f"the rules have more than {MAX_VALUES} values", place_of(node))
