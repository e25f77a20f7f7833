"""Sweeps: the same rows in any number of processes, and no finished row is lost or run again, whatever dies."""

import functools
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

import pystack
from pystack.sweeps import Sweep, SweepError, SweepRow
from tests.support.patience import until
from tests.sweeps import functions

ROOT = Path(__file__).resolve().parents[2]


def threads():
    """An executor that needs no new process."""
    return ThreadPoolExecutor(2)


def calls(path):
    """The calls that `functions.logged` noted: (n, seed)."""
    return [tuple(int(word) for word in line.split()) for line in Path(path).read_text().splitlines()]


# -- results -----------------------------------------------------------------------------------------------------------


def test_one_and_two_processes_give_the_same_rows():
    grid = {"loss": [0, 0.03], "algorithm": ["reno", "cubic"]}
    one = pystack.sweep(functions.transfer, grid, seeds=3, workers=1)
    two = pystack.sweep(functions.transfer, grid, seeds=3, workers=2)
    assert one.rows() == two.rows() and len(one) == 12 and not one.errors()
    assert [row.seed for row in one.rows()] == [0, 1, 2] * 4
    assert one.rows()[0].parameters == {"loss": 0, "algorithm": "reno"}
    # control: other seeds give other numbers where the seed matters, and the same where it does not
    other = pystack.sweep(functions.transfer, grid, seeds=[3, 4, 5], executor=threads()).rows()
    at = {
        (row.parameters["loss"], row.parameters["algorithm"], row.seed): row.result["at"] for row in one.rows() + other
    }
    assert at[0, "reno", 0] == at[0, "reno", 3]
    assert len({at[0.03, "reno", seed] for seed in range(6)}) > 3


def test_the_work_is_spread_over_processes(tmp_path):
    found = pystack.sweep(functions.meets, {"path": [str(tmp_path)], "n": range(2)}, seeds=1, workers=2)
    assert len({row.result for row in found.rows()} | {os.getpid()}) == 3


def test_results_are_json(tmp_path):
    found = pystack.sweep(functions.strange, {"n": list(range(12))}, 1, executor=threads(), file=tmp_path / "s.sqlite")
    rows = found.rows()
    assert [rows[n].result for n in (0, 1, 2)] == [1, {"a": [1, 2]}, None]
    assert [rows[n].result for n in (9, 10, 11)] == [float("inf"), 10**400, True]
    for n, text in (
        (3, "a object cannot be stored"),
        (4, "a dict with the key 1 cannot be stored"),
        (5, "a set cannot"),
        (6, "a complex cannot"),
        (7, "a bytes cannot"),
        (8, "nested more than 50 times"),
    ):
        assert text in rows[n].error and "strange" not in rows[n].error, rows[n]
    assert Sweep.load(tmp_path / "s.sqlite").rows() == rows
    ended = pystack.sweep(functions.transfer, {"loss": [0.0]}, [7], executor=threads()).rows()[0]
    assert ended.result["shares"] == [0.0, 0.5] and list(ended.result) == ["at", "lost", "shares"]


def test_numbers_of_numpy_are_numbers():
    numpy = pytest.importorskip("numpy")
    from pystack.sweeps.values import encode

    assert (
        encode({"a": numpy.float32(0.5), "b": numpy.int64(3), "c": numpy.arange(2)})
        == '{"a": 0.5, "b": 3, "c": [0, 1]}'
    )


