"""Questions over a screen: pick one of a few answers, type a value, or read a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from vixtui.errors import VixtuiError

_ESCAPE = Binding("escape", "dismiss(None)", "Cancel", show=False)


class ChoiceDialog(ModalScreen[str | None]):
    """A question with a few answers; the first is the default. Escape answers None.

    Args:
        title: the question, safe to show.
        text: what each answer means, safe to show.
        answers: (key, label); labels are safe to show.
    """

    BINDINGS: ClassVar[list[BindingType]] = [_ESCAPE]

    def __init__(self, title: str, text: str, answers: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._title, self._text, self._answers = title, text, answers

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Content(self._title)
            if self._text:
                yield Static(self._text, markup=False, classes="dialog-text")
            yield OptionList(*(Option(Content(label), id=key) for key, label in self._answers))
            yield Static("Enter chooses, Esc cancels", classes="dialog-hint")

    @on(OptionList.OptionSelected)
    def _answer(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)


class PromptDialog(ModalScreen[str | None]):
    """Asks for a value. Escape answers None.

    Args:
        title: what is asked, safe to show.
        hint: examples.
        value: shown at first, safe to show.
        check: raises VixtuiError for a value that will not do.
    """

    BINDINGS: ClassVar[list[BindingType]] = [_ESCAPE]

    def __init__(self, title: str, hint: str, value: str, check: Callable[[str], object]) -> None:
        super().__init__()
        self._title, self._hint, self._value, self._check = title, hint, value, check

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Content(self._title)
            yield Static(self._hint, markup=False, classes="dialog-text")
            yield Input(self._value)
            yield Static("Enter accepts, Esc cancels", markup=False, classes="dialog-hint")

    @on(Input.Submitted)
    def _accept(self, event: Input.Submitted) -> None:
        try:
            self._check(event.value)
        except VixtuiError as error:
            hint = self.query_one(".dialog-hint", Static)
            hint.update(Content(error.message))
            hint.add_class("-error")
        else:
            self.dismiss(event.value)


class TextDialog(ModalScreen[None]):
    """A text to read; any of Escape, Enter, q and ? closes it.

    Args:
        title: safe to show.
        text: safe to show.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q,question_mark,i", "dismiss(None)", "Close", show=False),
        Binding("up", "scroll(-1)", show=False),
        Binding("down", "scroll(1)", show=False),
    ]

    def __init__(self, title: str, text: Content) -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -tall") as dialog:
            dialog.border_title = Content(self._title)
            with VerticalScroll(can_focus=False):
                yield Static(self._text)
            yield Static("Up and Down scroll, Esc closes", classes="dialog-hint")

    def action_scroll(self, step: int) -> None:
        """Move the text."""
        self.query_one(VerticalScroll).scroll_relative(y=step, animate=False)
