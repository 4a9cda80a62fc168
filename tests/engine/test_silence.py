"""An engine whose pictures do not come, as from a lost network, says so and ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from held_back import held_back
from PIL import Image
from small_runs import make_run, of

from vixtui.engine.weights import save_weights
from vixtui.models.vision_xformer import build
from vixtui.presets import preset
from vixtui.runs.events import Failed
from vixtui.runs.weights import ModelCard, Preprocessing

ENGINE = """
from vixtui.data import silence
from vixtui.engine.__main__ import end, main
silence._SECONDS = 1
end(main())
"""
WORDS = "not read within 1 seconds"


def engine(*words: object, question: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ENGINE, *map(str, words)],
        input=question,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for shade, name in enumerate(("cat", "dog")):
        (tmp_path / name).mkdir()
        for number in range(10):
            Image.new("RGB", (8, 8), (shade, number, 0)).save(tmp_path / name / f"{number}.png")
    return tmp_path


def test_a_run_ends_with_the_name_of_the_picture(folder: Path) -> None:
    run = make_run(str(folder), batch_size=8, micro_batch=8)
    with held_back(folder / "dog" / "1.png"):
        assert engine("train", run.path).returncode == 3
    (failed,) = of(run, Failed)
    assert failed.exit_code == 3
    assert WORDS in failed.message
    assert str(folder / "dog" / "1.png") in failed.message


def test_a_question_is_answered_with_the_name_of_the_picture(folder: Path) -> None:
    config = preset("vit:tiny").model_config(
        image_height=8, image_width=8, in_channels=3, num_classes=2
    )
    card = ModelCard(
        title="vit:tiny", model=config, classes=("cat", "dog"),
        preprocessing=Preprocessing(mean=(0.5,) * 3, std=(0.25,) * 3),
        metrics={}, data={}, provenance={},
    )  # fmt: skip
    save_weights(folder / "m.safetensors", build(config).state_dict(), card)
    picture, model = str(folder / "dog" / "1.png"), str(folder / "m.safetensors")
    question = json.dumps({"ask": "predict", "model": model, "paths": [picture]})
    with held_back(Path(picture)):
        done = engine("serve", question=question + "\n")
    assert done.returncode == 3
    answer = json.loads(done.stdout.splitlines()[-1])
    assert (answer["type"], answer["exit_code"]) == ("error", 3)
    assert (answer["what"], answer["where"]) == (WORDS, picture)
