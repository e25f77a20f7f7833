"""Statements of nftables that compare, count and decide (Linux nft_cmp, nft_lookup, nft_counter, nft_limit, nft_quota, nft_dynset)."""

from typing import Any

import pystack_c.const as C
from pystack_c.filter.nft.exprs import Expr
from pystack_c.filter.nft.sets import Element, NftSet
from pystack_c.filter.nft.view import View

# What a statement returns: C.NFT_CONTINUE (the next statement of the rule), C.NFT_BREAK (the rule does not match), or a
# verdict: C.NF_*, C.NFT_JUMP, C.NFT_GOTO, C.NFT_RETURN.

# Compare.op
EQ, NE, LT, GT, LE, GE, ANY, NONE = range(8)
# SetUpdate.op
ADD, UPDATE, DELETE = range(3)
_SECOND = 1_000_000_000
# numbers below this one are small enough for Expr.number
_SMALL = 1 << 62


class Statement:
    """The base of all statements."""

    def run(self, view: View) -> int:
        """Apply the statement to a packet."""
        raise NotImplementedError

    def steady(self) -> bool:
        """Return True if `run` changes nothing and depends only on what a memo compares (filter/nft/memos.py), or if it only counts."""
        return False

    def clone(self) -> Any:
        """Return a statement with the same parameters and a state of its own, for an element of a set."""
        raise NotImplementedError


class Step:
    """A statement of a rule. `following` is the next one, or None. Several rules may share a statement: a named counter."""

    def __init__(self, statement: Any, following: Any) -> None:
        self.statement = statement
        self.following = following


def steps(statements: list[Any]) -> Any:
    """Return the first Step of statements."""
    first: Step | None = None
    for item in reversed(statements):
        first = Step(item, first)
    return first


class Comparison(Statement):
    """Compare a value of the packet with a constant, or with another value."""

    def __init__(self, left: Expr, op: int, right: Any) -> None:
        self.left = left
        self.op = op
        self.right = right
        #: both sides are small numbers, so no object is made for the packet
        self.plain = type(right) is int and 0 <= right < _SMALL and left.narrow()
        self.limit = right if self.plain else 0

    def run(self, view: View) -> int:  # inherited
        """Continue if the comparison holds."""
        if self.plain:
            number = self.left.number(view)
            return C.NFT_CONTINUE if number >= 0 and _holds(self.op, number, self.limit) else C.NFT_BREAK
        found = self.left.value(view)
        right = self.right
        if isinstance(right, Expr):
            other: Expr = right
            right = other.value(view)
        if found is None or right is None:
            return C.NFT_BREAK
        # The numbers are those above; a comparison with a name of this module costs much more.
        op = self.op
        if op == 0:
            holds = found == right
        elif op == 1:
            holds = found != right
        elif op == 6:
            holds = (found & right) != 0
        elif op == 7:
            holds = (found & right) == 0
        elif op == 2:
            holds = found < right
        elif op == 3:
            holds = found > right
        elif op == 4:
            holds = found <= right
        else:
            holds = found >= right
        return C.NFT_CONTINUE if holds else C.NFT_BREAK

    def steady(self) -> bool:  # inherited
        """Return True if both sides are."""
        return self.left.steady() and (not isinstance(self.right, Expr) or self.right.steady())


def _same(key: Expr, table: NftSet) -> bool:
    """Return True if a lookup has the same result for the packets of a memo."""
    return key.steady() and not table.varies


def _holds(op: int, number: int, limit: int) -> bool:
    """Compare two small numbers."""
    if op == 0:
        return number == limit
    if op == 1:
        return number != limit
    if op == 6:
        return (number & limit) != 0
    if op == 7:
        return (number & limit) == 0
    if op == 2:
        return number < limit
    if op == 3:
        return number > limit
    return number <= limit if op == 4 else number >= limit


class Between(Statement):
    """Look whether a value lies in a range."""

    def __init__(self, left: Expr, low: Any, high: Any, inverted: bool) -> None:
        self.left = left
        self.low = low
        self.high = high
        self.inverted = inverted

    def run(self, view: View) -> int:  # inherited
        """Continue if it does."""
        found = self.left.value(view)
        if found is None:
            return C.NFT_BREAK
        return C.NFT_CONTINUE if (self.low <= found <= self.high) != self.inverted else C.NFT_BREAK

    def steady(self) -> bool:  # inherited
        """Return True if the value is."""
        return self.left.steady()


class SetLookup(Statement):
    """Look for a value in a set. The statements of the element run, too."""

    def __init__(self, key: Expr, table: NftSet, inverted: bool) -> None:
        self.key = key
        self.table = table
        self.inverted = inverted
        self.plain = key.narrow()

    def run(self, view: View) -> int:  # inherited
        """Continue if the value is in the set."""
        if self.plain and self.table.picks():
            number = self.key.number(view)
            if number < 0:
                return C.NFT_BREAK
            found: Element | None = self.table.pick(number, view.core.now)
        else:
            key = self.key.value(view)
            if key is None:
                return C.NFT_BREAK
            found = self.table.find(key, view.core.now)
        if (found is None) != self.inverted:
            return C.NFT_BREAK
        if found is None or found.statements is None:
            return C.NFT_CONTINUE
        return _each(found.statements, view)

    def steady(self) -> bool:  # inherited
        """Return True if the key and the set are."""
        return _same(self.key, self.table)


def _each(statements: list[Any], view: View) -> int:
    for item in statements:
        statement: Statement = item
        code = statement.run(view)
        if code != C.NFT_CONTINUE:
            return code
    return C.NFT_CONTINUE


