"""A stand-in for Civitai and its siblings, as an answer for `tests.world.web`: its API and its downloads."""

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.world.web import Answer

JSON = {"Content-Type": "application/json"}
SITES = ("civitai.com", "civitai.red", "civitai.green")


@dataclass
class CivitaiSite:
    """`models`: number -> what the API tells of a model; each of its versions has "id", "baseModel", "files".

    `elsewhere`: models that are on these sites only. `for_keys`: versions whose files need one of the `keys`; to others
    the site says so in JSON, or by a redirect to its login page where they are in `by_login` too, or that they are in
    early access. A file's content stands under its "id" in `contents`.
    """

    models: dict[int, dict[str, Any]] = field(default_factory=dict)
    contents: dict[int, bytes] = field(default_factory=dict)
    elsewhere: dict[int, tuple[str, ...]] = field(default_factory=dict)
    for_keys: set[int] = field(default_factory=set)
    by_login: set[int] = field(default_factory=set)
    early: set[int] = field(default_factory=set)
    keys: tuple[str, ...] = ("key",)

    def version(self, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """(model, version) of a version's number. Raises `KeyError`."""
        for model in self.models.values():
            for one in model["modelVersions"]:
                if one["id"] == number:
                    return model, one
        raise KeyError(number)

    def answer(self, path: str, headers: Any) -> Answer:
        site = path.split("/")[1]
        parts = urlsplit(path.removeprefix(f"/{site}"))
        key = headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            if found := re.fullmatch(r"/api/v1/models/(\d+)", parts.path):
                return self.listed(site, int(found[1]), self.models[int(found[1])])
            if found := re.fullmatch(r"/api/v1/model-versions/(\d+)", parts.path):
                model, version = self.version(int(found[1]))
                about = {"modelId": model["id"], "model": {"type": model["type"], "name": model["name"]}}
                return self.listed(site, model["id"], version | about)
            if found := re.fullmatch(r"/api/download/models/(\d+)", parts.path):
                return self.file(site, int(found[1]), parse_qs(parts.query), key)
        except KeyError:
            return 404, JSON, b'{"error": "No model with this id"}'
        if parts.path == "/login":
            return 200, {"Content-Type": "text/html"}, b"<!doctype html><title>Sign in</title>"
        return 404, {"Content-Type": "text/html"}, b"<!doctype html><title>404</title>"

    def listed(self, site: str, model: int, told: dict[str, Any]) -> Answer:
        if site not in self.elsewhere.get(model, SITES):
            raise KeyError(model)
        return 200, JSON, json.dumps(told).encode()

    def file(self, site: str, number: int, query: dict[str, list[str]], key: str) -> Answer:
        model, version = self.version(number)
        if site not in self.elsewhere.get(model["id"], SITES):
            raise KeyError(number)
        if number in self.for_keys and key not in self.keys:
            if number in self.by_login:
                return 307, {"Location": f"/login?returnUrl=/models/{model['id']}"}, b""
            if number in self.early:
                return 403, JSON, b'{"error": "Early Access", "deadline": "2027-01-01"}'
            return 401, JSON, b'{"error": "Unauthorized", "message": "The creator requires you to be logged in"}'
        files = [one for one in version["files"] if not query or str(one["id"]) in query.get("fileId", [])]
        if not files:
            raise KeyError(number)
        named = {"Content-Disposition": f'attachment; filename="{files[0]["name"]}"', "ETag": f'"{files[0]["id"]}"'}
        return 200, named, self.contents[files[0]["id"]]
