"""Who is let in: the password, the session's cookie, one-time tickets; and which requests another website causes.

Guesses are not slowed down: 138 random bits are out of reach at any speed, and a brake would be a way to lock the owner
out.
"""

import base64
import hashlib
import hmac
import re
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from unicodedata import normalize

from launcher.core.session import read_object, write_object

if TYPE_CHECKING:  # the service makes tickets, and its start does not wait for aiohttp
    from aiohttp import web

USER: Final = "user"
# The prefix keeps other addresses under gradio.live from setting one for this address: browsers take a `__Host-` cookie
# only from the very host it is for.
COOKIE: Final = "__Host-oneclick"
LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # without 0 o 1 l i, which look alike
PASSWORD_GROUPS: Final = 7  # of 4 letters: 28 * log2(31) = 138 bits
LONGEST_TYPED: Final = 200  # letters of a user or a password that are looked at
TICKET_LIFE: Final = 600.0  # seconds
FROM: Final = "Sec-Fetch-Site"  # browsers say so from where something is asked for, but Safari before 16.4
# Colab's own link comes by servers of Colab, which call this machine by another name (facts: prod.colab.dev, 2026).
COLABS_HOSTS: Final = re.compile(r"[\w.-]+\.(?:colab\.dev|googleusercontent\.com)")
# Programs that are a page of their own and have the password: where their pages come from, beside schemes that no site
# has (tauri://localhost, app://., file://). Tauri 2 on Windows and Android, and Capacitor on Android and iOS.
PROGRAMS_PAGES: Final = re.compile(r"(?!https?://)[a-z][a-z0-9+.-]*://[^,]*|https?://(?:tauri\.localhost|localhost)")


@dataclass(frozen=True)
class Login:
    """The secrets of one launch. They live in one file on the machine that only its owner can read."""

    password: str
    key: str  # proves a cookie or a ticket to be ours

    @classmethod
    def new(cls) -> "Login":
        groups = ["".join(secrets.choice(LETTERS) for _ in range(4)) for _ in range(PASSWORD_GROUPS)]
        return cls("-".join(groups), secrets.token_hex(32))

    @classmethod
    def of_this_launch(cls, path: Path) -> "Login":
        try:
            return cls(**read_object(path))
        except TypeError:  # there is none, or something else is in the file
            login = cls.new()
            write_object(path, asdict(login))
            return login

    @property
    def cookie(self) -> str:
        return self._signed("cookie", "")

    @property
    def cookie_header(self) -> dict[str, str]:
        """Gives the cookie, which ends with the browser's session or the launch."""
        return {"Set-Cookie": f"{COOKIE}={self.cookie}; HttpOnly; Path=/; SameSite=Lax; Secure"}

    def is_right(self, user: str, password: str) -> bool:
        """Compare in constant time. Only letters and digits count: copies have blanks and dashes of many kinds."""
        right = same(plain(password), plain(self.password))
        return same(plain(user), USER) and right

    def has_cookie(self, request: "web.BaseRequest") -> bool:
        """Another site under the same domain may have set cookies of the same name: any that fits counts."""
        cookies = [c.strip().partition("=") for c in ";".join(request.headers.getall("Cookie", [])).split(";")]
        return any([same(value, self.cookie) for name, _, value in cookies if name == COOKIE])

    def has_basic(self, request: "web.BaseRequest") -> bool:
        kind, _, given = request.headers.get("Authorization", "").replace("\t", " ").partition(" ")
        try:
            user, _, password = base64.b64decode(given).decode(errors="replace").partition(":")
        except ValueError:
            return False
        return kind.lower() == "basic" and self.is_right(user, password)

    def new_ticket(self, now: float | None = None) -> str:
        """A word that logs in once, within ten minutes."""
        body = f"{int((now or time.time()) + TICKET_LIFE)}.{secrets.token_urlsafe(16)}"
        return f"{body}.{self._signed('ticket', body)}"

    def ticket_end(self, ticket: str) -> float:
        """When a ticket of ours ends, in seconds since 1970; 0 for any other. Which were used, the proxy knows."""
        body, _, signature = ticket.rpartition(".")
        return float(body.partition(".")[0]) if same(signature, self._signed("ticket", body)) else 0.0

    def _signed(self, what: str, body: str) -> str:
        return hmac.new(self.key.encode(), (what + body).encode(errors="replace"), hashlib.sha256).hexdigest()


def plain(text: str) -> str:
    """Its letters and digits, in small letters. Full-width ones (of Chinese and Japanese keyboards) count, too."""
    return re.sub(r"[^a-z0-9]", "", normalize("NFKC", text[:LONGEST_TYPED]).lower())


def same(given: str, wanted: str) -> bool:
    """Compare in constant time, whatever bytes were given."""
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())


def is_cross_site(request: "web.BaseRequest") -> bool:
    """True for what another site's page makes this browser ask for, unless the person followed a link.

    The host names that lead here are not known (Colab's own link passes through servers of Colab), so `Host` itself is
    not judged: a browser has a cookie only for the host that gave it.
    """
    site, origin = said(request, FROM), said(request, "Origin")
    unknown = site in ("", "none")
    if site == "same-origin" or (origin and unknown and is_own_host(request, origin)):
        return False
    if request.method in ("GET", "HEAD", "OPTIONS") and "Upgrade" not in request.headers:
        return not unknown and not (
            request.headers.get("Sec-Fetch-Mode") == "navigate"
            and request.headers.get("Sec-Fetch-Dest", "document") == "document"
        )
    return bool(origin) or not unknown


def said(request: "web.BaseRequest", name: str) -> str:
    """What a header says; two of it, which no browser sends, say nothing that counts."""
    return ", ".join(request.headers.getall(name, []))


def is_own_host(request: "web.BaseRequest", address: str) -> bool:
    """Whether an address of a page (Origin, Referer) is of the host that was asked for."""
    host, forwarded = request.headers.get("Host"), request.headers.get("X-Forwarded-Host", "")
    return address.partition("://")[2].partition("/")[0] in (host, COLABS_HOSTS.fullmatch(forwarded) and forwarded)


def is_own_page(request: "web.BaseRequest") -> bool:
    """Whether a page of ours made the browser ask for it: then it is no program, whatever it asks for."""
    if site := said(request, FROM):
        return site in ("same-origin", "none")  # none: a person typed the address
    return any(is_own_host(request, said(request, name)) for name in ("Origin", "Referer"))
