"""The open editors: several texts in one widget, kept at the bastion as they are typed, so that they are there again
after a restart, on whatever machine.

A person may have several workstations open. Each text is kept by itself, with a version: one that was changed
elsewhere meanwhile is not lost but opened beside the one that takes its place. Which editors were open in what order,
and where the cursor was, is kept apart, and there the last one to write wins.
"""

from __future__ import annotations

import base64
import uuid
import zlib
from dataclasses import dataclass, field

import msgspec
from textual.timer import Timer

from bastion.api.language import translate as _

from ..widgets.confirmation import Confirmation, TextQuestion
from ..widgets.editor import Buffer, SqlEditor
from ..widgets.tabs import TabLine
from ..workstation import Page

KIND = "editor"
VIEW_KIND, VIEW_KEY = "editor-view", "last"
SAVE_SECONDS = 2.0
"""After the last key until the text is kept."""
PACKED_FROM = 20_000
"""Characters from which on a text is kept compressed: a value may have 64 KB."""
LONGEST_UNPACKED = 8 * 1024 * 1024
MOST = 30
"""Editors at once."""
LONGEST_NAME = 60


class KeptEditor(msgspec.Struct, omit_defaults=True):
    """An editor as it is kept. `packed`: its text, deflated and in base64, where it is long."""

    name: str
    place: int = 0
    """Among the others, where it was opened."""
    text: str = ""
    packed: str = ""
    number: int = 0
    """Of one without a name."""
    version: int = 0
    """How often it was kept."""
    writer: str = ""
    """The workstation that kept it last."""

    @property
    def content(self) -> tuple[str, str, str]:
        """What the person would miss."""
        return self.name, self.text, self.packed

    def whole(self) -> str:
        """Its text. What cannot be unpacked is empty."""
        if not self.packed:
            return self.text
        try:
            unpacker = zlib.decompressobj()
            return unpacker.decompress(base64.b64decode(self.packed), LONGEST_UNPACKED).decode()
        except (ValueError, zlib.error):
            return ""


class KeptView(msgspec.Struct, omit_defaults=True):
    """Keys of the editors in their order, the one in view, and line and column of each cursor, from 0."""

    order: list[str] = []
    here: str = ""
    cursors: dict[str, tuple[int, int]] = {}


@dataclass
class OpenEditor:
    """A tab. `kept`: as it was kept last."""

    key: str
    number: int
    name: str = ""
    buffer: Buffer | None = None
    """None while it is the one in view."""
    kept: KeptEditor | None = field(default=None, repr=False)

    @property
    def title(self) -> str:
        """Its name, or a number."""
        return self.name or _("Query {number}").format(number=self.number)


