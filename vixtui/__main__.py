"""``vixtui`` and ``python -m vixtui``: the screens when called bare, a command otherwise.

This is the one place where errors become a line on stderr and an exit code.
"""

from __future__ import annotations

import gc
import os
import sys

from vixtui.errors import ExitCode, VixtuiError
from vixtui.text import safe

COMPLETION_VARIABLE = "_VIXTUI_COMPLETE"


def main() -> int:
    """Run the program with ``sys.argv``; return its exit code."""
    _never_fail_to_encode()
    try:
        return _run(sys.argv[1:])
    except VixtuiError as error:
        return _report(error.message, error.exit_code)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Exception as error:
        return _report(_save_traceback(error), ExitCode.BUG)


def _run(arguments: list[str]) -> int:
    # A shell that completes calls the program bare and says so in the environment.
    if not arguments and COMPLETION_VARIABLE not in os.environ:
        from vixtui.cli.screens import start_screens

        return start_screens()
    # Most commands end before there is garbage, and looking for it takes a tenth of their time.
    gc.set_threshold(100_000)
    from vixtui.cli.app import run
    from vixtui.data.silence import end_when_silent

    end_when_silent(lambda error: _say(error.message))
    code = run(arguments)
    gc.freeze()  # else Python looks for garbage as it ends, which takes a tenth of all the time
    return code


def _report(message: str, code: int) -> int:
    _say(message)
    return int(code)


def _say(message: str) -> None:
    one_line = " ".join(message.split())
    print(f"error: {one_line}", file=sys.stderr, flush=True)


def _save_traceback(error: Exception) -> str:
    """Write the traceback of a bug where the user can find it; return the line that says so."""
    import tempfile
    import time
    import traceback
    from pathlib import Path

    from vixtui.paths import home

    text = "".join(traceback.format_exception(error))
    what = f"unexpected {type(error).__name__}: {safe(str(error), 120)}"
    for folder in (home(), Path(tempfile.gettempdir())):
        path = folder / f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return f"{what} (a bug; the traceback is in {safe(str(path))})"
    return f"{what} (a bug; the traceback could not be saved)"


def _never_fail_to_encode() -> None:
    """Show what the terminal's encoding lacks as escapes instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
