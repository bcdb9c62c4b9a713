"""Progress is drawn on a terminal and nearly silent elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from genodl.cli import progress
from genodl.cli.progress import Display, display


def shown() -> Display:
    """A display on a terminal of memory."""
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    return Display(console, Progress(console=console, auto_refresh=False))


def test_items_pass_unchanged_and_short_steps_are_silent(capsys):
    with display() as quiet:
        assert list(quiet.track(range(3), "counting", 3)) == [0, 1, 2]
        with quiet.step("reading"):
            pass
    assert capsys.readouterr() == ("", "")


def test_a_long_loop_leaves_one_line_on_stderr(capsys, monkeypatch):
    monkeypatch.setattr(progress, "LONG", 0.0)
    with display() as quiet:
        list(quiet.track(range(3), "counting [b]", 3))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "counting [b]: 0 s\n"


def test_a_fault_after_a_long_step_stays_alone_on_stderr(capsys, monkeypatch):
    monkeypatch.setattr(progress, "LONG", 0.0)
    with display() as quiet:
        with quiet.step("reading"):
            pass
        with pytest.raises(ZeroDivisionError):
            sum(1 / item for item in quiet.track(range(3), "counting", 3))
    assert capsys.readouterr() == ("", "")


def test_a_bar_moves_by_the_width_of_each_block():
    drawn = shown()
    seen = []
    for start, _ in drawn.track([(0, 40), (40, 25)], "scanning", 65):
        seen.append((start, drawn.bars.tasks[0].completed))
    assert seen == [(0, 0), (40, 40)]
    assert drawn.bars.tasks[0].completed == drawn.bars.tasks[0].total == 65


def test_a_bar_counts_plain_items():
    drawn = shown()
    assert list(drawn.track("abc", "learning", 3)) == ["a", "b", "c"]
    assert drawn.bars.tasks[0].completed == 3


def test_a_step_of_unknown_length_ends_full():
    drawn = shown()
    with drawn.step("reading"):
        assert drawn.bars.tasks[0].total is None
    assert drawn.bars.tasks[0].finished


def test_the_cursor_returns_when_a_step_fails_on_a_terminal(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(
        progress, "Console", lambda stderr: Console(file=screen, force_terminal=True, width=80)
    )
    with pytest.raises(ZeroDivisionError), display() as drawn:
        sum(1 / item for item in drawn.track(range(3), "counting", 3))
    hidden, visible = "\x1b[?25l", "\x1b[?25h"
    assert hidden in screen.getvalue()
    assert screen.getvalue().rfind(visible) > screen.getvalue().rfind(hidden)
