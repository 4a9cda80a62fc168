"""Options of several processes that make no sense together are refused before a run is made."""

from __future__ import annotations

import pytest

from vixtui.cli.processes import share_of_batch
from vixtui.runs.directory import list_runs

MEETING = ("--rdzv-endpoint", "127.0.0.1:29500")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--nproc", "3", "--batch-size", "2"), "2 pictures an update are too few for 3 processes"),
        (("--nproc", "2", "--nnodes", "2", "--batch-size", "3", *MEETING), "for 4 processes"),
        (("--nproc", "0"), "--nproc"),
        (("--nproc", "2", "--device", "cuda"), "no such device"),
        (("--node-rank", "1"), "no machine 1 of 1"),
        (("--nnodes", "2"), "machines meet at an address"),
        (("--nnodes", "2", "--rdzv-endpoint", "localhost"), "HOST:PORT"),
        (MEETING, "give --nnodes"),
        (("--folds", "2", "--nnodes", "2", *MEETING), "--folds, --nnodes"),
    ],
)
def test_options_that_make_no_sense_together_are_refused(vixtui, options, expected) -> None:
    result = vixtui("train", "digits", "--preset", "fnet:tiny", "--epochs", "1", *options)
    assert (result.code, result.out) == (2, "")
    assert expected in result.err
    assert list_runs() == []


def test_the_largest_share_of_a_batch_is_planned_for() -> None:
    assert [share_of_batch(64, 1000, processes) for processes in (1, 2, 3)] == [64, 32, 22]
