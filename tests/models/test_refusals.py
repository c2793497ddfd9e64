"""The table of refusals, row by row: each is met by an answer that servers give, and its remedy can help."""

import re
import time
from dataclasses import dataclass

import pytest

from launcher.models.refusals import CIVITAI, GOOGLE_DRIVE, HUGGING_FACE, REFUSALS, TOKENS, RefusalRow, refusal_of
from launcher.models.remote import Answer, Remote, TokenNeeded

PAGES = {
    HUGGING_FACE: "https://huggingface.co/own/model",
    CIVITAI: "https://civitai.com/models/3",
    GOOGLE_DRIVE: "https://drive.google.com/file/d/abc/view",
    "": "https://example.com/model",
}
HOSTS = {
    HUGGING_FACE: "huggingface.co",
    CIVITAI: "civitai.com",
    GOOGLE_DRIVE: "drive.usercontent.google.com",
    "": "example.com",
}


@dataclass(frozen=True)
class Case:
    """An answer of a site, as `http.answer_in` reads it, and what is said of it."""

    place: str
    status: int
    said: str
    what: str
    token: str = ""
    store: str | None = None

    def refused(self) -> tuple[RefusalRow, TokenNeeded | Exception]:
        page = PAGES[self.place]
        remote = Remote(f"https://{HOSTS[self.place]}/m", "m.pt", page=page, token=self.token, place=self.place)
        marks = f"{f'@store={self.store} ' if self.store else ''}{'@with=token ' if self.token else ''}"
        answer = Answer(self.status, f"{marks}{self.said} @status={self.status}", self.store)
        return next(row for row in REFUSALS if row.fits(remote, answer)), refusal_of(remote, answer)


GATED, GONE = "@x-error-code=gatedrepo", "@x-error-code=reponotfound"
CASES = (
    Case("", 403, "@cf-mitigated=challenge", "wants to see that a person is there"),
    Case(HUGGING_FACE, 503, "<title>just a moment...</title>", "wants to see that a person is there"),
    Case(GOOGLE_DRIVE, 200, "sorry, too many users have viewed or downloaded this file", "Too many people"),
    Case(GOOGLE_DRIVE, 429, "google drive - quota exceeded", "Too many people"),
    Case(
        GOOGLE_DRIVE, 403, "your computer or network may be sending automated queries", "takes this runtime for a robot"
    ),
    Case(GOOGLE_DRIVE, 200, "sorry, this file is infected with a virus.", "lets nobody but its owner download"),
    Case(GOOGLE_DRIVE, 403, "it is in violation of our terms of service.", "lets nobody but its owner download"),
    Case(
        GOOGLE_DRIVE, 403, "the owner hasn't given you permission to download this file.", "lets nobody but its owner"
    ),
    Case(GOOGLE_DRIVE, 200, "you need access", "is private"),
    Case(GOOGLE_DRIVE, 200, "sign in", "is private", store="accounts.google.com"),
    Case(GOOGLE_DRIVE, 403, "", "is private"),
    Case(GOOGLE_DRIVE, 404, "", "no longer on Google Drive"),
    Case(HUGGING_FACE, 403, "", "redirects the download to cdn.example.com, which refuses it", store="cdn.example.com"),
    Case(HUGGING_FACE, 401, GATED, "only to people who have accepted its conditions"),
    Case(HUGGING_FACE, 403, GATED, "has not accepted the conditions", token="t"),
    Case(
        HUGGING_FACE, 403, f"{GATED} your request … is awaiting a review from the repo authors.", "not decided yet", "t"
    ),
    Case(HUGGING_FACE, 403, f"{GATED} … has been rejected by the repo's authors.", "do not let your Hugging", "t"),
    Case(
        HUGGING_FACE,
        403,
        "please enable access to public gated repositories in your fine-grained token",
        "permission",
        token="t",
    ),
    Case(
        HUGGING_FACE,
        401,
        "@x-error-message=invalid credentials in authorization header",
        "does not know your token",
        token="t",
    ),
    Case(HUGGING_FACE, 403, "@x-error-message=access to this resource is disabled.", "has disabled own/model"),
    Case(HUGGING_FACE, 404, "@x-error-code=revisionnotfound", "no such branch"),
    Case(HUGGING_FACE, 404, "@x-error-code=entrynotfound", "m.pt is not in own/model any more"),
    Case(HUGGING_FACE, 401, GONE, "gone from Hugging Face, or private."),
    Case(HUGGING_FACE, 401, f"{GONE} @x-error-message=invalid username or password.", "gone from Hugging Face, or"),
    Case(HUGGING_FACE, 401, '@x-error-message=user access token "x" is expired', "does not know your token", token="t"),
    Case(HUGGING_FACE, 404, GONE, "private and your token may not read it", token="t"),
    Case(HUGGING_FACE, 403, "forbidden", "does not let everybody read"),
    Case(HUGGING_FACE, 403, "forbidden", "does not have the right to read own/model", token="t"),
    Case(HUGGING_FACE, 410, "", "was taken off"),
    Case(HUGGING_FACE, 451, "", "blocked by Hugging Face"),
    Case(HUGGING_FACE, 429, "", "too many requests"),
    Case(HUGGING_FACE, 429, "", "too many requests", token="t"),
    Case(HUGGING_FACE, 500, "", "Hugging Face has a problem of its own (HTTP 500)"),
    Case(CIVITAI, 401, '{"error": "early access", "deadline": "…"}', "in early access"),
    Case(CIVITAI, 401, "the creator of this asset has disabled downloads", "switched off downloads", token="t"),
    Case(CIVITAI, 200, "@address=/login sign in", "only to people who are logged in, and there is no key"),
    Case(CIVITAI, 401, "", "only to people who are logged in, and there is no key"),
    Case(CIVITAI, 200, "@address=/login sign in", "does not accept your key", token="t"),
    Case(CIVITAI, 403, "", "denies you access to this model"),
    Case(CIVITAI, 403, "", "denies you access", token="t"),
    Case(CIVITAI, 404, "", "no longer on Civitai"),
    Case(CIVITAI, 410, "", "no longer on Civitai"),
    Case(CIVITAI, 451, "region_blocked", "civitai.com is not available in the country"),
    Case("", 403, "accessdenied request has expired", "The link has run out"),
    Case("", 403, "authenticationfailed signature not valid in the specified time frame", "The link has run out"),
    Case("", 410, "this link has expired", "The link has run out"),
    Case("", 403, "@signed=for a time accessdenied access denied", "The link has run out"),
    Case("", 200, "@content-encoding=gzip", "sends m.pt packed"),
    Case("", 200, "@address=/users/sign_in", "only to people who are logged in"),
    Case("", 200, "a page", "leads to a web page"),
    Case("", 206, "part of a page", "leads to a web page"),
    Case("", 202, '{"status": "preparing"}', "does not give m.pt to programs (HTTP 202)"),
    Case("", 401, "", "only to people who are logged in"),
    Case("", 402, "", "does not give m.pt to programs (HTTP 402)"),
    Case("", 403, "", "denies access to m.pt"),
    Case("", 404, "", "is no longer there"),
    Case("", 410, "", "is no longer there"),
    Case("", 416, "", "is empty at example.com"),
    Case("", 429, "", "too many downloads"),
    Case("", 451, "", "not available in the country"),
    Case("", 502, "", "example.com has a problem of its own (HTTP 502)"),
    Case("", 418, "", "does not give m.pt to programs (HTTP 418)"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.place} {case.status} {case.said}")
def test_an_answer_is_what_its_row_says(case: Case) -> None:
    _, refused = case.refused()
    assert case.what in refused.what  # type: ignore[union-attr]


def test_every_row_is_met_by_an_answer() -> None:
    met = {id(case.refused()[0]) for case in CASES}
    assert [row.what for row in REFUSALS if id(row) not in met] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.place} {case.status} {case.said}")
