"""Colours, keys, palette, help, settings, drawing: what all pages have in common."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.color import Color as RichColor
from rich.color import ColorSystem
from rich.style import Style
from textual.color import Color
from textual.pilot import Pilot
from textual.widgets import Input

from bastion.api import language
from screens.palette import PaletteDialog
from screens.widgets.editor import SqlEditor
from screens.workstation import Dialog, Page
from tui import keymap, settings
from tui.app import CasemateApp
from tui.local import run
from tui.pace import Pace
from tui.theme import CONTRAST, DARK, LIGHT, PLAIN_STYLES, SIXTEEN_STYLES, STYLES, THEMES, colours_of, styles, theme_for

from .conftest import settled
from .terminal import terminal
from .world import world

HOUSE = Path(__file__).parents[3]
SIZE = (100, 30)


def shown(pilot: Pilot[Any]) -> str:
    return "\n".join(strip.text for strip in pilot.app.screen._compositor.render_strips())


async def press(pilot: Pilot[Any], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await settled(pilot)


async def typed(pilot: Pilot[Any], text: str, *keys: str) -> None:
    """`text` into the field with the focus, as pasted, and then keys."""
    field = pilot.app.focused
    assert isinstance(field, Input)
    field.insert_text_at_cursor(text)
    await settled(pilot)
    await press(pilot, *keys)


# ---------------------------------------------------------------------------------------------------------- the colours


def contrast(one: Color, other: Color) -> float:
    """WCAG 2.2: (L1 + 0.05) / (L2 + 0.05)."""

    def luminance(color: Color) -> float:
        parts = [part / 255 for part in color.rgb]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def in_256(color: str) -> Color:
    rich = RichColor.parse(color).downgrade(ColorSystem.EIGHT_BIT)
    return Color(*rich.get_truecolor())


@pytest.mark.parametrize(("palette", "least"), [(DARK, 4.5), (LIGHT, 4.5), (CONTRAST, 7.0)])
@pytest.mark.parametrize("reduced", [False, True], ids=["truecolor", "256 colours"])
def test_every_text_of_a_theme_can_be_read(palette: Any, least: float, reduced: bool) -> None:
    parse = in_256 if reduced else Color.parse
    poor = []
    for name, style in styles(palette).items():
        parsed = Style.parse(style)
        assert parsed.color is not None, name
        foreground = parsed.color.name
        grounds = [parsed.bgcolor.name] if parsed.bgcolor is not None else [*palette.grounds, palette.idle]
        poor += [
            (name, foreground, ground, round(contrast(parse(foreground), parse(ground)), 2))
            for ground in grounds
            if contrast(parse(foreground), parse(ground)) < (least if ground != palette.idle else min(least, 4.5))
        ]
    assert poor == []


def test_with_sixteen_colours_no_text_has_a_colour_without_its_background() -> None:
    for name, style in SIXTEEN_STYLES.items():
        parsed = Style.parse(style)
        coloured = [color for color in (parsed.color, parsed.bgcolor) if color is not None and not color.is_default]
        assert len(coloured) in (0, 2), f"{name}: nobody knows the terminal's own background"


def test_without_colours_states_differ_from_plain_text() -> None:
    for name, style in PLAIN_STYLES.items():
        parsed = Style.parse(style)
        assert all(color is None or color.is_default for color in (parsed.color, parsed.bgcolor)), name
    assert all(PLAIN_STYLES[name] != "default" for name in ("warning", "danger", "production", "selection"))


def test_every_theme_has_every_name() -> None:
    names = set(STYLES[THEMES["dark"].name])
    assert all(set(STYLES[theme.name]) == names for theme in THEMES.values())


@pytest.mark.parametrize(
    ("system", "environment", "theme"),
    [
        ("truecolor", {"TERM": "xterm-256color"}, "casemate-light"),
        ("256", {"TERM": "xterm-256color"}, "casemate-light"),
        ("standard", {"TERM": "xterm"}, "casemate-sixteen"),
        ("truecolor", {"TERM": "xterm-256color", "NO_COLOR": "1"}, "casemate-plain"),
        ("standard", {"TERM": "vt100"}, "casemate-plain"),
        (None, {"TERM": "dumb"}, "casemate-plain"),
    ],
)
def test_the_theme_is_the_chosen_one_where_the_terminal_can_show_it(
    system: str | None, environment: dict[str, str], theme: str
) -> None:
    assert theme_for(colours_of(system, environment), "light") == theme


LITERAL = re.compile(
    r"""style=["'](?:bold |italic |dim )*(red|green|yellow|blue|cyan|magenta|white|black|dim|bright_\w+|\#\w+)\b"""
    r"""|(?:color|background|border[\w-]*):[^;]*?(\#[0-9a-fA-F]{3,8}\b|\$(?:primary|secondary|panel-(?:light|dark)\w+-\d|"""
    r"""text-(?:muted|error|success|warning|primary)|success|error|boost)\b)"""
)