class Editors:
    """One of the tabs is in view; its text is the widget's."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._tabs = [OpenEditor(uuid.uuid4().hex, 1)]
        self._here = 0
        self._timer: Timer | None = None
        self._restored = False
        self._writer = uuid.uuid4().hex
        self._kept_view = KeptView()

    @property
    def _editor(self) -> SqlEditor:
        return self._page.query_one(SqlEditor)

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._tabs)

    def _show(self) -> None:
        self._page.query_one(TabLine).show([tab.title for tab in self._tabs], self._here)

    # -- kept at the bastion

    async def restore(self) -> None:
        """Opens what was open; what has been typed meanwhile stays in view."""
        if self._restored:
            return
        self._restored = True
        kept = await self._page.workstation.personal.items(KIND, KeptEditor, limit=MOST)
        if not kept:
            return
        view = await self._page.workstation.personal.get(VIEW_KIND, VIEW_KEY, KeptView) or KeptView()
        order = {key: place for place, key in enumerate(view.order)}
        kept.sort(key=lambda item: (order.get(item.key, len(order)), item.value.place, item.key))
        typed = bool(self._editor.text.strip())
        tabs: list[OpenEditor] = []
        here = 0
        for item in kept:
            value = item.value
            if item.key == view.here:
                here = len(tabs)
            row, column = view.cursors.get(item.key, (0, 0))
            buffer = self._editor.new_buffer(value.whole(), (max(row, 0), max(column, 0)))
            # Two workstations count for themselves.
            free = value.number and all(value.number != tab.number for tab in tabs)
            number = value.number if free else self._next_number(tabs)
            tabs.append(OpenEditor(item.key, number, value.name[:LONGEST_NAME], buffer, value))
        self._kept_view = view
        if typed:
            mine = self._tabs[self._here]
            mine.number = self._next_number(tabs)
            self._tabs, self._here = [*tabs, mine], len(tabs)
        else:
            self._tabs, self._here = tabs, here
            self._take(here)
        self._show()

    def changed(self) -> None:
        """Something was typed: it is kept when no key has come for a while."""
        if self._timer is None:
            self._timer = self._page.set_timer(SAVE_SECONDS, self.save)
        else:
            self._timer.reset()

    def save(self) -> None:
        """Keeps what has changed, in the background."""
        self._page.run_worker(self.keep(), group="keep-editors")

    async def keep(self) -> None:
        """Keeps what has changed; what could not be kept is tried again the next time."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        for place, tab in enumerate(self._tabs):  # one that is opened meanwhile is kept as well
            now, before = self._as_kept(tab, place), tab.kept
            if now.content != (before.content if before is not None else ("", "", "")):
                await self._keep_one(tab, now)
        view = self._view()
        if view != self._kept_view and await self._page.workstation.personal.put(VIEW_KIND, VIEW_KEY, view):
            self._kept_view = view

    async def _keep_one(self, tab: OpenEditor, now: KeptEditor) -> None:
        before, personal = tab.kept, self._page.workstation.personal
        known = before.version if before is not None else 0
        there = await personal.get(KIND, tab.key, KeptEditor)
        if there is not None and there.version > known and there.writer != self._writer:
            known = there.version
            if there.content != now.content:
                self._open_other(tab, there)
        now.version = known + 1
        tab.kept = now
        if not await personal.put(KIND, tab.key, now) and tab.kept is now:
            tab.kept = before

    def _open_other(self, tab: OpenEditor, there: KeptEditor) -> None:
        """What another workstation of the person has kept of the same editor, behind it."""
        title = _("{name}, elsewhere").format(name=there.name or tab.title)[:LONGEST_NAME]
        other = OpenEditor(uuid.uuid4().hex, self._next_number(self._tabs), title)
        other.buffer = self._editor.new_buffer(there.whole())
        place = self._tabs.index(tab) + 1 if tab in self._tabs else len(self._tabs)
        self._tabs.insert(place, other)
        if place <= self._here:
            self._here += 1
        self._show()
        self.changed()
        self._page.workstation.told(
            _(
                "The editor {name} was changed on another workstation of yours meanwhile. That text is in the editor "
                "beside it."
            ).format(name=tab.title),
            bad=True,
        )

    def _view(self) -> KeptView:
        cursors = {}
        for tab in self._tabs:
            if tab.kept is not None:
                cursors[tab.key] = (tab.buffer or self._editor.buffer()).selection.end
        here = self._tabs[self._here]
        return KeptView(list(cursors), here.key if here.key in cursors else "", cursors)

    def _as_kept(self, tab: OpenEditor, place: int) -> KeptEditor:
        buffer = tab.buffer or self._editor.buffer()
        text = buffer.document.text
        kept = KeptEditor(tab.name, place, number=tab.number, writer=self._writer)
        if len(text) < PACKED_FROM:
            kept.text = text
        else:
            kept.packed = base64.b64encode(zlib.compress(text.encode("utf-8", "replace"))).decode()
        return kept

    # -- which one

    def _next_number(self, tabs: list[OpenEditor]) -> int:
        taken = {tab.number for tab in tabs}
        return next(number for number in range(1, len(tabs) + 2) if number not in taken)

    def _put_away(self) -> None:
        self._tabs[self._here].buffer = self._editor.buffer()

    def _take(self, index: int) -> None:
        self._here = index
        tab = self._tabs[index]
        buffer, tab.buffer = tab.buffer or self._editor.new_buffer(), None
        self._editor.show_buffer(buffer)
        self._show()

    def go(self, index: int) -> None:
        """Shows the tab, counted from 0."""
        if 0 <= index < len(self._tabs) and index != self._here:
            self._put_away()
            self._take(index)
            self.changed()
        self._editor.focus()

    def step(self, by: int) -> None:
        """Shows the next one or the one before."""
        self.go((self._here + by) % len(self._tabs))

    def new(self, text: str = "", name: str = "") -> None:
        """Opens one more beside the one in view."""
        if len(self._tabs) >= MOST:
            self._page.workstation.told(_("No more than {count} editors can be open.").format(count=MOST), bad=True)
            return
        self._put_away()
        tab = OpenEditor(uuid.uuid4().hex, self._next_number(self._tabs), name[:LONGEST_NAME])
        tab.buffer = self._editor.new_buffer(text)
        self._tabs.insert(self._here + 1, tab)
        self._take(self._here + 1)
        self.changed()
        self._editor.focus()

    async def close(self) -> None:
        """Closes the one in view, after asking where there is something in it."""
        tab = self._tabs[self._here]
        if self._editor.text.strip():
            question = Confirmation(
                _("Close {name}?").format(name=tab.title),
                _("Its text is removed. Save it as a query first to keep it."),
                _("Close"),
                _("Keep"),
            )
            if not await self._page.app.push_screen_wait(question):
                return
        await self._forget(tab)
        self._tabs.remove(tab)
        if not self._tabs:
            self._tabs = [OpenEditor(uuid.uuid4().hex, 1)]
        self._take(min(self._here, len(self._tabs) - 1))
        self.changed()
        self._editor.focus()

    async def _forget(self, tab: OpenEditor) -> None:
        """Unless it was changed elsewhere meanwhile: there it is still open."""
        personal = self._page.workstation.personal
        known = tab.kept.version if tab.kept is not None else 0
        there = await personal.get(KIND, tab.key, KeptEditor)
        if there is None or there.version <= known or there.writer == self._writer:
            personal.remove_soon(KIND, tab.key)

    async def rename(self) -> None:
        """Asks for a name."""
        tab = self._tabs[self._here]
        name = await self._page.app.push_screen_wait(TextQuestion(_("Name of this editor"), tab.title))
        if name is not None:
            tab.name = " ".join(name.split())[:LONGEST_NAME]
            self._show()
            self.changed()
