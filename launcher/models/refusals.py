"""What an answer that is no file means for a person, and what helps: the one table, for all sites."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from launcher.models.remote import ADDRESS_RAN_OUT, Answer, Refused, Remote, TokenNeeded

HUGGING_FACE: Final = "Hugging Face"
CIVITAI: Final = "Civitai"
GOOGLE_DRIVE: Final = "Google Drive"
# Site -> the secret its token is kept in, and where a person makes one.
HUB_TOKENS: Final = "https://huggingface.co/settings/tokens/new?canReadGatedRepos=true&tokenType=fineGrained"
TOKENS: Final = {
    HUGGING_FACE: ("HF_TOKEN", HUB_TOKENS),
    CIVITAI: ("CIVITAI_TOKEN", "https://civitai.com/user/account"),
}
BY_HAND: Final = (
    "Open {page} in your browser, download the file there, and put it into the models folder on your Google Drive: "
    "checkpoints into models/Stable-diffusion, LoRAs into models/Lora."
)
COPY_IT: Final = "Open {page}, choose **Make a copy**, and move the copy to your models folder. Or wait a day."
WAIT: Final = "Wait a few minutes and try again{again}."
SAVE: Final = "save it as the Colab secret {secret} (the key symbol on the left), and try again."
AT_HAND: Final = ""  # a token may be in vain, too: one that a person has saved is tried, and nobody is asked
ANY: Final = ()
OK: Final = tuple(range(200, 300))


@dataclass(frozen=True)
class RefusalRow:
    """`what` it means and what to `do` if an answer of `place` ("" is every site) has one of the `statuses`, and what
    it said fits the pattern `said`. `reason`: why a token may help, as in `TokenNeeded`; None where none does.
    """

    place: str
    statuses: tuple[int, ...]
    said: str
    what: str
    do: str
    reason: str | None = None

    def fits(self, remote: Remote, answer: Answer) -> bool:
        concerns = self.place in ("", remote.place) and (not self.statuses or answer.status in self.statuses)
        return concerns and bool(re.search(self.said, answer.said))


# The first that fits. `{again}` is there for what may pass. @store, @address and the like: see `http.answer_in`.
REFUSALS: Final = (
    RefusalRow("", ANY, r"@cf-mitigated=challenge|just a moment\.\.\.|attention required! \| cloudflare|cf-chl-",
        "{host} first wants to see that a person is there, in a browser.", BY_HAND),
    # ---- Google Drive
    RefusalRow(GOOGLE_DRIVE, ANY, r"quota exceeded|too many users have viewed or downloaded|download quota",
        "Too many people have downloaded this file from Google Drive today.", COPY_IT),
    RefusalRow(GOOGLE_DRIVE, ANY, "automated queries|unusual traffic",
        "Google takes this runtime for a robot.", COPY_IT),
    RefusalRow(GOOGLE_DRIVE, ANY, r"infected with a virus|violat\w+ [^.]{0,40}terms of service|permission to download",
        "Google Drive lets nobody but its owner download this file: the owner, or Google itself, has blocked it.",
        "Ask the owner ({page}), or choose another source."),
    RefusalRow(GOOGLE_DRIVE, ANY, r"you need access|request access|@store=accounts\.google\.com|@status=40[13]",
        "The file on Google Drive is private.", "Ask its owner to share it ({page}); if it is yours, press **Share** "
        "there and choose **Anyone with the link**."),
    RefusalRow(GOOGLE_DRIVE, (404, 410), "", "The file is no longer on Google Drive.", "Choose another source."),
    # ---- a store that a site redirects to
    RefusalRow("", ADDRESS_RAN_OUT, "^@store=",
        "{host} redirects the download to {store}, which refuses it (HTTP {status}).",
        "The problem is on their side: wait a few minutes and try again, or choose another source."),
    # ---- Hugging Face. To it a 401 without a code means that there is no such repository, not that a token is wanted
    # (huggingface_hub, utils/_http.py); a private repository is such a one.
    RefusalRow(HUGGING_FACE, (401,), "@x-error-code=gatedrepo",
        "{repo} is available only to people who have accepted its conditions, and there is no token.",
        "Accept the conditions at {page}, make a token at {token_page}, " + SAVE,
        "{repo} is available only to people who have accepted its conditions."),
    RefusalRow(HUGGING_FACE, (403,), "awaiting a review",
        "The owners of {repo} have not decided yet whether your Hugging Face account may use it.",
        "Look at {page} for their answer, and add it then; or choose another model."),
    RefusalRow(HUGGING_FACE, (403,), "rejected by the repo",
        "The owners of {repo} do not let your Hugging Face account use it.", "Choose another model."),
    RefusalRow(HUGGING_FACE, (403,), "@x-error-code=gatedrepo",
        "Your Hugging Face account has not accepted the conditions of {repo}.",
        "Open {page}, accept them, and try again."),
    RefusalRow(HUGGING_FACE, (403,), "fine-grained",
        "Your Hugging Face token does not have permission to read gated repositories.",
        "Make one with that permission at {token_page}, " + SAVE),
    RefusalRow(HUGGING_FACE, (401,),  # without a token, "Invalid username or password" is said of what nobody may see
        "@with=token.*(invalid (credentials|username or password|user token)|token .{0,100}expired)",
        "Hugging Face does not know your token: it is mistyped, was deleted, or has expired.",
        "Make a new one at {token_page}, " + SAVE),
    RefusalRow(HUGGING_FACE, ANY, "access to this resource is disabled|@x-error-code=disabledrepo",
        "Hugging Face has disabled {repo}.", "Choose another model, or look for this one elsewhere."),
    RefusalRow(HUGGING_FACE, (404,), "@x-error-code=revisionnotfound", "{repo} has no such branch.",
        "Look at {page}/tree/main for what it has."),
    RefusalRow(HUGGING_FACE, (404,), "@x-error-code=entrynotfound", "{name} is not in {repo} any more.",
        "Look at {page}/tree/main for its new name, or choose another model."),
    RefusalRow(HUGGING_FACE, (401, 404), "@with=token",
        "{repo} is gone from Hugging Face, or private and your token may not read it.",
        "Look at {page}. If you can see it there when you are logged in, make a token that may read it at "
        "{token_page}, " + SAVE + " If it is gone, choose another model."),
    RefusalRow(HUGGING_FACE, (401, 404), "", "{repo} is gone from Hugging Face, or private.",
        "Look at {page}. If you can see it there when you are logged in, make a token at {token_page}, save it as the "
        "Colab secret {secret} (the key symbol on the left), and try again; if it is gone, choose another model.",
        AT_HAND),
    RefusalRow(HUGGING_FACE, (403,), "@with=token", "Your Hugging Face token does not have the right to read {repo}.",
        "Open {page} and see whether your account may read it; then make a token with that right at {token_page}, "
        + SAVE),
    RefusalRow(HUGGING_FACE, (403,), "", "Hugging Face does not let everybody read {repo}.",
        "Open {page} and see what it asks for; then make a token at {token_page}, " + SAVE, AT_HAND),
    RefusalRow(HUGGING_FACE, (410,), "", "{repo} was taken off Hugging Face.", "Choose another model."),
    RefusalRow(HUGGING_FACE, (451,), "",
        "{repo} is blocked by Hugging Face for legal reasons, at least in the country this runtime is in.",
        "Choose another model, or look for this one elsewhere."),
    RefusalRow(HUGGING_FACE, (429,), "", "Hugging Face says that too many requests were made.", WAIT,
        "Hugging Face gets too many requests from this runtime's address; a token has a limit of its own."),
    # ---- Civitai. A 401 is not always about the key: its text tells. What is for some only may be for this person.
    RefusalRow(CIVITAI, (401, 403), "early access",
        "This version is in early access on Civitai.", "Wait, or buy it at {page}; or choose another one.", AT_HAND),
    RefusalRow(CIVITAI, (401, 403), "disabled",
        "Its creator has switched off downloads of this model on Civitai.", "Choose another model.", AT_HAND),
    RefusalRow(CIVITAI, ANY, "@with=token.*(@address=/login|@status=401)",
        "Civitai does not accept your key for this model.",
        "Check whether you can download it at {page}; if so, make a new key at {token_page}, " + SAVE),
    RefusalRow(CIVITAI, ANY, "@address=/login|@status=401",
        "Civitai gives this model only to people who are logged in, and there is no key.",
        "Make a key at {token_page}, " + SAVE, "Civitai gives this model only to people who are logged in."),
    RefusalRow(CIVITAI, (403,), "", "Civitai denies you access to this model.", "Open {page} and see what it asks for.",
        AT_HAND),
    RefusalRow(CIVITAI, (404, 410), "", "This model is no longer on Civitai.", "Choose another model."),
    # ---- every site
    RefusalRow("", (400, 401, 403, 404, 410),
        "@signed=|request has expired|expiredtoken|(signature|link|url|token) (has )?expired|signaturedoesnotmatch"
        "|not valid in the specified time frame",
        "The link has run out: it led to the file for a short time only.",
        "Open the page you copied it from, copy a fresh link there, and use it at once."),
    RefusalRow("", OK, "@content-encoding=",
        "{host} sends {name} packed, and nobody can tell how large it becomes.", BY_HAND),
    RefusalRow("", ANY, r"(^| )@address=\S*/(log-?in|sign-?in|sign_in)\b|@status=401",
        "{host} gives {name} only to people who are logged in.", BY_HAND),
    RefusalRow("", (200, 203, 206), "", "The link leads to a web page, not to a model file.",
        "Copy the link of the page's download button instead. If that leads here again: " + BY_HAND),
    RefusalRow("", (403,), "", "{host} denies access to {name}.", BY_HAND),
    RefusalRow("", (404, 410), "",
        "{name} is no longer there.", "Look at {page} for its new place; or choose another model, or another source."),
    RefusalRow("", (416,), "", "{name} is empty at {host}, or has changed there.", "Choose another source."),
    RefusalRow("", (429,), "", "{host} says there were too many downloads.", WAIT),
    RefusalRow("", (451,), "", "{host} is not available in the country this runtime is in.",
        "If it is in yours: " + BY_HAND + " Or choose another source, for example Hugging Face."),
    RefusalRow("", (408, 425, *range(500, 600)), "", "{answers} has a problem of its own (HTTP {status}).", WAIT),
    RefusalRow("", ANY, "", "{host} does not give {name} to programs (HTTP {status}).", BY_HAND),
)  # fmt: skip


def refusal_of(remote: Remote, answer: Answer) -> Refused:
    """The refusal, or the `TokenNeeded`, that an answer is."""
    row = next(row for row in REFUSALS if row.fits(remote, answer))
    secret, token_page = TOKENS.get(remote.place, ("", ""))
    names = {
        "name": remote.name or "this file", "page": remote.page or "the page it is on",
        "repo": urlsplit(remote.page).path.strip("/"), "secret": secret, "token_page": token_page,
        "host": remote.host, "answers": answer.store or remote.place or remote.host, "store": answer.store,
        "status": answer.status, "again": remote.goes_on,
    }  # fmt: skip
    what, do = row.what.format_map(names), row.do.format_map(names)
    if remote.token or row.reason is None:
        return Refused(what, do, answer)
    return TokenNeeded(what, do, answer, name=secret, reason=row.reason.format_map(names))
