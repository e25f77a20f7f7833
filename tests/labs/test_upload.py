"""The upload of lab 36: the parts of its path that nobody can avoid are those of the solution, and each mistake alone exceeds the budget."""

import importlib

from pystack.labs.lab_36_post import grader, solution, world
from pystack.labs.lab_36_post.grader import BUDGET, LEAST, WHYS, parts
from pystack.sim.network import MS


def test_the_solution_has_no_more_waits_than_the_formulas_say():
    found = world.run(solution.upload)
    for file, time in parts(found).items():
        assert LEAST[file] <= time <= LEAST[file] + 15 * MS, file  # what the rate adds
    assert sum(LEAST.values()) <= found.path().elapsed < sum(LEAST.values()) + 15 * MS < BUDGET


def test_each_mistake_alone_exceeds_the_budget_by_its_own_part():
    for file in WHYS:
        module = importlib.import_module(f"pystack.labs.lab_36_post.{file.removesuffix('.py')}")
        found = world.run(module.upload)
        grader.stored_right(found)
        assert found.path().elapsed > BUDGET
        more = {name: time - LEAST[name] for name, time in parts(found).items()}
        assert max(more, key=more.get) == file and more[file] >= world.LOOKUP


def test_the_questions_and_answers_are_those_of_dns():
    message = importlib.import_module("dns.message")
    asked = message.from_wire(world.question(world.NAME, 7))
    assert (asked.id, str(asked.question[0])) == (7, "shop.test. IN A")
    timeline = world.run(solution.upload).timeline
    frames = [frame.data for frame in timeline.frames if frame.host == "resolver"]
    answer = message.from_wire(frames[0][42:])
    assert [str(item) for item in answer.answer] == [f"shop.test. 300 IN A {world.SHOP}"]
