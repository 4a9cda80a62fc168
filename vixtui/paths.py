"""Where things are: the user's runs, and the presets and assets that ship with the program."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

HOME_VARIABLE = "VIXTUI_HOME"
# The home that was chosen by an option: the next command does not know of it.
_OPTION_VARIABLE = "VIXTUI_HOME_OPTION"


def home() -> Path:
    """Return the folder of all runs and downloads: ``$VIXTUI_HOME`` or the system's data folder."""
    if chosen := os.environ.get(HOME_VARIABLE):
        return Path(os.path.expanduser(chosen))
    import platformdirs

    return Path(platformdirs.user_data_dir("vixtui", appauthor=False))


def choose_home(folder: str) -> None:
    """Make a folder the home of this process and of those that it starts from now on."""
    if os.environ.get(HOME_VARIABLE) != folder:
        os.environ |= {HOME_VARIABLE: folder, _OPTION_VARIABLE: folder}


def command(*words: str) -> str:
    """Return a command as one may type it next, with ``--home`` if this one was given that.

    Args:
        words: what follows the program's name; may come from outside.
    """
    chosen = os.environ.get(_OPTION_VARIABLE)
    option = ["--home", chosen] if chosen and chosen == os.environ.get(HOME_VARIABLE) else []
    return " ".join(["vixtui", *map(shlex.quote, [*option, *words])])


def runs_dir() -> Path:
    """Return the folder that holds one folder a run."""
    return home() / "runs"


def data_dir() -> Path:
    """Return the folder of downloaded data sets."""
    return home() / "data"


def calibration_path() -> Path:
    """Return where the measured speed of this machine is kept."""
    return home() / "calibration.json"


def cache_dir() -> Path:
    """Return the folder of decoded pictures: ``$VIXTUI_HOME/cache`` or the system's cache folder.

    Everything in it can be made again.
    """
    if os.environ.get(HOME_VARIABLE):
        return home() / "cache"
    import platformdirs

    return Path(platformdirs.user_cache_dir("vixtui", appauthor=False))


def presets_dir() -> Path:
    """Return the folder of shipped presets."""
    return _shipped("presets")


def assets_dir() -> Path:
    """Return the folder of shipped pictures and weights."""
    return _shipped("assets")


def _shipped(name: str) -> Path:
    package = Path(__file__).parent
    inside_wheel = package / f"_{name}"
    return inside_wheel if inside_wheel.is_dir() else package.parent / name