def test_summaries_are_those_of_the_statistics_module():
    values = [5.0, 1.0, 4.0, 9.0, 2.0, 2.5, 7.0]
    rows = [SweepRow({"n": 1}, seed, {"x": {"y": value}}) for seed, value in enumerate(values)]
    rows += [SweepRow({"n": 2}, 0, error="ValueError: no"), SweepRow({"n": 3}, 0, {"x.y": 3})]
    one, two, three = Sweep("test", rows).summary("x.y")
    assert (one.count, one.min, one.max, one.errors) == (7, 1.0, 9.0, 0)
    assert one.mean == statistics.fmean(values) and one.median == statistics.median(values)
    quartiles = statistics.quantiles(values, n=4, method="inclusive")
    assert [one.percentile(percent) for percent in (25, 50, 75)] == pytest.approx(quartiles)
    assert (one.percentile(0), one.percentile(100)) == (1.0, 9.0)
    assert (two.count, two.errors) == (0, 1) and two.mean != two.mean
    assert three.values == (3.0,)  # a field may have a dot in its name
    assert Sweep("test", rows[:7]).summary(lambda result: 2 * result["x"]["y"], by=[])[0].max == 18
    with pytest.raises(KeyError, match="no field 'z': it has x"):
        Sweep("test", rows).summary("z")
    with pytest.raises(TypeError, match="and not a number"):
        Sweep("test", rows).summary("x")
    with pytest.raises(KeyError, match="no parameter 'm': there are n"):
        Sweep("test", rows).summary("x.y", by=["m"])
    with pytest.raises(ValueError, match="from 0 to 100"):
        one.percentile(101)


def test_the_table():
    rows = [SweepRow({"loss": 0.01, "algorithm": "reno"}, seed, seed * 1.5) for seed in range(3)]
    rows += [SweepRow({"loss": 0.1, "algorithm": "cubic"}, 0, error="E: x")]
    assert Sweep("t", rows).table().splitlines() == [
        "loss  algorithm  runs  errors  mean  min  median   p95  max",
        "0.01  reno          3       0   1.5    0     1.5  2.85    3",
        " 0.1  cubic         0       1     -    -       -     -    -",
    ]


def test_a_plot_is_the_same_file_each_time(tmp_path):
    pytest.importorskip("matplotlib")
    rows = [SweepRow({"kind": "a$b", "x": x, "by": by}, 0, {"v": x + by}) for x in range(3) for by in range(2)]
    rows.append(SweepRow({"kind": "a$b", "x": 9, "by": 0}, 0, error="E: x"))
    found = Sweep("test", rows)
    for name in ("1.svg", "2.svg"):
        found.plot(tmp_path / name, "v", x="x", by="by")
    text = (tmp_path / "1.svg").read_text()
    assert text == (tmp_path / "2.svg").read_text() and "by 1" in text
    found.plot(tmp_path / "3.svg", "v", x="kind")  # a parameter that is no number
    assert "a$b" in (tmp_path / "3.svg").read_text()
    with pytest.raises(ValueError, match="must end in .png, .svg, .pdf"):
        found.plot(tmp_path / "x.txt", "v")


def test_records_and_pandas():
    rows = [
        SweepRow({"n": 1}, 5, {"n": 2, "error": 3, "v": 4}),
        SweepRow({"n": 2}, 5, 7),
        SweepRow({"n": 3}, 5, error="E: x"),
    ]
    found = Sweep("test", rows)
    first, second, third = found.records()
    assert first == {"n": 1, "seed": 5, "result.n": 2, "result.error": 3, "v": 4, "error": "", "real_seconds": 0.0}
    assert second["result"] == 7 and third["error"] == "E: x"
    pandas = pytest.importorskip("pandas")
    assert isinstance(found.to_pandas(), pandas.DataFrame)


# -- the file ----------------------------------------------------------------------------------------------------------


def test_a_finished_row_never_runs_again(tmp_path):
    log, file = str(tmp_path / "log"), tmp_path / "r.sqlite"
    pystack.sweep(functions.logged, {"path": [log], "n": [1, 2]}, seeds=2, executor=threads(), file=file)
    found = pystack.sweep(functions.logged, {"n": [3, 2], "path": [log]}, seeds=[1, 2], executor=threads(), file=file)
    assert sorted(calls(log)) == [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (3, 1), (3, 2)]
    assert [(row.parameters["n"], row.seed, row.result) for row in found.rows()] == [
        (3, 1, 3), (3, 2, 6), (2, 1, 2), (2, 2, 4),
    ]  # fmt: skip
    assert [(row.parameters["n"], row.seed) for row in Sweep.load(file).rows()] == sorted(calls(log))


