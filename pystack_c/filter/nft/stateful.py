"""From nft's JSON to counters, limits and quotas, and back."""

from typing import Any

from pystack_c.filter.nft.connlimit import ConnLimit
from pystack_c.filter.nft.errors import NftError
from pystack_c.filter.nft.expressions import Path, number, only, word
from pystack_c.filter.nft.names import BYTE_UNITS, TIME_UNITS, sized
from pystack_c.filter.nft.statements import Counter, Limit, Quota

STATEFUL = ("counter", "limit", "quota", "ct count")
#: the kinds of objects with names
OBJECTS = ("counter", "limit", "quota")
_SECOND = 1_000_000_000
PERIODS = {name: count * _SECOND for name, count in TIME_UNITS.items()}
_BIG = 1 << 62
#: Linux's burst of a limit that names none (NFT_LIMIT_PKT_BURST_DEFAULT)
_BURST = 5


def stateful(name: str, body: Any, path: Path) -> Any:
    """Return a new counter, limit, quota or count of connections."""
    if name == "ct count":
        only(body, path, "val", "inv")
        return ConnLimit(number(body["val"], (*path, "val"), 0, 0xFFFFFFFF), bool(body.get("inv", False)))
    if name == "counter":
        body = body or {}
        only(body, path, "", "packets bytes")
        packets = number(body.get("packets", 0), (*path, "packets"), 0, _BIG)
        return Counter(packets, number(body.get("bytes", 0), (*path, "bytes"), 0, _BIG))
    return _limit(body, path) if name == "limit" else _quota(body, path)


def _limit(body: Any, path: Path) -> Limit:
    only(body, path, "rate per", "burst inv rate_unit burst_unit")
    units = {"packets": 0, **BYTE_UNITS}
    rate_unit = word(body.get("rate_unit", "packets"), (*path, "rate_unit"))
    burst_unit = word(body.get("burst_unit", ""), (*path, "burst_unit"))
    if rate_unit not in units:
        raise NftError(f"{rate_unit!r} is no unit", (*path, "rate_unit"))
    if word(body["per"], (*path, "per")) not in PERIODS:
        raise NftError(f"{body['per']!r} is no period", (*path, "per"))
    unit = units[rate_unit]
    rate = number(body["rate"], (*path, "rate"), 1, 1 << 32) * (unit or 1)
    burst = number(body.get("burst", 0), (*path, "burst"), 0, 0xFFFFFFFF)
    if unit:
        if burst_unit not in ("", *BYTE_UNITS):
            raise NftError(f"{burst_unit!r} is no unit", (*path, "burst_unit"))
        burst *= BYTE_UNITS.get(burst_unit, 1)
    elif burst == 0:
        burst = _BURST
    per = PERIODS[body["per"]]
    if not unit and (per // rate == 0 or per // rate * burst >= _BIG):
        raise NftError("the rate or the burst is too large", path)
    if unit and (per * (rate + burst) // rate >= _BIG or per // rate * 65536 >= _BIG):
        raise NftError("the rate is too small, or the burst too large", path)
    return Limit(rate, per, burst, bool(unit), bool(body.get("inv", False)))


def _quota(body: Any, path: Path) -> Quota:
    only(body, path, "val val_unit", "used used_unit inv")
    unit = word(body["val_unit"], (*path, "val_unit"))
    used_unit = word(body.get("used_unit", "bytes"), (*path, "used_unit"))
    if unit not in BYTE_UNITS or used_unit not in BYTE_UNITS:
        raise NftError("the units of a quota are bytes, kbytes and mbytes", path)
    octets = number(body["val"], (*path, "val"), 0, 1 << 40) * BYTE_UNITS[unit]
    used = number(body.get("used", 0), (*path, "used"), 0, 1 << 40) * BYTE_UNITS[used_unit]
    return Quota(octets, used, bool(body.get("inv", False)))


def counter_json(counter: Counter) -> dict[str, int]:
    """Return the numbers of a counter."""
    return {"packets": counter.packets, "bytes": counter.octets}


def limit_json(limit: Limit) -> dict[str, Any]:
    """Return a limit as nft's JSON shows it."""
    period = next(name for name, span in PERIODS.items() if span == limit.per)
    found: dict[str, Any] = {"rate": limit.rate, "burst": limit.burst, "per": period}
    if limit.of_bytes:
        found["rate"], unit = sized(limit.rate)
        found["burst"], burst_unit = sized(limit.burst)
        found |= {"rate_unit": unit, "burst_unit": burst_unit}
    if limit.over:
        found["inv"] = True
    return found


def quota_json(quota: Quota) -> dict[str, Any]:
    """Return a quota as nft's JSON shows it in a rule."""
    found: dict[str, Any] = {}
    found["val"], found["val_unit"] = sized(quota.octets)
    if quota.used:
        # Linux shows no more than the quota.
        found["used"], found["used_unit"] = sized(min(quota.used, quota.octets))
    if quota.over:
        found["inv"] = True
    return found


def shown(statement: Any) -> dict[str, Any]:
    """Return a counter, limit, quota or count of connections as nft's JSON shows it in a rule or an element."""
    if isinstance(statement, ConnLimit):
        return {"ct count": {"val": statement.most, **({"inv": True} if statement.over else {})}}
    if isinstance(statement, Counter):
        return {"counter": counter_json(statement)}
    return {"limit": limit_json(statement)} if isinstance(statement, Limit) else {"quota": quota_json(statement)}
