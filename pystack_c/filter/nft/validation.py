"""Checks over a whole ruleset after its commands: jumps, what is in use, and where statements may stand (Linux nf_tables_validate)."""

from typing import Any

import pystack_c.const as C
from pystack_c.filter.nft.chains import DEPTH, Chain
from pystack_c.filter.nft.errors import NftError
from pystack_c.filter.nft.expressions import Path
from pystack_c.filter.nft.statements import VerdictMap, VerdictStatement

_NAT_PLACES = {
    C.NAT_SNAT: (C.HOOK_POSTROUTING, C.HOOK_INPUT),
    C.NAT_MASQUERADE: (C.HOOK_POSTROUTING,),
    C.NAT_DNAT: (C.HOOK_PREROUTING, C.HOOK_OUTPUT),
    C.NAT_REDIRECT: (C.HOOK_PREROUTING, C.HOOK_OUTPUT),
}
_NAMES = {C.NAT_SNAT: "snat", C.NAT_MASQUERADE: "masquerade", C.NAT_DNAT: "dnat", C.NAT_REDIRECT: "redirect"}


def check(ruleset: Any, path: Path) -> None:
    """Raise NftError if the ruleset cannot work."""
    for table in ruleset.tables.values():
        live: dict[Any, None] = dict.fromkeys((*table.chains.values(), *table.sets.values(), *table.objects.values()))
        depths: dict[Chain, int] = {}
        for chain in table.chains.values():
            for rule in chain.rules:
                for used in rule.uses:
                    if used not in live:
                        raise NftError(f"{used.name} is still in use by a rule", path)
            _depth(chain, depths, (), path)
        for model in table.sets.values():
            if model.verdicts:
                for element in model.live.elements.values():
                    if element.data.target is not None and element.data.target not in live:
                        raise NftError(f"{element.data.target.name} is still in use by the map {model.name}", path)
            if model.objects:
                for element in model.live.elements.values():
                    if element.data not in live:
                        raise NftError(f"{element.data.name} is still in use by the map {model.name}", path)
        for chain in table.chains.values():
            if chain.kind:
                _check_places(chain, path)


def targets(rule: Any) -> list[Chain]:
    """Return the chains to which a rule may jump."""
    found = []
    for statement in rule.statements:
        if isinstance(statement, VerdictStatement) and statement.target is not None:
            found.append(statement.target)
        elif isinstance(statement, VerdictMap):
            for element in statement.table.elements.values():
                if element.data.target is not None:
                    found.append(element.data.target)
    return found


def _depth(chain: Chain, depths: dict[Chain, int], above: tuple[Chain, ...], path: Path) -> int:
    """Return how deep the jumps from a chain go. Raises NftError for circles and for more than DEPTH levels."""
    if chain in above:
        raise NftError(f"the jumps to chain {chain.name} form a circle", path)
    if chain not in depths:
        if len(above) > DEPTH:
            raise NftError(f"the jumps are more than {DEPTH} levels deep", path)
        deepest = 0
        for rule in chain.rules:
            for target in targets(rule):
                deepest = max(deepest, 1 + _depth(target, depths, (*above, chain), path))
        depths[chain] = deepest
    if depths[chain] >= DEPTH and chain.kind:
        raise NftError(f"the jumps from chain {chain.name} are {DEPTH} levels deep or more", path)
    return depths[chain]


def _check_places(base: Chain, path: Path) -> None:
    """Raise NftError if a statement is impossible in a base chain, or in a chain to which it jumps."""
    seen = [base]
    for chain in seen:
        for rule in chain.rules:
            for kind in rule.nat_kinds:
                if base.kind != "nat" or base.place not in _NAT_PLACES[kind]:
                    why = f"{_NAMES[kind]} is impossible in chain {base.name}, for its type or its hook"
                    raise NftError(why, rule.path or path)
            for what, places in rule.confined:
                if base.place not in places:
                    raise NftError(f"{what} is impossible in chain {base.name}, for its hook", rule.path or path)
            if rule.rejects and base.place == C.HOOK_POSTROUTING:
                raise NftError(f"reject is impossible in chain {base.name}, which is at postrouting", rule.path or path)
            if rule.queues and (base.kind == "nat" or base.place in (C.HOOK_OUTPUT, C.HOOK_POSTROUTING)):
                raise NftError(
                    f"queue is not supported in chain {base.name}, for its type or its hook", rule.path or path
                )
            seen += [target for target in targets(rule) if target not in seen]