def test_keys_do_not_depend_on_the_order_of_hashes(tmp_path):
    """Each process has another order of sets and of strings' hashes, and names the parameters in another order."""
    code = (
        "import sys; from pystack.sweeps.values import tasks\n"
        "sets = [dict([('b', {'y': 1, 'x': [2, 'é']}), ('a', 0.1), ('c', None)][::int(sys.argv[1])])]\n"
        "print([task.key for task in tasks(sets, [-1, 2**70])])"
    )
    found = set()
    for seed, order in (("1", "1"), ("2", "-1"), ("77", "1")):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", code, order], env=env, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    # Files of earlier versions have these keys.
    assert found == {"['41aa3c9e3233421c85dc995afad6baaf', '5e8214b97e0ee3c27ab2a6873d178aa0']\n"}


def test_types_of_parameters_are_kept_apart():
    from pystack.sweeps.values import tasks

    assert len({task.key for task in tasks({"n": [1, 1.0, True, "1", None, [1], [[1]]]}, [0])}) == 7
    with pytest.raises(ValueError, match="there twice"):
        tasks({"n": [(1, 2), [1, 2]]}, 1)


def test_another_function_or_other_parameters_in_the_same_file(tmp_path):
    log, file = str(tmp_path / "log"), tmp_path / "r.sqlite"
    pystack.sweep(functions.logged, {"path": [log], "n": [1]}, 1, executor=threads(), file=file)
    # another function has rows of its own
    pystack.sweep(functions.fails, {"path": [log], "n": [1]}, 1, executor=threads(), file=file)
    assert len(calls(log)) == 2
    with pytest.raises(SweepError, match="has rows of .*:transfer with the parameters loss, and not algorithm, loss"):
        pystack.sweep(functions.transfer, {"loss": [0]}, 1, executor=threads(), file=file)
        pystack.sweep(functions.transfer, {"loss": [0], "algorithm": ["reno"]}, 1, executor=threads(), file=file)
    pystack.sweep(
        functions.transfer,
        {"loss": [0], "algorithm": ["reno"]},
        1,
        executor=threads(),
        file=file,
        name="with algorithm",
    )
    with pytest.raises(SweepError, match="there are tests.sweeps.functions:logged, .*, with algorithm"):
        Sweep.load(file)
    assert len(Sweep.load(file, "with algorithm")) == 1


def test_a_function_that_has_changed(tmp_path):
    file = tmp_path / "r.sqlite"
    first = functools.partial(functions.transfer, size=1000)
    second = functools.partial(functions.transfer, size=2000)
    pystack.sweep(first, {"loss": [0]}, 1, executor=threads(), file=file)
    pystack.sweep(first, {"loss": [0]}, 1, executor=threads(), file=file)  # control: it has not changed
    with pytest.raises(SweepError, match="transfer has changed since its rows"):
        pystack.sweep(second, {"loss": [0]}, 1, executor=threads(), file=file)
    for changed in (True, False):  # from then on, it is the known one
        pystack.sweep(second, {"loss": [0]}, 1, executor=threads(), file=file, changed=changed)


