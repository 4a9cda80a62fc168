from __future__ import annotations

import sys
from collections.abc import Iterator

import psutil
import pytest
import torch

from vixtui.engine.inputs import Normalise, enough_threads, measure
from vixtui.runs.weights import Preprocessing


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
def test_few_values_are_left_to_one_thread_and_many_are_shared() -> None:
    with enough_threads(1000):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3
    with enough_threads(10**8):
        assert torch.get_num_threads() == 3


@pytest.mark.usefixtures("three_threads")
def test_after_a_failure_all_threads_are_back() -> None:
    with pytest.raises(RuntimeError), enough_threads(1000):
        raise RuntimeError("memory ran out")
    assert torch.get_num_threads() == 3


def test_normalised_pixels_have_the_mean_and_spread_asked_for_and_are_left_as_they_were() -> None:
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    normalise = Normalise(
        Preprocessing(mean=(0, 0.2, 0.5), std=(1, 0.1, 0.25)), torch.device("cpu")
    )

    result = normalise.pixels(images)

    assert result.flatten().tolist() == pytest.approx([0, 0, 2], abs=1e-6)
    assert images.flatten().tolist() == [0, 51, 255]


@pytest.mark.skipif(sys.platform != "linux", reason="a limit of addresses is a notion of Linux")
def test_mean_and_spread_of_large_pictures_take_little_memory() -> None:
    import resource

    torch.manual_seed(0)
    images = torch.randint(256, (16, 3, 512, 512), dtype=torch.uint8)
    limit = resource.getrlimit(resource.RLIMIT_AS)
    addresses = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (addresses + 64 * 2**20, limit[1]))
    try:
        found = measure(images)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)
    colours = images.double() / 255
    assert found.mean == pytest.approx(colours.mean((0, 2, 3)).tolist(), abs=1e-6)
    assert found.std == pytest.approx(colours.std((0, 2, 3)).tolist(), abs=1e-6)