class VerdictStatement(Statement):
    """End the rule with a verdict. `target` is the chain of a jump or goto."""

    def __init__(self, code: int, target: Any = None) -> None:
        self.code = code
        self.target = target

    def run(self, view: View) -> int:  # inherited
        """Return the verdict."""
        view.target = self.target
        return self.code

    def steady(self) -> bool:  # inherited
        """It is the same for all packets."""
        return True


class VerdictMap(Statement):
    """Look up the verdict in a map."""

    def __init__(self, key: Expr, table: NftSet) -> None:
        self.key = key
        self.table = table
        self.plain = key.narrow()

    def run(self, view: View) -> int:  # inherited
        """Return the verdict, or break if the map has none."""
        if self.plain and self.table.picks():
            number = self.key.number(view)
            if number < 0:
                return C.NFT_BREAK
            found: Element | None = self.table.pick(number, view.core.now)
        else:
            key = self.key.value(view)
            if key is None:
                return C.NFT_BREAK
            found = self.table.find(key, view.core.now)
        if found is None:
            return C.NFT_BREAK
        if found.statements is not None and _each(found.statements, view) != C.NFT_CONTINUE:
            return C.NFT_BREAK
        verdict: VerdictStatement = found.data
        view.target = verdict.target
        return verdict.code

    def steady(self) -> bool:  # inherited
        """Return True if the key and the map are."""
        return _same(self.key, self.table)


class ObjectMap(Statement):
    """Look up a named counter, limit or quota in a map, and apply it."""

    def __init__(self, key: Expr, table: NftSet) -> None:
        self.key = key
        self.table = table

    def run(self, view: View) -> int:  # inherited
        """Return what the object returns, or break if the map has none."""
        key = self.key.value(view)
        if key is None:
            return C.NFT_BREAK
        found: Element | None = self.table.find(key, view.core.now)
        if found is None:
            return C.NFT_BREAK
        statement: Statement = found.data.live
        return statement.run(view)


class Counter(Statement):
    """Count packets and bytes."""

    def __init__(self, packets: int = 0, octets: int = 0) -> None:
        self.packets = packets
        self.octets = octets

    def run(self, view: View) -> int:  # inherited
        """Count the packet."""
        self.packets += 1
        self.octets += view.length
        return C.NFT_CONTINUE

    def steady(self) -> bool:  # inherited
        """A memo counts on."""
        return True

    def clone(self) -> Any:  # inherited
        """Return a counter that starts at zero."""
        return Counter()


class Limit(Statement):
    """A token bucket, in units of time as Linux's (nft_limit). `per` is in ns; `burst` in packets or bytes."""

    def __init__(self, rate: int, per: int, burst: int, of_bytes: bool, over: bool) -> None:
        self.rate = rate
        self.per = per
        self.burst = burst
        self.of_bytes = of_bytes
        self.over = over
        self.most = per * (rate + burst) // rate if of_bytes else per // rate * burst
        self.tokens = self.most
        self.last = -1

    def run(self, view: View) -> int:  # inherited
        """Continue below the limit; with `over`, above it."""
        now = view.core.now
        if self.last < 0:
            self.last = now
        tokens = self.tokens + now - self.last
        if tokens > self.most:
            tokens = self.most
        self.last = now
        cost = self.per // self.rate
        if self.of_bytes:
            # In two parts, because the product may be too large for 64 bits.
            cost = cost * view.length + self.per % self.rate * view.length // self.rate
        if tokens >= cost:
            self.tokens = tokens - cost
            return C.NFT_BREAK if self.over else C.NFT_CONTINUE
        self.tokens = tokens
        return C.NFT_CONTINUE if self.over else C.NFT_BREAK

    def clone(self) -> Any:  # inherited
        """Return a limit with a full bucket."""
        return Limit(self.rate, self.per, self.burst, self.of_bytes, self.over)


class Quota(Statement):
    """A number of bytes (Linux nft_quota). Without `over`, it continues until they are used."""

    def __init__(self, octets: int, used: int, over: bool) -> None:
        self.octets = octets
        self.used = used
        self.over = over

    def run(self, view: View) -> int:  # inherited
        """Continue until the quota is used; with `over`, from then on."""
        self.used += view.length
        return C.NFT_CONTINUE if (self.used > self.octets) == self.over else C.NFT_BREAK

    def clone(self) -> Any:  # inherited
        """Return a quota of which nothing is used."""
        return Quota(self.octets, 0, self.over)


class SetUpdate(Statement):
    """Add, refresh or delete an element of a set or map (Linux nft_dynset). `timeout` in ns, 0 for that of the set."""

    def __init__(self, table: NftSet, key: Expr, op: int, timeout: int, templates: Any, data: Any = None) -> None:
        self.table = table
        self.key = key
        self.data = data
        self.op = op
        self.timeout = timeout
        self.templates = templates
        table.changing = table.varies = True

    def run(self, view: View) -> int:  # inherited
        """Continue if the element is there afterwards, and its statements continue."""
        key = self.key.value(view)
        if key is None:
            return C.NFT_BREAK
        if self.op == DELETE:
            self.table.remove(key)
            return C.NFT_CONTINUE
        now = view.core.now
        data = None  # object
        if self.data is not None:
            data = self.data.value(view)  # object
            if data is None:
                return C.NFT_BREAK
        fresh = self.table.find(key, now) is None
        element: Element | None = self.table.obtain(key, now)
        if element is None:
            return C.NFT_BREAK
        if fresh:
            element.data = data
            element.timeout = self.timeout if self.timeout > 0 else self.table.timeout
            if self.templates:
                element.statements = [item.clone() for item in self.templates]
            self.table.arm(element, now)
        elif self.op == UPDATE and element.timeout > 0:
            element.expires = now + element.timeout
        return C.NFT_CONTINUE if element.statements is None else _each(element.statements, view)