def test_files_that_are_no_sweeps(tmp_path):
    other = tmp_path / "other.sqlite"
    db = sqlite3.connect(other)
    db.execute("CREATE TABLE rows (a)")
    db.close()
    text = tmp_path / "text.sqlite"
    text.write_text("no database, but long enough to be looked at " * 100)
    newer = tmp_path / "newer.sqlite"
    pystack.sweep(functions.process, {"n": [1]}, 1, executor=threads(), file=newer)
    db = sqlite3.connect(newer)
    db.execute("PRAGMA user_version = 9")
    db.close()
    for path, message in (
        (other, "a database of another program"),
        (text, "is not a file of a sweep"),
        (newer, "another version of pystack"),
        (tmp_path, "unable to open"),
        (tmp_path / "none" / "x.sqlite", "unable to open"),
    ):
        with pytest.raises(SweepError, match=message):
            pystack.sweep(functions.process, {"n": [1]}, 1, executor=threads(), file=path)
    with pytest.raises(FileNotFoundError):
        Sweep.load(tmp_path / "none.sqlite")
    assert not (tmp_path / "none.sqlite").exists()
    db = sqlite3.connect(other)
    assert db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (1,)  # nothing was added
    db.close()


# -- errors ------------------------------------------------------------------------------------------------------------


def test_an_exception_is_kept_and_the_others_go_on(tmp_path):
    log, file = str(tmp_path / "log"), tmp_path / "r.sqlite"
    grid = {"path": [log], "n": [1, 2, 3]}
    seen = []
    found = pystack.sweep(functions.fails, grid, 1, executor=threads(), file=file, progress=seen.append)
    assert [row.result for row in found.rows()] == [1, None, 3]
    (row,) = found.errors()
    assert row.error == "LookupError: no 2 and a second line"
    assert "in fails" in row.traceback and "raise LookupError" in row.traceback
    assert [(one.done, one.total) for one in seen] == [(0, 3), (1, 3), (2, 3), (3, 3)] and seen[-1].errors == 1
    again = pystack.sweep(functions.fails, grid, 1, executor=threads(), file=file)
    assert again.rows() == found.rows() and len(calls(log)) == 3
    pystack.sweep(functions.fails, grid, 1, executor=threads(), file=file, retry_errors=True)
    assert calls(log)[3:] == [(2, 0)]


def test_odd_errors_and_results_are_kept(tmp_path):
    file = tmp_path / "r.sqlite"
    rows = pystack.sweep(functions.odd_errors, {"n": range(6)}, 1, workers=1, file=file).rows()
    assert rows[0].error == "ValueError: half of a pair \\ud800 and NUL \\x00"
    assert rows[1].error.endswith("Silent: <exception str() failed>")
    assert rows[2].error == "ExceptionGroup: two (2 sub-exceptions)" and "TypeError: other" in rows[2].traceback
    assert "ValueError: Exceeds the limit" in rows[3].error
    assert rows[4].result == "\ud800\0"
    assert len(rows[5].error) == 500 and len(rows[5].traceback) == 20_000
    assert Sweep.load(file).rows() == rows


def test_an_exception_of_the_progress_function_loses_no_row(tmp_path):
    log, file = str(tmp_path / "log"), tmp_path / "r.sqlite"

    def progress(told):
        if told.done == 3:
            raise InterruptedError("enough")

    grid = {"path": [log], "n": range(10)}
    with pytest.raises(InterruptedError):
        pystack.sweep(functions.logged, grid, 1, workers=1, file=file, progress=progress)
    assert len(Sweep.load(file)) >= 3
    assert len(pystack.sweep(functions.logged, grid, 1, workers=1, file=file)) == 10


def test_two_sweeps_at_once_share_a_file(tmp_path):
    """Both finish. They may do the same work, but no row is there twice."""
    log, file = tmp_path / "log", tmp_path / "r.sqlite"
    Path(f"{log}.go").touch()
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(log), str(file)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    both = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in "12"]
    for process in both:
        out, errors = process.communicate(timeout=100)
        assert out == "20\n", errors
    assert len(Sweep.load(file)) == 20


def test_a_function_that_ends_its_process_politely(tmp_path):
    assert pystack.sweep(functions.leaves, {"n": [1]}, 1, workers=1).rows()[0].error == "SystemExit: 3"


def no_seed(*, n):
    return n


async def coroutine(*, n, seed):
    return n


def generator(*, n, seed):
    yield n