def test_no_page_names_a_colour() -> None:
    found = [
        f"{file.relative_to(HOUSE)}:{number}: {line.strip()}"
        for file in sorted((HOUSE / "screens").rglob("*.py"))
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if LITERAL.search(line)
    ]
    assert found == []


async def test_without_colours_no_colour_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with terminal(monkeypatch, *SIZE) as screen:
        scripted = world(tmp_path)
        scripted.app.theme_at_first = None
        async with scripted.app.run_test(size=SIZE) as pilot:
            await settled(pilot)
            await press(pilot, "3")
            codes = {
                code
                for sequence in re.findall(r"\x1b\[([\d;]*)m", "".join(screen.written))
                for code in sequence.split(";")
            }
    assert codes
    assert codes <= {"", "0", "1", "2", "3", "4", "7"}


async def test_the_cursor_is_seen_without_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with terminal(monkeypatch, *SIZE) as screen:
        scripted = world(tmp_path)
        scripted.app.theme_at_first = None
        async with scripted.app.run_test(size=SIZE) as pilot:
            await settled(pilot)
            await press(pilot, "3", "down")
            await drawn(pilot)
            [row] = [number for number, line in enumerate(screen.lines) if "bob" in line and "live" in line]
            assert all(cell[4] for cell in screen.attributes()[row][1:5])
            assert not any(cell[4] for cell in screen.attributes()[row - 1][1:5])


# ------------------------------------------------------------------------------------------------------------- the keys


def pages() -> list[type]:
    return [owner for owner in keymap.classes() if issubclass(owner, Page | Dialog)]


@pytest.fixture(autouse=True)
def named() -> None:
    keymap.name_actions()


def test_no_class_has_one_key_twice() -> None:
    twice = set()
    for owner in keymap.classes():
        seen: dict[str, str] = {}
        for binding in keymap.own_bindings(owner):
            for key in keymap.split_keys(binding.key):
                if key in seen and seen[key] != binding.action:
                    twice.add((owner.__name__, key, seen[key], binding.action))
                seen[key] = binding.action
    # One works while there is a connection, the other while there is none.
    assert twice - {("ConsoleScreen", "f5", "run", "reconnect"), ("ConsoleScreen", "f8", "cancel", "why")} == set()


MEANT = {
    # In the catalog F5 loads again what the cursor is on; the editor's keys come back with F6.
    ("catalog-tree.reload", "console.run"),
    ("catalog-tree.reload", "console.reconnect"),
    # Only while a token is about to end; completion has Ctrl+Space as well.
    ("sql-editor.complete", "app.renew-tokens"),
    # These close what they have opened.
    ("help.leave", "app.help"),
    ("palette.leave", "app.command-palette"),
    # Both lead out of it.
    ("find-bar.close", "console.next-pane"),
}


def test_nothing_hides_a_key_of_what_lies_below_it() -> None:
    """A widget the keys of its page, a page those of the application."""
    hidden = set()
    for place in keymap.places():
        for number, above in enumerate(place.layers):
            if issubclass(above, Input):
                continue
            for below in place.layers[number + 1 :]:
                its, others = keymap.keys_of(above, {}), keymap.keys_of(below, {})
                for key in set(its) & set(others):
                    (one, binding), (other, lower) = its[key], others[key]
                    same = binding.action.rpartition(".")[2] == lower.action.rpartition(".")[2]
                    # Letters are typed in one place and act in another; Esc and Enter are for whatever is on top, and
                    # / searches in what has the focus.
                    if same or len(key) == 1 or key in ("escape", "enter", "slash") or (one, other) in MEANT:
                        continue
                    hidden.add((key, one, other))
    assert hidden == set()


