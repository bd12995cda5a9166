"""How a screen is gone through: played at a speed, paused, or followed while it is made. Time is told to it."""

from __future__ import annotations

from .cast import Cast
from .screen_player import IDLE, LEFT_OF_IDLE, SETTLED, ScreenIndex, ScreenPlayer

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
MOST_BLANK = 200
"""Events that nothing is seen after, at most, before the beginning is taken to be blank."""
AT_ONCE = 512 * 1024
"""Characters of output that are emulated in one turn; playing faster than that falls behind its own clock."""


class Playback:
    """Of one cast.

    following  what comes is shown at once
    playing    time goes on by `tick`
    skipped    seconds of idle time that were left out last, for as long as nothing else happened
    """

    def __init__(self, cast: Cast, *, live: bool) -> None:
        self.index = ScreenIndex(cast)
        self.player = ScreenPlayer(cast, self.index)
        self.live = live
        self.following = live
        self.playing = False
        self.skip_idle = True
        self.speed = 1.0
        self.skipped = 0.0

    @property
    def cast(self) -> Cast:
        """What is played."""
        return self.player.cast

    @property
    def at(self) -> float:
        """Seconds from the screen's beginning."""
        return self.player.at

    def replace(self, cast: Cast) -> None:
        """Another cast of the same screen, which has more of it."""
        at = self.at
        self.index = ScreenIndex(cast)
        self.player = ScreenPlayer(cast, self.index)
        self.player.seek(cast.last if self.following else at)

    @property
    def behind(self) -> float:
        """Seconds that the end is ahead of what is shown."""
        return max(self.cast.last - self.at, 0.0)

    def tick(self, elapsed: float) -> bool:
        """So much time has passed, in seconds; whether something changed, or may have."""
        if self.following:
            done = self.player.forward(self.cast.last, AT_ONCE)
            return done or True
        if not self.playing:
            return False
        to = self.at + elapsed * self.speed
        self.skipped = 0.0
        following = self.player.next_event()
        if following is None and self.at >= self.cast.last:
            self.playing = False
            self.following = self.live
            return True
        if self.skip_idle and following is not None and following - self.at > IDLE:
            self.skipped = following - self.at - LEFT_OF_IDLE
            to = following - LEFT_OF_IDLE
        self.player.forward(to, AT_ONCE)
        return True

    def toggle(self) -> None:
        """Plays, or pauses; at the end of a recording it plays from the beginning."""
        if self.following:
            self.pause()
        elif self.playing:
            self.playing = False
        else:
            if not self.live and self.at >= self.cast.last:
                self.player.seek(self.cast.first)
            self.playing = True

    def pause(self) -> None:
        """Stands still, at what is shown."""
        self.following = self.playing = False

    def seek(self, to: float) -> None:
        """To a moment. From the end of what is followed, it stands still there."""
        if self.following and to < self.cast.last:
            self.following = False
        self.skipped = 0.0
        self.player.seek(to)

    def begin(self) -> None:
        """To where something is seen first."""
        self.seek(self.cast.first)
        for _ in range(MOST_BLANK):
            following = self.player.next_event()
            picture = self.player.picture()
            if following is None or any(picture.text(y).strip() for y in range(picture.lines)):
                break
            self.seek(following)
        self.seek(min(self.at + SETTLED, self.cast.last))

    def step(self) -> bool:
        """To the next change, standing still; False where there is none."""
        self.pause()
        to = self.player.next_change()
        if to is None:
            return False
        self.player.forward(to)
        return True

    def to_end(self) -> None:
        """To the end; where more comes, it is followed from there."""
        self.playing = False
        self.player.seek(self.cast.last)
        self.following = self.live

    def faster(self, step: int) -> None:
        """Another speed."""
        place = SPEEDS.index(self.speed) + step
        self.speed = SPEEDS[max(0, min(place, len(SPEEDS) - 1))]

    def over(self) -> None:
        """Nothing more comes: what was followed stands at its end."""
        self.live = False
        if self.following:
            self.player.forward(self.cast.last)
            self.following = False
