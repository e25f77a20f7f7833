"""The rate limits that reveal nothing (pystack_c/base/ratelimit.py)."""

from pystack_c.base.ratelimit import PeerBuckets, SharedBudget
from pystack_c.base.rng import Rng

S = 1_000_000_000


def allowances(seed, use, limit, count):
    """What a budget allows in so many periods."""
    rng, budget, found = Rng(seed), SharedBudget(use), []
    for n in range(count):
        taken = 0
        while budget.take(rng, 2 * S * n, limit):
            taken += 1
        found.append(taken)
    return found


def test_a_budget_is_spread_from_half_of_its_limit_to_one_and_a_half():
    found = allowances(1, 1, 100, 2000)
    assert set(found) == set(range(50, 150))
    assert 97 < sum(found) / len(found) < 103


def test_two_budgets_of_a_stack_and_those_of_two_stacks_have_nothing_in_common():
    one, other, elsewhere = allowances(1, 1, 1000, 50), allowances(1, 2, 1000, 50), allowances(2, 1, 1000, 50)
    assert sum(a == b for a, b in zip(one, other, strict=True)) < 5
    assert sum(a == b for a, b in zip(one, elsewhere, strict=True)) < 5
    assert one == allowances(1, 1, 1000, 50)


def test_a_period_has_no_fixed_length():
    rng, budget, lengths = Rng(1), SharedBudget(1), []
    for n in range(200):
        budget.take(rng, 10 * S * n, 5)
        lengths.append(budget.until - 10 * S * n)
    assert min(lengths) >= S // 2 and max(lengths) <= S * 3 // 2 and len(set(lengths)) == 200


def test_nothing_and_everything():
    rng = Rng(1)
    assert not any(SharedBudget(1).take(rng, n, 0) for n in range(10))
    assert all(SharedBudget(1).take(rng, 0, 0x7FFFFFFF) for _ in range(10))
    huge = SharedBudget(1)
    assert huge.take(rng, 0, 0x7FFFFFFE) and 1 << 30 <= huge.left < 3 << 30
    peers = PeerBuckets()
    assert all(peers.take(rng, 0, 1, 0, 1) for _ in range(10)) and not peers.by_addr


def test_the_budgets_leave_the_generator_alone():
    """Its next number is seen by others (as an IP ID); nobody shall tell by it whether a budget was drawn."""
    one, other = Rng(1), Rng(1)
    budget, peers = SharedBudget(1), PeerBuckets()
    for n in range(3000):
        budget.take(one, n * S, 5)
        peers.take(one, n, n, S, 6)
    assert one.u32() == other.u32()


def test_each_peer_has_its_own_bucket():
    rng, peers = Rng(1), PeerBuckets()
    assert [peers.take(rng, 0, 1, S, 3) for _ in range(5)] == [True] * 3 + [False] * 2
    assert peers.take(rng, 0, 2, S, 3)
    assert [peers.take(rng, 2 * S, 1, S, 3) for _ in range(3)] == [True] * 2 + [False]
    assert not peers.take(rng, 3 * S - 1, 1, S, 3) and peers.take(rng, 3 * S, 1, S, 3)
    # After the longest time it is full, no more.
    assert [peers.take(rng, 1 << 62, 1, 1, 3) for _ in range(4)] == [True] * 3 + [False]


def test_there_are_1024_and_a_random_one_gives_way():
    """So a peer that takes one place pushes another one out once in 1,024 times, and nobody chooses which."""
    rng, peers = Rng(1), PeerBuckets()
    for addr in range(1024):
        peers.take(rng, 0, addr, S, 3)
    gone = []
    for addr in range(5000, 5300):
        before = list(peers.by_addr)
        peers.take(rng, 0, addr, S, 3)
        (lost,) = [old for old in before if old not in peers.by_addr]
        gone.append(lost)
        assert len(peers.by_addr) == len(peers.places) == 1024
        assert all(peers.by_addr[bucket.addr] is bucket for bucket in peers.places)
    assert len(set(gone)) == 300 and gone != sorted(gone)