@pytest.mark.parametrize(
    "error, message, change",
    [
        (TypeError, "needs a function, not 5", {"function": 5}),
        (TypeError, r"calls .*:no_seed\(n=..., seed=...\): got an unexpected keyword", {"function": no_seed}),
        (TypeError, "returns a coroutine", {"function": coroutine}),
        (TypeError, "returns a coroutine or a generator", {"function": generator}),
        (TypeError, "cannot be sent to worker processes", {"function": lambda *, n, seed: n}),
        (TypeError, r"parameter 'n' has a list of values, such as \['reno'\]", {"parameters": {"n": "reno"}}),
        (TypeError, r"parameter 'n' has a list of values, such as \[5\]", {"parameters": {"n": 5}}),
        (ValueError, "the sweep is empty", {"parameters": {"n": []}}),
        (ValueError, "the sweep is empty", {"parameters": []}),
        (TypeError, "parameters are a mapping", {"parameters": "n"}),
        (TypeError, "parameters are a mapping", {"parameters": 3}),
        (TypeError, "a set of parameters is a mapping", {"parameters": [5]}),
        (ValueError, "have the same names", {"parameters": [{"n": 1}, {"m": 1}]}),
        (ValueError, "there twice", {"parameters": [{"n": 1}, {"n": 1}]}),
        (ValueError, "cannot be named 'seed'", {"parameters": {"n": [1], "seed": [1]}}),
        (TypeError, "parameter 'n': a set cannot be stored", {"parameters": {"n": [{1}]}}),
        (ValueError, "parameter 'n': .*not JSON compliant", {"parameters": {"n": [float("nan")]}}),
        (TypeError, "the name of a parameter is a str", {"parameters": [{5: 1}]}),
        (ValueError, "from 1 to 10000000 seeds", {"seeds": 0}),
        (ValueError, "from 1 to 10000000 seeds", {"seeds": -3}),
        (ValueError, "from 1 to 10000000 seeds", {"seeds": 10**30}),
        (TypeError, "seeds are a number", {"seeds": 1.5}),
        (TypeError, "seeds are a number", {"seeds": True}),
        (TypeError, "seeds are a number", {"seeds": "12"}),
        (TypeError, "a seed is an int", {"seeds": [1.0]}),
        (ValueError, "the sweep is empty", {"seeds": []}),
        (ValueError, "there twice", {"seeds": [1, 1]}),
        (ValueError, "from 1 to 1024", {"workers": 0}),
        (ValueError, "from 1 to 1024", {"workers": 1.5}),
        (TypeError, "is no executor", {"executor": 5}),
    ],
)
def test_what_cannot_run_raises_at_once(error, message, change):
    arguments = {"function": functions.process, "parameters": {"n": [1]}, "seeds": 1, **change}
    with pytest.raises(error, match=message):
        pystack.sweep(**arguments)


# -- workers that die --------------------------------------------------------------------------------------------------


def test_a_worker_that_is_killed_loses_nothing(tmp_path):
    log = str(tmp_path / "log")
    found = pystack.sweep(functions.dies_once, {"path": [log], "n": range(8)}, seeds=[1, 2], workers=2)
    assert Path(f"{log}.died").exists()
    assert [row.result for row in found.rows()] == [n * seed for n in range(8) for seed in (1, 2)]
    assert set(calls(log)) == {(n, seed) for n in range(8) for seed in (1, 2)}


def test_a_task_that_always_ends_its_process_is_an_error(tmp_path):
    log, file = str(tmp_path / "log"), tmp_path / "r.sqlite"
    found = pystack.sweep(functions.dies, {"path": [log], "n": [1, 2, 3, 4]}, seeds=[1], workers=2, file=file)
    assert [row.result for row in found.rows()] == [1, None, 3, 4]
    assert "the worker process ended" in found.rows()[1].error
    assert len(Sweep.load(file).errors()) == 1


