"""The log: wrapped, its newest entry in view, everything kept within reason."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.screen import Screen

from vixtui.tui.widgets.log_pane import LogPane


class _Logged(App[None]):
    def compose(self) -> ComposeResult:
        yield LogPane()


def rows(screen: str) -> list[str]:
    """Return what is shown left of the scroll bar."""
    return [row for line in screen.splitlines() if (row := line[:18].rstrip())]


def epochs(*numbers: int) -> list[str]:
    return [f"epoch {number}" for number in range(*numbers)]


async def test_long_entries_wrap_and_wrap_anew(until, shown) -> None:
    async with _Logged().run_test(size=(20, 5)) as pilot:
        pilot.app.query_one(LogPane).add(["epoch 1: 21.5 % validation, kept"])
        await until(pilot, lambda: rows(shown(pilot)) == ["epoch 1: 21.5 %", "validation, kept"])
        await pilot.resize_terminal(40, 5)
        await until(pilot, lambda: "epoch 1: 21.5 % validation, kept\n" in shown(pilot))


async def test_the_scroll_bar_hides_no_letter(until, shown) -> None:
    async with _Logged().run_test(size=(20, 5)) as pilot:
        pilot.app.query_one(LogPane).add(["abcdefghijklmnopqrstuvwxyz" * 10])
        letters = ("abcdefghijklmnopqrstuvwxyz" * 10)[-(260 % 18) - 4 * 18 :]
        await until(pilot, lambda: "".join(rows(shown(pilot))) == letters)


async def test_the_newest_entry_is_in_view_however_many_there_were(until, shown) -> None:
    async with _Logged().run_test(size=(20, 5)) as pilot:
        pane = pilot.app.query_one(LogPane)
        for first in range(0, 1200, 10):
            pane.add(epochs(first, first + 10))
        await until(pilot, lambda: rows(shown(pilot)) == epochs(1195, 1200))
        pane.scroll_home(animate=False, force=True)
        await until(pilot, lambda: rows(shown(pilot)) == epochs(700, 705))


async def test_whoever_reads_older_entries_is_not_interrupted(until, shown) -> None:
    async with _Logged().run_test(size=(20, 5)) as pilot:
        pane = pilot.app.query_one(LogPane)
        pane.add(epochs(50))
        pane.scroll_home(animate=False, force=True)
        await until(pilot, lambda: rows(shown(pilot)) == epochs(5))
        pane.add(["epoch 50"])
        await pilot.resize_terminal(20, 4)
        await until(pilot, lambda: rows(shown(pilot)) == epochs(4))
        pane.scroll_end(animate=False, force=True)
        await until(pilot, lambda: rows(shown(pilot)) == epochs(47, 51))
        pane.add(["epoch 51"])
        await until(pilot, lambda: rows(shown(pilot)) == epochs(48, 52))


async def test_another_log_is_followed_from_its_start(until, shown) -> None:
    async with _Logged().run_test(size=(20, 5)) as pilot:
        pane = pilot.app.query_one(LogPane)
        pane.add(epochs(50))
        pane.scroll_home(animate=False, force=True)
        pane.clear()
        pane.add(epochs(100, 300))
        await until(pilot, lambda: rows(shown(pilot)) == epochs(295, 300))
        pane.clear()
        await pilot.resize_terminal(30, 5)
        pane.add(["alone"])
        await until(pilot, lambda: rows(shown(pilot)) == ["alone"])


async def test_what_came_while_another_screen_was_shown_ends_in_view(until, shown) -> None:
    async with _Logged().run_test(size=(20, 5)) as pilot:
        pane = pilot.app.query_one(LogPane)
        await pilot.app.push_screen(Screen())
        pane.add(epochs(50))
        await pilot.app.pop_screen()
        await until(pilot, lambda: rows(shown(pilot)) == epochs(45, 50))


async def test_a_dragged_mouse_takes_the_text_along(until, shown) -> None:
    async with _Logged().run_test(size=(20, 5)) as pilot:
        pilot.app.query_one(LogPane).add(epochs(50))
        await until(pilot, lambda: rows(shown(pilot)) == epochs(45, 50))
        await pilot.mouse_down(LogPane, offset=(6, 1))
        await pilot.hover(LogPane, offset=(8, 3))
        await pilot.mouse_up(LogPane, offset=(8, 3))
        await until(pilot, lambda: pilot.app.screen.get_selected_text())
        assert pilot.app.screen.get_selected_text().startswith("46\nepoch 47\nepoch 48")
