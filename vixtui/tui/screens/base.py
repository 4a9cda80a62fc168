"""What all five tabs share: the tab bar, the footer, help, and moving between tabs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Footer

from vixtui.tui.widgets.tab_bar import TABS, TabBar

if TYPE_CHECKING:
    from vixtui.tui.app import VixtuiApp

NARROW = 100
"""Below this width, in cells, screens use their compact form."""


class TabScreen(Screen[None]):
    """One of the five tabs. Subclasses set `TAB` and `HELP` and compose their `body`."""

    TAB: ClassVar[str]
    HELP: ClassVar[str]
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "neighbour(-1)", "Previous tab", show=False),
        Binding("right", "neighbour(1)", "Next tab", show=False),
    ]

    @property
    def vixtui(self) -> VixtuiApp:
        """The app, by its own type."""
        from vixtui.tui.app import VixtuiApp

        app = self.app
        assert isinstance(app, VixtuiApp)
        return app

    @property
    def narrow(self) -> bool:
        """Whether there is little room across."""
        return self.app.size.width < NARROW

    def compose(self) -> ComposeResult:
        self.set_class(self.vixtui.terminal.ascii, "-ascii")
        yield TabBar(self.TAB)
        yield from self.body()
        yield Footer(show_command_palette=False)

    def body(self) -> Iterable[Widget]:
        """Yield what the tab holds between tab bar and footer."""
        raise AssertionError("every tab has a body")

    def action_neighbour(self, step: int) -> None:
        """Go to the tab on the left or right."""
        keys = list(TABS)
        self.vixtui.action_open_tab(keys[(keys.index(self.TAB) + step) % len(keys)])

    def tell(self, message: str, *, error: bool = False) -> None:
        """Show a short notice; `message` must be safe to show."""
        self.notify(message, severity="error" if error else "information", markup=False)
