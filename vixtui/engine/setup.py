"""What a run learns with, made ready: model, optimizer, pictures, the way to compute an update."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch

from vixtui.data.store import Batch, Streamed
from vixtui.data.tensors import Images
from vixtui.engine import calibrate, evaluate
from vixtui.engine.distributed import Group
from vixtui.engine.half import half_precision_works
from vixtui.engine.heap import large_blocks_mapped, set_small_blocks_apart
from vixtui.engine.inputs import Normalise, measure
from vixtui.engine.intake import Intake
from vixtui.engine.learner import Learner, Update
from vixtui.engine.limit import limit_memory, release_reserve
from vixtui.engine.recovery import Recovery
from vixtui.engine.reporter import Reporter
from vixtui.engine.seeding import balanced_order, epoch_order
from vixtui.engine.state import TrainState, load_state
from vixtui.engine.transfer import take_over
from vixtui.engine.weights import card_of
from vixtui.engine.whitening import whiten
from vixtui.errors import DataError
from vixtui.hardware.host import usable_cores
from vixtui.models.config import Recompute
from vixtui.models.vision_xformer import VisionXFormer
from vixtui.runs import events
from vixtui.runs.config import RunConfig, pictures_an_update
from vixtui.runs.directory import RunDirectory
from vixtui.runs.lessons import way_left
from vixtui.runs.ways import LEVELS, Way
from vixtui.runs.weights import Preprocessing

# Pictures that a forward pass without gradient has room for, by those that training has. On the CPU
# no more are evaluated at once: it would be no faster, and needs larger blocks than are free.
_EVALUATED_PER_LEARNED = 4
# Pictures a process, by which half precision is judged.
_COMPARED = 4


class Setup:
    """A learner with its pictures and where it stands; work that memory runs out for is done anew.

    Args:
        run: where the state lies, if there is one.
        config: of the run.
        pictures: decoded.
        device: where to compute.
        reporter: told when memory ran out.
        group: the processes that train together.

    Raises:
        DataError: when the processes do not see the same pictures.
        UsageError: when a batch has fewer pictures than there are processes.
        WeightsError: when the state is damaged.
    """

    def __init__(
        self,
        run: RunDirectory,
        config: RunConfig,
        pictures: Intake,
        device: torch.device,
        reporter: Reporter,
        group: Group,
    ) -> None:
        self.config, self.pictures, self.device = config, pictures, device
        self.group, self._reporter = group, reporter
        self._compare_pictures()
        preprocessing = (
            Preprocessing(mean=config.init.mean, std=config.init.std)
            if config.init
            else measure(pictures.train.images, group)
        )
        self._normalise = Normalise(preprocessing, device)
        self.learner = Learner(config, preprocessing, device, group)
        if config.recipe.balance == "loss":
            self.learner.weigh_classes(pictures.train.labels)
        self._recovery = Recovery(self.learner, device, self._on_memory_ran_out)
        self.batch = pictures_an_update(
            config.recipe.batch_size, len(pictures.train.labels), group.size
        )
        self.learner.micro_batch = min(self.learner.micro_batch, self.batch)
        # What is timed should not include decoding.
        self._trial = pictures.train.images[: self.batch]
        self.epoch_steps = len(pictures.train.labels) // self.batch
        self.card = card_of(config, preprocessing)
        self.resumed = bool(group.decide(run.state_path.exists()))
        if not self.resumed:
            self._begin()
        self.state = (
            load_state(run.state_path, self.learner)
            if self.resumed
            else TrainState(threads=config.plan.threads, precision=config.plan.precision)
        )
        for micro_batch, recompute in filter(None, (self._saved_way(), way_left(run))):
            self.learner.micro_batch = min(self.learner.micro_batch, micro_batch)
            self.learner.recompute = max(self.learner.recompute, recompute, key=LEVELS.index)

    def _saved_way(self) -> Way | None:
        """Return how the saved state was come to, if by any update."""
        micro_batch, recompute = self.state.micro_batch, self.state.recompute
        return (micro_batch, recompute) if micro_batch and recompute else None

    @property
    def mixes(self) -> bool:
        """Whether the run is expected to be long enough for mixed pictures."""
        return self.state.expected_epochs >= self.config.recipe.fewest_mixed_epochs

    def _begin(self) -> None:
        """Begin with weights of another training, or with filters made of the pictures.

        The first process does it for all.
        """
        model = self.learner.model
        if self.group.first:
            if self.config.init:
                take_over(model, self.config)
            else:
                with large_blocks_mapped():
                    whiten(model, self.pictures.train.images, self._normalise)
        self.group.copy_from_first(model.state_dict().values())
        self.learner.averaged.load_state_dict(model.state_dict())

    def start_from(self, weights: Mapping[str, torch.Tensor] | None) -> None:
        """Forget all that was learned but `weights`; None are those of the beginning."""
        self.learner.start_from(weights)
        if weights is None:
            self._begin()

    def warm_up(self, trial_seconds: float) -> float:
        """Try an update and a validation within the budget; return seconds an update or 0.

        A new run measures its threads and precision here, in about `trial_seconds` at most.
        """
        plan, state, device = self.config.plan, self.state, self.device
        with large_blocks_mapped():  # brings all libraries into memory
            self._try_update("fp32", pictures=self.group.size)
        limit_memory(device, plan.budget_bytes)
        seconds, started = 0.0, time.perf_counter()
        if self.resumed:
            self._take_first_steps([(state.precision, self._threads)], trial_seconds)
        else:
            ways = calibrate.ways_to_try(
                device, threads=plan.threads, precision=plan.precision, cores=self._cores
            )
            ways = self._take_first_steps(ways, trial_seconds / 2)
            left = trial_seconds - (time.perf_counter() - started)
            speed = calibrate.calibrate(self._try_update, device, ways, seconds=left)
            self._agree_on_speed(speed)
            seconds = speed.seconds
        torch.set_num_threads(self._threads)
        self.learner.precision = state.precision
        self._agree_on_memory()
        release_reserve(device)
        return seconds

    def choose_threads_again(self) -> bool:
        """Try on how many threads updates are fastest now; return whether there could be more.

        Only where the plan leaves that open, for a process that is alone. It takes a few updates.
        """
        plan, state = self.config.plan, self.state
        alone = self.group.size == 1 and self.device.type == "cpu"
        if plan.threads or not alone or self._cores == 1:
            return False
        ways = [(state.precision, threads) for threads in (1, self._cores)]
        threads = calibrate.calibrate(self._try_update, self.device, ways).threads
        if threads != state.threads:
            state.threads = threads
            self._reporter.write(events.ThreadsChanged, step=state.step, threads=threads)
        return threads < self._cores

    def _take_first_steps(self, ways: list[calibrate.Way], seconds: float) -> list[calibrate.Way]:
        """Do all that a training does, once in every way that may be fastest; return those ways.

        What libraries make for it and keep then lies together, below all tensors of later steps.
        When the `seconds` are over, ways not tried yet are left out.
        """
        computed = self.learner.micro_batch, self.learner.recompute
        with large_blocks_mapped():
            taken = calibrate.first_updates(self._try_update, self.device, ways, seconds=seconds)
            ways = tried = list(taken)
            done_anew = (self.learner.micro_batch, self.learner.recompute) != computed
            # A GPU's first update is long for what is loaded and compiled.
            if self.device.type == "cpu" and not done_anew:
                ways = calibrate.worth_timing(taken)
            if not self._half_precision_works(tried):
                self._reporter.warn("bf16 gives no usable numbers here: fp32 is used")
                ways = [("fp32", threads) for threads in sorted({threads for _, threads in ways})]
                self._try_update("fp32")
            self._agree_on_memory()
            if len(self.pictures.validation.labels):
                some = self.pictures.validation.images[: self._evaluated_at_once()]
                self.logits(self.learner.averaged, some)
        if self.device.type == "cpu":
            set_small_blocks_apart(self.config.model.num_blocks)
        return ways

    def order(self, epoch: int) -> torch.Tensor:
        """Return which training pictures an epoch takes, one after the other."""
        labels = self.pictures.train.labels
        if self.config.recipe.balance == "sampling":
            return balanced_order(self.config.seed, epoch, labels)
        return epoch_order(self.config.seed, epoch, len(labels))

    def accumulate(self, chosen: torch.Tensor, following: torch.Tensor) -> Update:
        """Compute the gradient of the next update from the `chosen` training pictures.

        Where pictures are decoded when they are needed, those of the `following` update are begun.
        """
        train = self.pictures.train
        if isinstance(train.images, Streamed):
            mine = [rows[self.group.rows(len(rows))] for rows in (chosen, following)]
            train.images.expect(torch.cat(mine))
        images, labels = Batch(train.images, chosen), train.labels[chosen]
        sums = self._recovery.run(
            lambda: self.learner.accumulate(images, labels, step=self.state.step)
        )
        self._agree_on_memory()
        return self.learner.combine(sums)

    def logits(self, model: VisionXFormer, images: Images) -> tuple[torch.Tensor, float]:
        """Return logits of all `images`, a share from each process, and images a second."""
        started, mine = time.perf_counter(), self.group.rows(len(images))
        logits = torch.empty((0, self.config.model.num_classes))
        if mine.stop > mine.start:
            logits = self._recovery.run(
                lambda: evaluate.predict_logits(
                    model,
                    images,
                    self._normalise,
                    batch_size=self._evaluated_at_once(),
                    rows=mine,
                )
            )
        logits = self.group.gather(logits, len(images))
        return logits, len(images) / max(1e-9, time.perf_counter() - started)

    def _try_update(self, precision: str, pictures: int | None = None) -> None:
        """Compute an update, if not told otherwise as large as any, without a lasting effect."""
        count = pictures or self.batch
        images, labels = self._trial[:count], self.pictures.train.labels[:count]
        self.learner.precision = precision
        self._recovery.run(lambda: self.learner.accumulate(images, labels, step=0))
        self.learner.forget()

    def _half_precision_works(self, ways: list[calibrate.Way]) -> bool:
        """Tell whether no process gets nonsense in one of its `ways`.

        Processors are not asked: none is known to, and kernels for a few pictures take 8 MiB.
        """
        if self.resumed or self.device.type == "cpu":
            return True
        count = min(self.batch, _COMPARED * self.group.size)
        images, labels = self._trial[:count], self.pictures.train.labels[:count]
        works = all(precision == "fp32" for precision, _ in ways) or self._recovery.run(
            lambda: half_precision_works(self.learner, images, labels, "bf16")
        )
        return not self.group.largest([not works])[0]

    def _compare_pictures(self) -> None:
        parts = self.pictures.train, self.pictures.validation, self.pictures.test
        mine = [len(part.labels) for part in parts]
        most = self.group.largest([*mine, *(-count for count in mine)])
        if most != [*mine, *(-count for count in mine)]:
            raise DataError(
                "the processes do not see the same pictures",
                where=self.config.data.source,
                remedy="every machine needs the same folder at the same path",
            )

    @property
    def _cores(self) -> int:
        """This process's share of the machine."""
        return max(1, usable_cores() // self.group.local_size)

    @property
    def _threads(self) -> int:
        """As many as agreed on, of several processes no more than its share."""
        agreed = self.state.threads
        return agreed if self.group.size == 1 else min(agreed, self._cores)

    def _agree_on_speed(self, speed: calibrate.Speed) -> None:
        self.state.threads = int(self.group.decide(speed.threads))
        bf16 = self.group.decide(speed.precision == "bf16")
        self.state.precision = "bf16" if bf16 else "fp32"

    def _agree_on_memory(self) -> None:
        """Compute in all processes as the one does that memory is shortest for."""
        mine = self.learner.micro_batch, self.learner.recompute
        less, level = self.group.largest([-mine[0], LEVELS.index(mine[1])])
        agreed = int(-less), LEVELS[int(level)]
        if agreed != mine:
            self.learner.micro_batch, self.learner.recompute = agreed
            self._on_memory_ran_out(*agreed)

    def _evaluated_at_once(self) -> int:
        factor = 1 if self.device.type == "cpu" else _EVALUATED_PER_LEARNED
        return factor * self.learner.micro_batch

    def _on_memory_ran_out(self, micro_batch: int, recompute: Recompute) -> None:
        step = self.state.step
        self._reporter.write(
            events.MemoryRanOut, step=step, micro_batch=micro_batch, recompute=recompute
        )
