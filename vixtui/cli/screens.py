"""``vixtui`` bare: the screens. Imports nothing of the command line, which they do not need."""

from __future__ import annotations

import sys

from vixtui.errors import ExitCode


def start_screens() -> int:
    """Start the screens, or print the recommendation where there is no terminal to draw on."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        from vixtui.tui.app import run_tui

        return run_tui()
    from vixtui.cli.recommend import print_default_recommendation

    print_default_recommendation()
    return ExitCode.OK
