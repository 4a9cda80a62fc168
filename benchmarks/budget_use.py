"""What plans leave of a budget, and whether a larger micro-batch would make use of it.

    python benchmarks/budget_use.py [--plans 1000] [--seed 0]

A larger micro-batch helps if it fits the budget and an update is predicted to take less time. For
random presets, pictures, batches, devices and budgets, every larger micro-batch is tried.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator

from table import Row

from vixtui.planning.needs import Need, PresetNeeds, preset_needs
from vixtui.planning.search import find_way, levels, precisions, step_seconds
from vixtui.planning.speed import Throughput, device_throughput
from vixtui.planning.types import Budget, Question, Task
from vixtui.presets import all_presets

USED = 0.85
DEVICES = ("cpu", "cuda:GPU-1")
SIDES = (8, 28, 32, 64, 96, 224)
BATCHES = (16, 32, 64, 128, 256)
# Of what the largest way needs above the smallest: from too little to more than enough.
SHARES = (-0.05, 1.1)


def plan_rows(plans: int = 1000, seed: int = 0) -> Iterator[Row]:
    """Yield how plans for random budgets use them."""
    chance = random.Random(seed)
    over = split = left = helped = fitting = 0
    while fitting < plans:
        question = _question(chance)
        try:
            needs = _needs(chance.choice(sorted(all_presets())), question)
            budget = _budget(needs, question, chance.uniform(*SHARES))
        except ValueError:  # not for such pictures
            continue
        throughput = device_throughput(question.budget.device, 2)
        plan = find_way(needs, question, budget, throughput)
        if needs.smallest([plan.precision], [plan.recompute]).peak_bytes > budget:
            continue
        fitting += 1
        over += plan.peak_bytes > budget
        split += plan.passes > 1
        if plan.passes > 1 and plan.peak_bytes < USED * budget:
            left += 1
            helped += helps(needs, plan, budget, throughput)
    yield f"plans over their budget, of {plans:,}", f"{over}", "0"
    yield f"split plans that use ≥ {USED:.0%} of it", f"{split - left:,} of {split:,}", ""
    yield "the rest: a larger micro-batch would help", f"{helped} of {left:,}", "0"


def helps(needs: PresetNeeds, plan: Need, budget: float, throughput: Throughput) -> bool:
    """Tell whether any larger micro-batch that fits is predicted to be faster."""
    seconds = step_seconds(plan, throughput)
    larger = (
        needs.at(micro_batch, plan.precision, plan.recompute)
        for micro_batch in range(plan.micro_batch + 1, plan.batch_size + 1)
    )
    return any(
        way.peak_bytes <= budget and step_seconds(way, throughput) < seconds for way in larger
    )


def _question(chance: random.Random) -> Question:
    side = chance.choice(SIDES)
    task = Task(
        image_height=side,
        image_width=side,
        in_channels=chance.choice((1, 3)),
        num_classes=chance.choice((2, 10, 100)),
        images=round(10 ** chance.uniform(1.5, 6)),
    )
    budget = Budget(device=chance.choice(DEVICES), bytes=0, source="")
    return Question(task=task, budget=budget, batch_size=chance.choice(BATCHES))


def _needs(name: str, question: Question) -> PresetNeeds:
    return preset_needs(name, question.task, question.step_images, (), on_cpu=question.on_cpu)


def _budget(needs: PresetNeeds, question: Question, share: float) -> float:
    every = [kind for choices in precisions(question) for kind in choices]
    least = needs.smallest(every, levels(needs, question)).peak_bytes
    return least + share * (needs.whole("fp32", "none").peak_bytes - least)


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plans", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for what, measured, target in plan_rows(options.plans, options.seed):
        print(f"{what:<50} {measured:>20} {target:>10}", flush=True)


if __name__ == "__main__":
    main()
