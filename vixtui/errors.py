"""The errors a user can cause or meet, each with its exit code and one line of help.

Everything below the command line and the screens raises these; only the outermost layer prints
them, as ``error: <what> (<where>): <what to do>``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar

from vixtui.text import safe


class ExitCode(IntEnum):
    """Process exit codes, stable across releases."""

    OK = 0
    BUG = 1
    USAGE = 2
    DATA = 3
    WEIGHTS = 4
    DOES_NOT_FIT = 5
    DISK = 6
    INTERRUPTED = 130


class VixtuiError(Exception):
    """A failure that a user can understand and act on.

    Args:
        what: what is wrong, without a full stop.
        where: the file, folder or option concerned; may come from outside, is made safe.
        remedy: what to do about it.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.BUG

    def __init__(self, what: str, *, where: object = "", remedy: str = "") -> None:
        self.what = safe(what)
        self.where = safe(str(where))
        self.remedy = safe(remedy)
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """One line: ``<what> (<where>): <remedy>``."""
        place = f" ({self.where})" if self.where else ""
        advice = f": {self.remedy}" if self.remedy else ""
        return f"{self.what}{place}{advice}"


class UsageError(VixtuiError):
    """A wrong option, name or path."""

    exit_code = ExitCode.USAGE


class DataError(VixtuiError):
    """Pictures or folders that cannot be used."""

    exit_code = ExitCode.DATA


class WeightsError(VixtuiError):
    """A weights file that cannot be trusted or understood."""

    exit_code = ExitCode.WEIGHTS


class DoesNotFitError(VixtuiError):
    """Nothing fits the memory budget, or memory ran out."""

    exit_code = ExitCode.DOES_NOT_FIT


class DiskError(VixtuiError):
    """No room or no permission to write."""

    exit_code = ExitCode.DISK


BY_EXIT_CODE: dict[int, type[VixtuiError]] = {
    error.exit_code: error
    for error in (UsageError, DataError, WeightsError, DoesNotFitError, DiskError)
}
