"""Sweeps on a Dask cluster of two worker processes on loopback. Prints what it found as JSON, which test_sweep.py judges."""

import json
import sys
from pathlib import Path

from distributed import Client, LocalCluster

import pystack
from pystack.sweeps import SweepError
from tests.sweeps import functions


def until_finished(*args, **options):
    """Sweep once more if Dask loses a task.

    If a worker ends in the moment in which Dask hands a result over, Dask's executor takes the task's new state for its result, and
    its future fails with "too many values to unpack (expected 3)". The documented way on is the same call.
    """
    try:
        return pystack.sweep(*args, **options)
    except SweepError:
        return pystack.sweep(*args, **options)


def main(folder):
    log = f"{folder}/log"
    file = f"{folder}/r.sqlite"
    meeting = f"{folder}/meeting"
    Path(meeting).mkdir()
    grid = {"loss": [0, 0.03]}
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None,
            local_directory=folder,
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        executor = client.get_executor()
        transfers = pystack.sweep(functions.transfer, grid, 2, executor=executor, file=file)
        processes = pystack.sweep(functions.meets, {"path": [meeting], "n": range(2)}, 1, executor=executor)
        survived = until_finished(
            functions.dies_once, {"path": [log], "n": range(6)}, [1, 2], executor=executor, file=file
        )
        workers = len(cluster.workers)
    here = pystack.sweep(functions.transfer, grid, 2, workers=1)
    print(
        json.dumps(
            {
                "workers": workers,
                "died": Path(f"{log}.died").exists(),
                "results": [row.result for row in survived.rows()],
                "transfers": [row.result for row in transfers.rows()],
                "here": [row.result for row in here.rows()],
                "pids": len({row.result for row in processes.rows()}),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