def test_every_action_has_a_key_that_arrives() -> None:
    lost = [
        (name, keys)
        for name, (keys, _words) in keymap.default_keys().items()
        if all(keymap.reserved(key) or not keymap.known(key) for key in keymap.split_keys(keys))
    ]
    assert lost == []


def test_names_of_actions_are_single() -> None:
    actions: dict[str | None, set[str]] = {}
    for owner in keymap.classes():
        for binding in keymap.own_bindings(owner):
            actions.setdefault(binding.id, set()).add(f"{owner.__name__} {binding.action}")
    assert None not in actions
    assert {name: several for name, several in actions.items() if len(several) > 1} == {}


def test_every_key_has_chinese_words() -> None:
    english = [
        (name, words)
        for name, (_keys, words) in keymap.default_keys().items()
        if words and language.translate_to("zh_CN", words) == words
    ]
    assert english == []


@pytest.mark.parametrize(
    ("name", "keys", "reason"),
    [
        ("console.run", "ctrl+s", "XOFF"),
        ("console.run", "ctrl+b", "tmux"),
        ("console.run", "alt+r", "different ways"),
        ("console.run", "f99", "no such key"),
        ("console.walk", "f5", "no such action"),
        ("console.run", "f9", "on the page console it is the key of console.run-all already"),
        ("console.run", "f1", "it is the key of app.help already"),
    ],
)
def test_a_key_that_cannot_be_is_refused_with_the_reason(name: str, keys: str, reason: str) -> None:
    good, [problem] = keymap.check({name: keys})
    assert good == {}
    assert reason in str(problem)
    assert "The default is kept." in str(problem)


def test_two_actions_can_change_keys() -> None:
    wanted = {"databases.token": "f5", "databases.refresh": "f3"}
    assert keymap.check(wanted) == (wanted, [])


async def test_a_key_map_is_in_force(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    scripted.app.preferences.settings.keys = {"databases.token": "f9", "databases.refresh": "ctrl+b"}
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await settled(pilot)
        text = shown(pilot)
        assert "F9 Token" in text
        assert "prefix of tmux" in " ".join(text.split())
        await press(pilot, "f3")
        assert not isinstance(pilot.app.screen, Dialog)
        await press(pilot, "f9")
        assert isinstance(pilot.app.screen, Dialog)


async def test_a_key_is_given_by_pressing_it(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "f2")
        await typed(pilot, "keys of", "enter")
        await typed(pilot, "databases.token", "enter", "f5")
        text = shown(pilot)
        assert "it is the key of" in text
        assert "databases.refresh already" in text
        await press(pilot, "enter", "f9")
        assert "(changed)" in shown(pilot)
        await press(pilot, "escape")
        assert "F9 Token" in shown(pilot)
        await scripted.app.personal.flush()
        assert '"databases.token":"f9"' in scripted.link.asked("personal.put")[-1].value
        await press(pilot, "f2")
        await typed(pilot, "keys of", "enter")
        await typed(pilot, "databases.token", "f8", "escape")
        assert "F3 Token" in shown(pilot)


def test_the_key_file_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.settings.user_config_path", lambda *_: tmp_path)
    settings.keys_file().write_text(keymap.as_toml({"console.run": "f9"}), encoding="utf-8")
    complaints: list[str] = []
    assert settings.load(complaints.append).keys == {"console.run": "f9"}
    assert complaints == []
    settings.keys_file().write_text("[keys\n", encoding="utf-8")
    assert settings.load(complaints.append).keys == {}
    assert "keys.toml is left out" in complaints[0]


# ---------------------------------------------------------------------------------------------------- the palette, help


@pytest.mark.parametrize("words", ["aud", "审计"])
async def test_the_palette_is_found_by_english_and_by_chinese_words(tmp_path: Path, words: str) -> None:
    async with world(tmp_path).app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "f2")
        await typed(pilot, words, "enter")
        assert pilot.app.current_mode == "audit"


async def test_the_palette_does_what_other_pages_can_do(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "3", "1", "f2")
        await typed(pilot, "live only", "enter")
        assert pilot.app.current_mode == "audit"
        assert "live only" in shown(pilot)


