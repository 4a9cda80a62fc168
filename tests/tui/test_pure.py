"""The parts of the screens that need no screen."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import pytest
import tui_engine
import tui_fakes
from PIL import Image

from vixtui.errors import DataError
from vixtui.hardware.machine import Figure, Gpu
from vixtui.planning.recipe import default_recipe
from vixtui.runs import events as e
from vixtui.runs.evaluation import Evaluation
from vixtui.runs.progress import RunProgress
from vixtui.tui import story
from vixtui.tui.choice import Wish, budget_choices
from vixtui.tui.curves import RunCurves
from vixtui.tui.screens import pick_text, test_text
from vixtui.tui.screens.predict import _is_picture
from vixtui.tui.screens.train import TrainScreen
from vixtui.tui.theme import this_terminal
from vixtui.tui.widgets.bars import bar, shade
from vixtui.tui.widgets.canvas import Canvas
from vixtui.tui.widgets.fit import fit
from vixtui.tui.widgets.path_input import clean_path, complete
from vixtui.tui.widgets.picture import load_preview
from vixtui.tui.widgets.series import Series
from vixtui.tui.widgets.ticks import linear_ticks, log_ticks, tick_label


def test_a_spike_survives_any_number_of_merges() -> None:
    series = Series(capacity=16)
    for n in range(100_000):
        series.add(n, 999.0 if n == 54_321 else 1.0)
    assert len(series.buckets) <= 16
    assert max(bucket.high for bucket in series.buckets) == 999.0
    assert sum(bucket.count for bucket in series.buckets) == 100_000
    assert series.buckets[-1].last_x == 99_999


def test_a_value_that_is_no_number_is_a_gap() -> None:
    series = Series()
    for x, y in enumerate([1.0, math.nan, 2.0]):
        series.add(x, y)
    assert [bucket.count for bucket in series.buckets] == [1, 0, 1]


def test_ticks_are_round_and_inside() -> None:
    assert linear_ticks(0, 100, 5) == [0, 25, 50, 75, 100]
    assert linear_ticks(0.13, 2.31, 4) == [0.5, 1, 1.5, 2]
    assert log_ticks(0.02, 2.3, 4) == pytest.approx([0.03, 0.1, 0.3, 1])
    assert linear_ticks(3, 3, 4) == [3]


def test_tick_labels_have_as_many_decimals_as_the_step() -> None:
    assert [tick_label(value, 0.25) for value in (0, 0.25, 0.5, 1)] == ["0", "0.25", "0.5", "1"]
    assert tick_label(1e-7) == "1e-7"


def test_curves_differ_without_colour() -> None:
    canvas = Canvas(20, 2)
    canvas.line(0, (0, 0), (39, 0))
    canvas.line(1, (0, 7), (39, 7))
    solid, dashed = ("".join(text for text, _ in canvas.row(row)) for row in (0, 1))
    assert len(set(solid)) == 1
    assert len(set(dashed)) > 1


def test_a_canvas_without_braille_is_plain_ascii() -> None:
    canvas = Canvas(10, 4, ascii=True)
    canvas.line(0, (0, 0), (9, 3))
    canvas.band(1, 3, 0, 3)
    assert all(text.isascii() for row in range(4) for text, _ in canvas.row(row))


@pytest.mark.parametrize(("fraction", "text"), [(0, "    "), (0.5, "██  "), (2, "████")])
def test_a_bar_is_as_long_as_its_fraction(fraction: float, text: str) -> None:
    assert bar(fraction, 4) == text


def test_a_shade_grows_with_its_fraction() -> None:
    assert [shade(fraction) for fraction in (0, 0.01, 0.3, 0.6, 1)] == list(" ░▒▓█")


@pytest.mark.parametrize(
    ("pasted", "path"),
    [
        ("'/tmp/a cat.jpg'", "/tmp/a cat.jpg"),
        ('"/tmp/a cat.jpg" ', "/tmp/a cat.jpg"),
        ("file:///tmp/a%20cat.jpg", "/tmp/a cat.jpg"),
        ("/tmp/a\\ cat.jpg", "/tmp/a cat.jpg"),
        ("/tmp/cat.jpg\n", "/tmp/cat.jpg"),
    ],
)
def test_pasted_paths_are_understood(pasted: str, path: str) -> None:
    assert clean_path(pasted) == path


def test_tab_completes_as_far_as_it_is_clear(tmp_path: Path) -> None:
    for name in ("cat-1.png", "cat-2.png", "dog.png", "notes.txt", "bad\x1b[2J.png"):
        (tmp_path / name).touch()
    (tmp_path / "birds").mkdir()

    def offers(text: str) -> tuple[str, tuple[str, ...]]:
        found, names = complete(f"{tmp_path}/{text}", lambda path: path.suffix == ".png")
        return found.removeprefix(f"{tmp_path}/"), names

    assert offers("c") == ("cat-", ("cat-1.png", "cat-2.png"))
    assert offers("bi") == ("birds/", ("birds/",))
    assert offers("notes") == ("notes", ())
    assert offers("bad") == ("bad", ())


def test_a_resume_takes_undone_steps_off_the_curves() -> None:
    run = tui_fakes.make_run("a")
    tui_fakes.record(run, end="cut", epochs=5)
    progress, curves = RunProgress(), RunCurves()
    log = list(e.read_events(run.events_path))
    for event in log:
        progress.apply(event)
    curves.update(progress, log)
    again = e.RunStarted(seq=999, t=0.0, pid=1, device="cpu", resumed_step=40)
    progress.apply(again)
    curves.update(progress, [again])
    assert [len(curve.series.buckets) for curve in curves.loss] == [40, 2]


def test_a_run_killed_by_the_system_says_memory() -> None:
    advice = story.advice("lost", RunProgress(), -9)
    assert advice is not None
    assert "memory ran out" in advice.what


@pytest.mark.parametrize(("state", "goes_on"), [("training", True), ("lost", False)])
def test_only_a_run_at_work_has_time_to_go(state: str, goes_on: bool) -> None:
    progress = RunProgress()
    progress.apply(e.RunStarted(seq=0, t=0.0, pid=1, device="cpu", resumed_step=0))
    progress.apply(
        e.StepDone(
            seq=1, t=10.0, step=1, epoch=1.0, loss=1.0, accuracy=0.5, lr=0.1, grad_norm=1.0,
            images_per_second=1.0, memory_bytes=1, progress=0.5, eta_seconds=60.0,
        )
    )  # fmt: skip
    shown = dict(story.facts(None, progress, state, ascii=True))
    assert ("to go" in shown["Time"]) is goes_on


def test_pictures_that_cannot_be_used_are_not_looked_at_for_ever() -> None:
    told = [
        pick_text.wish_text(Wish(), None, None, looking=looking, narrow=True).plain
        for looking in (True, False)
    ]
    assert ["looking at the pictures" in text for text in told] == [True, False]


def test_a_run_out_of_memory_leads_to_the_first_tab() -> None:
    progress = RunProgress()
    progress.apply(e.Failed(seq=0, t=0.0, message="memory ran out", exit_code=5))
    advice = story.advice("failed", progress, None)
    assert advice is not None
    assert advice.remedy.startswith("Press 1 for a smaller model")


def test_log_lines_are_safe_to_show() -> None:
    line = story.log_line(e.Warned(seq=0, t=0.0, message="bad \x1b[2J name"))
    assert line is not None
    assert "\x1b" not in line


def test_the_age_of_a_figure_of_memory_is_told_beside_its_source() -> None:
    old = Figure(8 * 10**9, "nvml", read_at=time.time() - 200)
    gpu = Gpu(index=0, uuid="GPU-0", name="Test", total=old, free=old)
    machine = replace(tui_fakes.machine(), ram_free=replace(old, source="psutil"), gpus=(gpu,))
    text = pick_text.machine_text(machine, narrow=True).plain
    assert "3:20 ago by psutil" in text
    assert "8.00 GB of 8.00 GB free 3:20 ago by nvml" in text


def test_what_happens_on_enter_says_what_is_predicted_and_what_measured() -> None:
    outlook = tui_fakes.plan(Wish(), tui_fakes.source(), tui_fakes.machine())
    chosen = replace(
        outlook.candidates[0],
        micro_batch=22,
        precision="bf16",
        recompute="block",
        time_basis="measured in run a",
    )
    text = pick_text.on_enter(outlook, chosen).plain
    assert "420 MB predicted, 0.9 s an epoch measured" in text
    assert "64 in 3 passes, blocks recomputed, bf16." in text


def test_the_explanation_names_the_way_and_the_run_that_ran_out() -> None:
    outlook = tui_fakes.plan(Wish(), tui_fakes.source(), tui_fakes.machine())
    chosen = replace(outlook.candidates[0], remembered="memory ran out in run \x1b[2J")
    text = " ".join(pick_text.explanation(outlook, chosen).plain.split())
    assert "64 pictures in one pass, nothing recomputed, fp32 or bf16" in text
    assert "memory ran out in run \\x1b[2J" in text
    assert "420 MB, traced step" in text


def test_where_nothing_fits_no_model_is_promised() -> None:
    data, machine = tui_fakes.source(), tui_fakes.machine()
    some = tui_fakes.plan(Wish(budget="500MB"), data, machine)
    none = tui_fakes.plan(Wish(budget="100MB"), data, machine)
    told = [pick_text.on_enter(outlook, outlook.candidates[-1]).plain for outlook in (some, none)]
    assert "this model does not fit" in told[0]
    assert told[0].endswith("Up goes to models that fit.")
    assert "no model fits" in told[1]
    assert told[1].endswith("Right gives more memory.")


def test_budgets_on_offer_grow_and_never_exceed_what_is_free() -> None:
    machine = tui_fakes.machine()
    offered = [text for text, _ in budget_choices(machine, ("2500MB", None))]
    assert offered[:4] == ["0.5GB", "1GB", "2GB", "2500MB"]
    assert offered[-3:] == ["6GB", None, "8GB"]  # automatic: 80 % of 9 GB


def test_every_device_but_the_automatic_one_is_on_offer() -> None:
    some = Figure(8 * 10**9, "nvml")
    gpus = tuple(
        Gpu(index=index, uuid=f"GPU-{index}", name="GPU", total=some, free=Figure(free, "nvml"))
        for index, free in enumerate((4 * 10**9, 6 * 10**9))
    )
    machine = replace(tui_fakes.machine(), gpus=gpus)
    devices = [device for text, device in budget_choices(machine) if text is None]
    assert devices == [None, "cuda:GPU-0", "cpu"]


def test_a_dumb_terminal_gets_letters_and_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    terminal = this_terminal()
    assert terminal.ascii
    assert not terminal.color


def test_a_file_that_is_no_picture_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    with pytest.raises(DataError, match="a damaged PNG"):
        load_preview(path)


def test_a_16_bit_picture_is_shown_as_grey_as_the_model_sees_it(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.new("I;16", (8, 8), 32768).save(path)
    image, size = load_preview(path)
    assert image.getpixel((0, 0)) == (128, 128, 128)
    assert size == (8, 8)


@pytest.mark.parametrize("name", ["a.ppm", "a.pgm", "a.txt", "a"])
def test_only_what_the_engine_reads_is_offered(name: str) -> None:
    assert not _is_picture(Path(name))
    assert _is_picture(Path("a.JPG"))


@pytest.mark.parametrize(
    ("text", "shown"), [("cat", "cat  "), ("a long name", "a lo…"), ("猫猫猫", "猫猫…")]
)
def test_a_name_is_as_wide_as_its_place(text: str, shown: str) -> None:
    assert fit(text, 5) == shown


def test_the_screens_train_as_long_as_the_command() -> None:
    assert Wish().seconds == default_recipe(tui_fakes.source("digits")).seconds


def test_help_does_not_promise_that_the_memory_limit_is_kept() -> None:
    assert "never exceeded" not in TrainScreen.HELP
    assert "predicted" in TrainScreen.HELP


@pytest.mark.parametrize(("classes", "told"), [("abcd", False), ("abcdefgh", True)])
def test_all_classes_are_no_best_guesses(classes: str, told: bool) -> None:
    found = tui_engine.evaluation(list(classes))
    assert ("Top" in test_text.numbers(Evaluation.from_dict(found)).plain) is told


def test_a_class_without_pictures_has_no_recall() -> None:
    found = tui_engine.evaluation(["cat", "dog"])
    found["per_class"][0] |= {"images": 0, "recall": 0.0}  # type: ignore[index]
    lines = test_text.classes(Evaluation.from_dict(found), 40, ascii=False).plain.splitlines()
    assert lines[-1].split()[0] == "cat"
    assert lines[-1].endswith(" –")