def test_a_remedy_can_help(case: Case) -> None:
    """Waiting is for what may pass, another try for what changed meanwhile, a token for the sites that have one; a page
    is named by its address.
    """
    row, refused = case.refused()
    do, passes = str(refused.do), refused.answer.may_pass  # type: ignore[union-attr]
    assert not re.search(r"[{}]", f"{refused}"), "something is not filled in"
    assert do.startswith("Wait a few minutes") <= passes
    assert ("secret" in do) <= (case.place in TOKENS)
    assert "▶" not in do, "it is read on the page and beside the Add box, too"
    assert ("try again" in do) <= (passes or "secret" in do or "accept them" in do)
    assert ("in your browser" in do) <= (PAGES[case.place] in do)
    assert isinstance(refused, TokenNeeded) == (row.reason is not None and not case.token)
    if isinstance(refused, TokenNeeded):
        assert refused.name in do or not refused.reason or passes


def test_an_error_of_a_million_letters_is_a_sentence_that_can_be_read() -> None:
    refused = refusal_of(Remote("https://example.com/m", "m" * 1_000_000), Answer(404))
    assert len(refused.what) < 4000


def test_a_page_that_repeats_our_marks_is_read_in_no_time() -> None:
    started = time.monotonic()
    refused = refusal_of(Remote("https://example.com/m", "m.pt"), Answer(404, "@address=" * 22_000))
    assert "is no longer there" in refused.what
    assert time.monotonic() - started < 2


def test_what_moves_a_cursor_or_turns_the_writing_round_is_never_shown() -> None:
    refused = refusal_of(Remote("https://example.com/m", "\x1b[2J\u202em\x07.pt"), Answer(404))
    assert refused.what.isprintable()