async def test_every_action_of_a_page_is_in_its_palette_and_help(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=(160, 48)) as pilot:
        await settled(pilot)
        for keys, owners in (((), ("DatabasesScreen",)), (("3",), ("AuditScreen",))):
            await press(pilot, *keys)
            page = type(pilot.app.screen)
            assert page.__name__ in owners
            offered = {
                binding.description
                for binding in keymap.own_bindings(page)
                if pilot.app.screen.check_action(binding.action.partition("(")[0], ()) and binding.key != "enter"
            }
            await press(pilot, "f2")
            assert isinstance(pilot.app.screen, PaletteDialog)
            listed = {command.words for command in pilot.app.screen._commands}
            assert offered - listed == set()
            await press(pilot, "escape", "f1")
            help_text = shown(pilot)
            assert [words for words in offered if words not in help_text] == []
            await press(pilot, "escape")


async def test_the_help_is_searched(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "f1")
        await typed(pilot, "palette")
        text = shown(pilot)
        assert "F2" in text
        assert "Refresh" not in text.split("search")[0].split("Keys.")[1]
        await press(pilot, "f1")
        assert not isinstance(pilot.app.screen, Dialog)


async def test_the_key_line_keeps_help_and_palette_in_view(tmp_path: Path) -> None:
    for columns in (80, 60):
        async with world(tmp_path).app.run_test(size=(columns, 24)) as pilot:
            await settled(pilot)
            line = shown(pilot).splitlines()[-1]
            assert "F1 Help" in line
            assert "F2 Palette" in line


# --------------------------------------------------------------------------------------------------------- the settings


async def choose_setting(pilot: Pilot[Any], row: int, times: int = 1) -> None:
    await press(pilot, "f2")
    await typed(pilot, "settings", "enter", *["down"] * row, *["enter"] * times)


