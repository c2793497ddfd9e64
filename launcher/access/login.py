"""Who may come in: the password, the session's cookie, one-time tickets, and patience with wrong guesses."""

import asyncio
import base64
import collections
import hashlib
import hmac
import json
import random
import secrets
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from launcher.core.folder import write_safely

USER: Final = "user"
COOKIE: Final = "oneclick"
LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # without 0 o 1 l i, which look alike
PASSWORD_GROUPS: Final = 7  # of 4 letters: 28 * log2(31) = 138 bits
TICKET_LIFE: Final = 600.0  # seconds
FREE_TRIES: Final = 5
LONGEST_PAUSE: Final = 30.0  # seconds between two answered guesses under attack
MOST_WAITING: Final = 200  # guesses that may wait for an answer at once


@dataclass(frozen=True)
class Login:
    """The secrets of one launch. They live in one file on the machine that only its owner can read."""

    password: str
    key: str  # proves a cookie or a ticket to be ours

    @classmethod
    def new(cls) -> "Login":
        """A new password of 138 random bits, readable, in groups of four."""
        groups = ["".join(secrets.choice(LETTERS) for _ in range(4)) for _ in range(PASSWORD_GROUPS)]
        return cls("-".join(groups), secrets.token_hex(32))

    @classmethod
    def of_this_launch(cls, path: Path) -> "Login":
        """The login in the file, or a new one that is then written there."""
        try:
            return cls(**json.loads(path.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            login = cls.new()
            write_safely(path, json.dumps(asdict(login)), 0o600)
            return login

    @property
    def cookie(self) -> str:
        """The value of the cookie of people who are in."""
        return hmac.new(self.key.encode(), b"cookie", hashlib.sha256).hexdigest()

    def is_right(self, user: str, password: str) -> bool:
        """Compare in constant time. Spaces around, capitals and missing dashes do not matter."""
        plain = password.strip().lower().replace("-", "").replace(" ", "")
        right = hmac.compare_digest(plain.encode(), self.password.replace("-", "").encode())
        return hmac.compare_digest(user.strip().lower().encode(), USER.encode()) and right

    def basic_is_right(self, header: str) -> bool | None:
        """Whether an Authorization header opens the door; None if it is not of the Basic kind."""
        kind, _, value = header.partition(" ")
        if kind.lower() != "basic":
            return None
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except ValueError:
            return False
        return self.is_right(user, password)

    def new_ticket(self, now: float | None = None) -> str:
        """A word that opens the door once, within ten minutes."""
        body = f"{int((now or time.time()) + TICKET_LIFE)}.{secrets.token_urlsafe(16)}"
        return f"{body}.{self._signed(body)}"

    def ticket_is_good(self, ticket: str, now: float | None = None) -> bool:
        """True for an unexpired ticket of ours. Whether it was used already, the door knows."""
        body, _, signature = ticket.rpartition(".")
        until = body.partition(".")[0]
        genuine = hmac.compare_digest(signature.encode(), self._signed(body).encode())
        return genuine and until.isdigit() and (now or time.time()) < int(until)

    def _signed(self, body: str) -> str:
        return hmac.new(self.key.encode(), b"ticket" + body.encode(), hashlib.sha256).hexdigest()


@dataclass
class Patience:
    """Slows guessing down for everybody who is not in yet, without shutting out the person who knows the password.

    The first wrong tries are answered at once. After that one waiting guess is answered at a time, with a growing
    pause before it, and which one is drawn by lot, first among the places they come from and then among
    the guesses of that place. So somebody at another place gets a turn soon, however many guesses one
    place sends; a place that was in before is answered at once as long as it makes no mistakes.
    """

    wrong: int = 0
    trusted: dict[str, int] = field(default_factory=dict)  # place -> wrong tries since it was in
    answered: int = 0
    _waiting: list[tuple[str, "asyncio.Future[bool]"]] = field(default_factory=list)
    _drawing: "asyncio.Task[None] | None" = None

    @property
    def pause(self) -> float:
        """Seconds before the next guess is answered."""
        over = self.wrong - FREE_TRIES
        return 0.0 if over < 0 else float(min(LONGEST_PAUSE, 2**over))

    async def my_turn(self, place: str) -> bool:
        """Wait until a guess from `place` may be answered; False if too many from there wait already."""
        if self.trusted.get(place, FREE_TRIES) < FREE_TRIES or not (self.pause or self._waiting):
            return True
        if len(self._waiting) >= MOST_WAITING and not self._make_room(place):
            return False
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        entry = (place, turn)
        self._waiting.append(entry)
        if self._drawing is None or self._drawing.done():
            self._drawing = asyncio.create_task(self._draw())
        try:
            return await turn
        finally:
            if entry in self._waiting:  # the visitor left
                self._waiting.remove(entry)

    def _make_room(self, place: str) -> bool:
        """Send one guess of the most crowded place away; False if that place is `place` itself."""
        crowd = collections.Counter(other for other, _ in self._waiting)
        crowded, most = crowd.most_common(1)[0]
        if crowd[place] >= most:
            return False
        index = next(i for i, (other, _) in enumerate(self._waiting) if other == crowded)
        self._waiting.pop(index)[1].set_result(False)
        return True

    def was(self, right: bool, place: str) -> None:
        """Note how a guess turned out."""
        self.answered += 1
        if right:
            self.wrong = 0
            self.trusted[place] = 0
        else:
            self.wrong += 1
            if place in self.trusted:
                self.trusted[place] += 1

    async def _draw(self) -> None:
        while self._waiting:
            await asyncio.sleep(self.pause)
            places = sorted({place for place, _ in self._waiting})
            if places:
                place = random.choice(places)
                index = random.choice([i for i, (other, _) in enumerate(self._waiting) if other == place])
                self._waiting.pop(index)[1].set_result(True)
                await asyncio.sleep(0)  # let it be answered, so that `pause` knows the outcome
