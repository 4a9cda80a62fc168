"""A folder tree that shows names safely and only what is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

from rich.text import Text
from textual.widgets import DirectoryTree

from vixtui.text import safe

TextType: TypeAlias = str | Text


class FileTree(DirectoryTree):
    """Folders, and the files that are wanted; hidden ones are left out.

    Args:
        root: the folder at the top.
        wanted: which files are shown.
        ascii: letters instead of icons.
    """

    def __init__(
        self, root: Path, *, wanted: Callable[[Path], bool], ascii: bool, id: str | None = None
    ) -> None:
        super().__init__(root, id=id)
        self._wanted = wanted
        self.guide_depth = 2
        self.ICON_NODE, self.ICON_NODE_EXPANDED = ("+ ", "- ") if ascii else ("▸ ", "▾ ")
        self.ICON_FILE = "  "

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        """Return the folders and wanted files among `paths`."""
        return [
            path for path in paths
            if not path.name.startswith(".") and (self._safe_is_dir(path) or self._wanted(path))
        ]  # fmt: skip

    def process_label(self, label: TextType) -> Text:
        """Return a name safe to show."""
        return Text(safe(label if isinstance(label, str) else label.plain, 100))