async def test_a_setting_is_kept_at_the_bastion_and_here(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    kept: list[settings.Settings] = []
    scripted.app.preferences._keep = kept.append
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await choose_setting(pilot, 0)
        assert scripted.app.theme == "casemate-light"
        assert kept[-1].theme == "light"
        await scripted.app.personal.flush()
        assert '"theme":"light"' in scripted.link.asked("personal.put")[-1].value


def test_a_workstation_of_ones_own_has_the_settings_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.settings.user_config_path", lambda *_: tmp_path)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("sys.stdout", SimpleNamespace(isatty=lambda: True))
    (tmp_path / "workstation.toml").write_text('theme = "light"\n', encoding="utf-8")
    ran: list[Any] = []
    monkeypatch.setattr(CasemateApp, "run", lambda self: ran.append(self) or 0)
    assert run("alice@bastion.example.com", known_hosts=tmp_path / "known_hosts", plain=True) == 0
    [app] = ran
    assert app.preferences.settings.theme == "light"
    assert app.start.plain
    app.preferences._keep(settings.Settings(theme="contrast", keys={"databases.token": "f9"}))
    complaints: list[str] = []
    again = settings.load(complaints.append)
    assert (again.theme, again.keys) == ("contrast", {"databases.token": "f9"})
    assert complaints == []


async def test_the_language_changes_while_it_runs(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await choose_setting(pilot, 1, 2)
        assert "语言" in shown(pilot)
        await press(pilot, "escape")
        text = shown(pilot)
        assert "数据库" in text
        assert "billing" in text
        assert "Databases" not in text


async def test_plain_pages_have_no_frames_and_numbered_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, *SIZE) as screen:
        scripted = world(tmp_path)
        scripted.app.preferences.settings.plain = True
        async with scripted.app.run_test(size=SIZE) as pilot:
            await settled(pilot)
            for keys in (("3",), ("f2",), ("escape", "f1")):
                await press(pilot, *keys)
                await drawn(pilot)
                text = "\n".join(screen.lines)
                assert not re.search("[\u2500-\u259f]", text)
                if keys == ("3",):
                    assert "1. live" in text
                    # The terminal's cursor is on the line that the keys act on: there a screen reader reads.
                    assert screen.lines[screen._screen.cursor.y].lstrip().startswith("1. live")
                    assert not screen._screen.cursor.hidden


async def test_the_terminals_cursor_is_where_the_keys_go_in_the_console(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with terminal(monkeypatch, *SIZE) as screen:
        scripted = world(tmp_path)
        scripted.app.preferences.settings.plain = True
        async with scripted.app.run_test(size=SIZE) as pilot:
            await settled(pilot)
            await press(pilot, "enter")
            pilot.app.screen.query_one(SqlEditor).load_text("select 1")
            await press(pilot, "f5", "f6", "down")
            await drawn(pilot)
            assert "100002" in screen.lines[screen._screen.cursor.y]
            await press(pilot, "f6", "down")
            await drawn(pilot)
            assert "tables" in screen.lines[screen._screen.cursor.y]


# ----------------------------------------------------------------------------------------------- the link, the terminal


def test_a_link_is_slow_from_150_ms_and_fast_again_below_100() -> None:
    changes: list[str] = []
    pace = Pace(lambda: changes.append(pace.words()))
    for takes in (0.02, 0.9, 0.03):
        pace.bastion_takes(takes)
    assert not pace.sparing
    for takes in (0.24, 0.26, 0.25):
        pace.bastion_takes(takes)
    assert pace.sparing
    assert pace.words() == "slow link, 250 ms"
    pace.want("off")
    assert not pace.sparing
    pace.want("auto")
    for takes in (0.12, 0.12, 0.12):
        pace.bastion_takes(takes)
    assert pace.sparing
    for takes in (0.05, 0.05, 0.05):
        pace.bastion_takes(takes)
    assert not pace.sparing
    assert changes[-1] == ""


async def test_a_slow_link_is_said_and_drawn_to_less_often(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        scripted.link.takes = 0.3
        await scripted.app._ask_pace()
        await settled(pilot)
        assert "slow link, 300 ms" in shown(pilot).splitlines()[0]
        assert pilot.app.screen._update_timer._interval == pytest.approx(1 / 12)
        await choose_setting(pilot, 3, 2)
        assert pilot.app.screen._update_timer._interval == pytest.approx(1 / 60)


async def test_the_title_follows_the_page_and_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, *SIZE) as screen:
        async with world(tmp_path).app.run_test(size=SIZE) as pilot:
            await settled(pilot)
            await press(pilot, "enter")
            await drawn(pilot)
            written = "".join(screen.written)
            assert "\x1b[22;2t" in written
            assert "\x1b]2;casemate: Databases\a" in written
            assert "\x1b]2;casemate: orders\a" in written
            await press(pilot, "ctrl+backslash")
        assert "".join(screen.written).rstrip().endswith("\x1b]2;\a\x1b[23;2t")


async def drawn(pilot: Pilot[Any]) -> None:
    """Until what has changed has been drawn."""
    done: list[bool] = []
    pilot.app.screen.call_after_refresh(done.append, True)
    pilot.app.screen.refresh()
    for _turn in range(200):
        if done:
            break
        await pilot.pause(0.01)
    await settled(pilot)


async def test_the_terminal_shows_what_the_pages_are_though_little_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with terminal(monkeypatch, 80, 24) as screen:
        async with world(tmp_path).app.run_test(size=(80, 24)) as pilot:
            await settled(pilot)
            for keys in ((*"or", "backspace"), ("f2",), ("down",), ("escape",), ("3",), ("down",), ("1",), ("f1",)):
                await press(pilot, *keys)
                await drawn(pilot)
                meant = [line.rstrip() for line in shown(pilot).splitlines()]
                assert [line.rstrip() for line in screen.lines] == meant, keys
            await press(pilot, "escape")
            await drawn(pilot)
            screen.taken()
            await press(pilot, "o")
            await drawn(pilot)
            # Without leaving out what is there already it was 2,500.
            assert 0 < screen.taken() < 900


async def test_a_terminal_of_another_size_is_drawn_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, 80, 24) as screen:
        async with world(tmp_path).app.run_test(size=(80, 24)) as pilot:
            await settled(pilot)
            for size in ((100, 30), (60, 20), (80, 24)):
                # Terminals move their lines about when they are resized.
                screen.resize(*size)
                screen.write("\x1b[H" + "garbage " * 200)
                await pilot.resize_terminal(*size)
                await drawn(pilot)
                meant = [line.rstrip() for line in shown(pilot).splitlines()]
                assert [line.rstrip() for line in screen.lines] == meant, size
