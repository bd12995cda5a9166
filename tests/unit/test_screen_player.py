"""Recordings of screens: found by time, gone about in, read as text; and the feed that fetches them."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from backends.cast import Cast, CastBroken
from backends.screen_feed import ScreenFeed
from backends.screen_playback import AT_ONCE, Playback
from backends.screen_player import KEYFRAME, ScreenIndex, ScreenPlayer, behind
from bastion.api import messages as m
from bastion.api.screens import PICTURE_BEGINS, ScreenFollowRequest, ScreenPiece, ScreenReadRequest

from .screens.recorded import LiveScreen, at, cast, pack, picture, read_of


def cast_of(data: bytes) -> Cast:
    made = Cast()
    made.add_lines(data)
    return made


def long_recording(seconds: int, *, pictures: bool, seed: int = 7) -> bytes:
    """Work of so long: something every second, a whole page drawn anew every ten."""
    some = random.Random(seed)
    events: list[tuple[float, str, str]] = []
    since = 0
    for second in range(seconds):
        text = at(some.randrange(1, 30), some.randrange(1, 60), f"word {second} 数据", f"38;5;{second % 256}")
        if second % 10 == 9:
            text += "".join(
                at(y, 1, f"page {second} line {y} ".ljust(90, "."), f"38;2;{second % 256};9;{y}") for y in range(1, 31)
            )
        if second % 60 == 59:
            events.append((0.0, "r", "100x30" if second % 120 == 59 else "90x28"))
        events.append((1.0, "o", text))
        since += len(text)
        if pictures and since > 256 * 1024:
            since = 0
            events.append((0.0, "o", picture(100, 30, *(at(y, 1, f"whole {second} {y}") for y in range(1, 29)))))
    return cast(*events, columns=100, lines=30)


@pytest.mark.parametrize("pictures", [False, True], ids=["snapshots", "pictures"])
def test_any_moment_shows_what_playing_up_to_it_shows(pictures: bool) -> None:
    held = cast_of(long_recording(1500, pictures=pictures))
    index = ScreenIndex(held)
    assert index.read_on()
    assert bool(held.pictures) == pictures
    jumping, some = ScreenPlayer(held, index), random.Random(3)
    moments = sorted(some.uniform(0, held.last) for _ in range(12))
    playing = ScreenPlayer(held)
    expected = []
    for moment in moments:
        playing.forward(moment)
        expected.append(playing.picture())
    for number in some.sample(range(12), 12):
        jumping.seek(moments[number])
        assert jumping.picture() == expected[number]
        assert jumping.at == moments[number]


@pytest.mark.parametrize("pictures", [False, True], ids=["snapshots", "pictures"])
def test_in_an_hour_no_moment_is_further_from_a_picture_than_is_emulated_in_no_time(
    pictures: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = cast_of(long_recording(3600, pictures=pictures))
    assert held.characters > 1_000_000
    index = ScreenIndex(held)
    if not pictures:
        assert index.read_on()
    fed: list[int] = []
    from backends.emulator import Emulator

    whole = Emulator.feed

    def counted(self: Emulator, text: str) -> None:
        fed.append(len(text))
        whole(self, text)

    monkeypatch.setattr(Emulator, "feed", counted)
    player, some = ScreenPlayer(held, index), random.Random(5)
    for _ in range(25):
        fed.clear()
        player.seek(some.uniform(0, held.last))
        assert sum(fed) <= 2 * KEYFRAME  # a tenth of a second's work
    assert held._kept < held.characters / 10


def test_snapshots_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backends.screen_player.KEYFRAME", 2000)
    monkeypatch.setattr("backends.screen_player.MOST_KEYFRAMES", 10)
    held = cast_of(long_recording(400, pictures=False))
    index = ScreenIndex(held)
    assert index.read_on()
    assert 3 <= len(index.keyframes) <= 10
    player = ScreenPlayer(held, index)
    player.seek(200.0)
    shown = player.picture()
    fresh = ScreenPlayer(held)
    fresh.forward(200.0)
    assert shown == fresh.picture()


def test_the_text_has_every_line_that_stood_there_once_and_finds_its_moment() -> None:
    held = cast_of(
        cast(
            (1.0, "o", at(1, 1, "s")), (0.1, "o", at(1, 2, "e")), (0.1, "o", at(1, 3, "lect 上海")),
            (5.0, "o", at(3, 1, "one row") + at(4, 1, "another row")),
            (5.0, "o", "\x1b[2J" + at(3, 1, "another row") + at(4, 1, "a third row")),
            (5.0, "o", at(1, 1, "secret flash")), (0.5, "o", at(1, 1, "            ")),
        )
    )  # fmt: skip
    index = ScreenIndex(held)
    assert index.read_on()
    assert [line.text for line in index.text] == [
        "select 上海", "one row", "another row", "a third row", "secret flash",
    ]  # fmt: skip
    (found,) = index.find("SECRET")
    player = ScreenPlayer(held, index)
    player.seek(found.at)
    assert player.picture().text(0).startswith("secret flash")
    assert [line.at for line in index.find("another")] == pytest.approx([6.2])


def test_the_index_reads_on_as_more_comes() -> None:
    held = cast_of(cast((1.0, "o", at(1, 1, "first"))))
    index = ScreenIndex(held)
    assert index.read_on()
    held.add_lines(b'[1.0,"o","\\u001b[2;1Hsecond"]\n[1.0,"r","90x30"]\n')
    assert index.read_on()
    assert [line.text for line in index.text] == ["first", "second"]
    assert not index.find("third")


def test_lines_that_are_torn_or_none_are_stepped_over() -> None:
    held = Cast()
    data = cast((1.0, "o", "kept"), (1.0, "o", "上海"))
    for start in range(0, len(data), 7):
        held.add_lines(data[start : start + 7])
    held.add_lines(
        b'nonsense\n[1,2]\n[-5,"o","back in time"]\n["x","o","y"]\n[1e99,"o","far"]\n{"version":3}\n[1,"o",7]\n'
        b'\xff\xfe\n[1.0,"o","end"]\n[0.0,"r","1x1"]\n[0.0,"r","-3x9"]\n[0.0,"r","999999999999x5"]\n'
    )
    player = ScreenPlayer(held)
    player.seek(held.last)
    assert player.picture().text(0).startswith("kept上海end"[:5])
    assert player.size == (20, 5)
    assert held.last == 3.0


def test_playing_goes_at_its_speed_and_leaves_idle_time_out() -> None:
    held = cast_of(cast((1.0, "o", at(1, 1, "one")), (1.0, "o", at(1, 1, "two")), (60.0, "o", at(1, 1, "end"))))
    playback = Playback(held, live=False)
    playback.toggle()
    for _ in range(11):
        playback.tick(0.1)
    assert playback.player.picture().text(0).strip() == "one"
    playback.faster(1)
    assert playback.speed == 2.0
    for _ in range(5):
        playback.tick(0.1)
    assert playback.player.picture().text(0).strip() == "two"
    playback.tick(0.1)
    assert playback.skipped == pytest.approx(59.0, abs=1.0)
    for _ in range(10):
        playback.tick(0.1)
    assert playback.player.picture().text(0).strip() == "end"
    assert not playback.playing
    playback.toggle()
    assert (playback.playing, playback.at) == (True, 0.0)
    playback.skip_idle = False
    playback.seek(10.0)
    playback.tick(1.0)
    assert playback.at == pytest.approx(12.0)
    for _ in range(20):
        playback.faster(1)
    assert playback.speed == 16.0
    for _ in range(20):
        playback.faster(-1)
    assert playback.speed == 0.25


def test_steps_and_the_way_back() -> None:
    held = cast_of(cast((1.0, "o", at(1, 1, "a")), (1.0, "m", "mark"), (1.0, "o", at(1, 1, "b"))))
    playback = Playback(held, live=False)
    assert playback.step()
    assert playback.player.picture().text(0).strip() == "a"
    assert playback.step()
    assert playback.player.picture().text(0).strip() == "b"
    assert not playback.step()
    playback.seek(1.5)
    assert playback.player.picture().text(0).strip() == "a"
    assert [event.data for event in held.marks] == ["mark"]
    assert behind([1.0, 2.0, 3.0], 2.0, 1) == 3.0
    assert behind([1.0, 2.0, 3.0], 2.0, -1) == 1.0
    assert behind([1.0], 1.0, 1) is None


def test_a_flood_is_taken_in_turns() -> None:
    held = cast_of(cast(*[(0.0, "o", "x" * 10_000)] * 200))
    playback = Playback(held, live=True)
    turns = 0
    while playback.player.next_event() is not None:
        playback.tick(0.0)
        turns += 1
    assert turns >= 200 * 10_000 // AT_ONCE


class Bastion:
    """Answers the two calls."""

    def __init__(self, read: Any, follow: LiveScreen | None = None) -> None:
        self.read, self.live = read, follow
        self.looks: list[ScreenReadRequest] = []

    async def call(self, method: Any, params: m.Message) -> ScreenPiece:
        if isinstance(params, ScreenFollowRequest):
            assert self.live is not None
            return await self.live(params)
        assert isinstance(params, ScreenReadRequest)
        self.looks.append(params)
        answer: ScreenPiece = self.read(params)
        return answer


async def test_a_recording_is_fetched_in_pieces_and_is_one_look() -> None:
    data = long_recording(300, pictures=False)
    bastion = Bastion(read_of(data, 50_000))
    feed = ScreenFeed(bastion, "screen-1")
    told: list[float] = []
    await feed.load(lambda: told.append(feed.cast.last))
    assert len(bastion.looks) == len(told) > 2
    assert [look.viewing for look in bastion.looks].count(True) == 1
    assert feed.cast.last == pytest.approx(300.0)
    assert feed.whole


async def test_a_watch_begins_with_a_picture_and_what_was_before_is_fetched_when_it_is_wanted() -> None:
    before = cast((10.0, "o", at(2, 1, "before the watch")), (20.0, "o", at(3, 1, "still before")))
    whole = picture(80, 24, at(2, 1, "before the watch"), at(3, 1, "still before"), at(4, 1, "joined"))
    join = json.dumps([0.0, "o", whole]).encode() + b"\n"
    live = LiveScreen(join, began=30.0, columns=80, lines=24)
    live.base = len(before)
    everything = before + join

    def read(wanted: ScreenReadRequest) -> ScreenPiece:
        return read_of(everything, 10_000_000, live=True)(wanted)

    feed = ScreenFeed(Bastion(read, live), "screen-1")
    assert await feed.join()
    assert (feed.cast.first, feed.cast.last) == (30.0, 30.0)
    playback = Playback(feed.cast, live=True)
    playback.tick(0.0)
    assert playback.player.picture().text(3).strip() == "joined"
    live.put((5.0, "o", at(5, 1, "later")))
    assert await feed.follow()
    playback.seek(29.0)
    playback.pause()
    assert not playback.following
    assert playback.behind == pytest.approx(5.0)
    assert await feed.earlier()
    playback.replace(feed.cast)
    playback.seek(12.0)
    assert playback.player.picture().text(1).strip() == "before the watch"
    assert playback.player.picture().text(2).strip() == ""
    playback.to_end()
    assert playback.following
    assert playback.player.picture().text(4).strip() == "later"
    live.put((5.0, "o", at(6, 1, "goes on")))
    assert await feed.follow()
    playback.tick(0.0)
    assert playback.player.picture().text(5).strip() == "goes on"
    live.end()
    await feed.follow()
    playback.over()
    assert (feed.live, playback.following, feed.cast.ended) == (False, False, True)


async def test_a_watcher_that_was_too_slow_goes_on_with_a_picture_of_how_it_is_now() -> None:
    live = LiveScreen(json.dumps([0.0, "o", picture(80, 24, at(1, 1, "first"))]).encode() + b"\n", began=5.0)
    feed = ScreenFeed(Bastion(None, live), "screen-1")
    assert await feed.join()

    later = json.dumps([0.0, "o", picture(100, 30, at(1, 1, "much later"))]).encode() + b"\n"

    async def joined_again(_wanted: ScreenFollowRequest) -> ScreenPiece:
        return ScreenPiece(
            data=pack(later), offset=900_000, next=900_000 + len(later), live=True, joined=True, at=700.0, columns=100,
            lines=30,
        )  # fmt: skip

    feed._bastion.live = joined_again  # type: ignore[attr-defined]
    assert await feed.follow()
    playback = Playback(feed.cast, live=True)
    playback.player.seek(feed.cast.last)
    assert playback.player.picture().text(0).strip() == "much later"
    assert playback.player.size == (100, 30)
    assert (feed.cast.last, len(feed.cast.gaps)) == (700.0, 1)


async def test_a_piece_that_is_none_is_told() -> None:
    def read(_wanted: ScreenReadRequest) -> ScreenPiece:
        return ScreenPiece(data=b"not zstd", offset=0, next=8, live=False)

    with pytest.raises(CastBroken):
        await ScreenFeed(Bastion(read), "screen-1").load()


def test_a_picture_in_the_recording_begins_as_the_bastion_says() -> None:
    held = cast_of(cast((1.0, "o", "x"), (1.0, "r", "100x30"), (0.0, "o", PICTURE_BEGINS + "y")))
    (found,) = held.pictures
    assert (found.at, found.columns, found.lines) == (2.0, 100, 30)