def test_an_executor_that_breaks_loses_no_finished_row(tmp_path):
    log, file = str(tmp_path / "log"), tmp_path / "r.sqlite"
    grid = {"path": [log], "n": [5, 6, 2, 7, 8]}
    spawned = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawned) as pool, pytest.raises(SweepError) as caught:
        pystack.sweep(functions.dies_once, grid, [1], executor=pool, file=file)
    assert "3 of 5 rows have not finished (BrokenProcessPool" in str(caught.value) or "have not finished" in str(
        caught.value
    )
    kept = [row.result for row in caught.value.sweep.rows()]
    assert kept == [5, 6] and caught.value.sweep.missing == 3
    with pytest.raises(SweepError, match="5 of 5|3 of 5"):  # a pool that was shut down
        pystack.sweep(functions.dies_once, grid, [1], executor=pool, file=file)
    with ProcessPoolExecutor(1, mp_context=spawned) as pool:
        found = pystack.sweep(functions.dies_once, grid, [1], executor=pool, file=file)
    assert [row.result for row in found.rows()] == [5, 6, 2, 7, 8]
    assert sorted(calls(log)) == [(2, 1), (5, 1), (6, 1), (7, 1), (8, 1)]  # each finished once


def test_a_pool_with_apply_async():
    with get_context("spawn").Pool(1) as pool:
        found = pystack.sweep(functions.transfer, {"loss": [0.03]}, 2, executor=pool)
    assert found.rows() == pystack.sweep(functions.transfer, {"loss": [0.03]}, 2, executor=threads()).rows()


SCRIPT = """
import sys, time
import pystack
from tests.sweeps import functions

def main():
    grid = {"path": [sys.argv[1]], "n": range(20)}
    print(len(pystack.sweep(functions.slow, grid, [1], workers=2, file=sys.argv[2])))

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_sweep_goes_on(tmp_path, how):
    log, file = tmp_path / "log", tmp_path / "r.sqlite"
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(log), str(file)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    first = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    # However late this process looks, the sweep has not ended then: its later calls wait until they may go on.
    assert until(lambda: log.exists() and len(calls(log)) >= 6 and len(Sweep.load(file)) >= 2)
    first.send_signal(how)
    Path(f"{log}.go").touch()
    _, errors = first.communicate(timeout=60)
    assert first.returncode != 0
    if how == signal.SIGINT:
        assert "KeyboardInterrupt" in errors
    # communicate() has returned, so the workers, which have the same standard error, have ended, too.
    before = calls(log)
    kept = len(Sweep.load(file))
    assert 2 <= kept <= len(before) < 20
    second = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert second.stdout == "20\n", second.stderr
    assert {n for n, _ in calls(log)} == set(range(20))
    assert len(calls(log)) == len(before) + 20 - kept  # no finished row ran again


def test_a_script_without_a_guard_says_so(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT.replace('if __name__ == "__main__":\n    main()', "main()"))
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "log"), str(tmp_path / "r.sqlite")]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and 'needs `if __name__ == "__main__":`' in done.stderr


def test_a_function_that_workers_cannot_import(tmp_path, monkeypatch):
    """It is known here, and in no file that a worker can find."""
    import types

    module = types.ModuleType("only_here")
    exec("def f(*, n, seed):\n    return n", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    with pytest.raises(
        SweepError, match="cannot import the function: ModuleNotFoundError: No module named 'only_here'"
    ):
        pystack.sweep(module.f, {"n": [1]}, 1, workers=1)


@pytest.mark.once
def test_a_dask_cluster_of_two_workers(tmp_path):
    """Two worker processes on this machine. One is killed in the middle, and Dask repeats its task."""
    pytest.importorskip("distributed")
    command = [sys.executable, "-m", "tests.sweeps.dask_run", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["workers"] == 2 and found["died"]
    assert found["results"] == [n * seed for n in range(6) for seed in (1, 2)]
    assert found["transfers"] == found["here"] and len(found["transfers"]) == 4
    assert found["pids"] >= 2
