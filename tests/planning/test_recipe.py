from __future__ import annotations

from dataclasses import replace

import pytest

from vixtui.data.sources import open_source
from vixtui.planning.recipe import default_recipe, suggested_augmentation, suggested_lr
from vixtui.presets import preset

TINY = open_source("digits")
SIDES = {"image_height": 32, "image_width": 32, "in_channels": 3, "num_classes": 10}
PHOTOS = replace(TINY, image_height=64, image_width=64, in_channels=3)


@pytest.mark.parametrize(
    ("side", "limit", "level"),
    [
        (64, {"epochs": 99, "seconds": None}, "light"),
        (64, {"epochs": 100, "seconds": None}, "strong"),
        (64, {"epochs": None, "seconds": 300.0}, "light"),
        (64, {"epochs": None, "seconds": 3600.0}, "strong"),
        (28, {"epochs": 1000, "seconds": None}, "light"),
    ],
)
def test_long_training_on_pictures_with_room_is_augmented_strongly(side, limit, level) -> None:
    assert suggested_augmentation(side, **limit) == level


def test_a_level_asked_for_wins_and_a_part_of_it_can_be_changed() -> None:
    strong = default_recipe(PHOTOS, epochs=1, augmentation="strong", cutmix=0.1)
    assert (strong.trivial, strong.cutmix) == (1, 0.1)
    off = default_recipe(PHOTOS, epochs=500, augmentation="off")
    assert off.crop == off.color_jitter == off.erase == off.trivial == off.mixup + off.cutmix == 0


def test_tiny_pictures_keep_their_colours_and_pixels() -> None:
    recipe = default_recipe(TINY, epochs=1)
    assert (recipe.color_jitter, recipe.erase, recipe.trivial, recipe.cutmix) == (0, 0, 0, 0)
    assert recipe.crop > 0


def test_larger_pictures_are_mixed_unless_the_user_says_otherwise() -> None:
    assert default_recipe(PHOTOS, epochs=50).cutmix > 0
    assert default_recipe(PHOTOS, epochs=50, cutmix=0.0).cutmix == 0


@pytest.mark.parametrize("limit", [{"epochs": 20}, {"seconds": 100.0}, {"seconds": 7200.0}])
def test_a_few_epochs_are_for_whole_pictures_unless_the_user_says_otherwise(limit) -> None:
    assert default_recipe(PHOTOS, **limit).fewest_mixed_epochs > 20
    assert default_recipe(PHOTOS, **limit, mixup=0.0).fewest_mixed_epochs > 20
    assert default_recipe(PHOTOS, **limit, cutmix=0.2).fewest_mixed_epochs == 0
    assert default_recipe(PHOTOS, **limit, augmentation="light").fewest_mixed_epochs == 0


def test_a_wider_or_deeper_model_learns_at_a_smaller_rate() -> None:
    names = ["hybrid-vit:tiny", "hybrid-vit:paper", "hybrid-vit:small", "hybrid-vit:base"]
    rates = [suggested_lr(preset(name).model_config(**SIDES)) for name in names]
    assert rates == pytest.approx([3e-3, 2.1e-3, 1.4e-3, 5e-4])
    narrow = replace(preset("vit:tiny").model_config(**SIDES), embed_dim=64)
    assert suggested_lr(narrow) == 3e-3
