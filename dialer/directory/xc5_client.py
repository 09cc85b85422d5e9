"""XC5's interface: addresses, pages, what OPTIONS tells, and every refusal explained with place and remedy.

Each answer is an array, also of one record and of an error. Facts are the maker's document's; where it is silent this
is tolerant.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from dialer.directory import hal
from dialer.directory.base import DirectoryNonsense, DirectoryRefused, DirectoryUnknown, Look, NotThere
from dialer.directory.hal import Page, Record
from dialer.directory.http import DirectoryHttp
from dialer.pbx.http import Answer, Unreadable
from dialer.settings import DirectorySettings

MAX_PAGES = 200


@dataclass(frozen=True, slots=True)
class PathAbout:
    """What an installation says of a path. `fields` is None when it does not say."""

    methods: frozenset[str]
    fields: frozenset[str] | None


NOTHING_KNOWN = PathAbout(frozenset(), None)


def address(*parts: str) -> str:
    """Put a path together; names hold `@` and are foreign text."""
    return "/".join(quote(part, safe="*") for part in parts)


class Denied(DirectoryRefused):
    """XC5 itself says that this right does not reach so far."""


class Xc5Client:
    """One installation, asked in its own words."""

    def __init__(self, http: DirectoryHttp, settings: DirectorySettings) -> None:
        self.http = http
        self.name = http.name
        self._settings = settings
        self._about: dict[str, PathAbout] = {}

    # reads --------------------------------------------------------------------------------------------

    def records(self, path: str, *, filter: str = "", horizontal: bool = False) -> list[Record]:
        """Return every record of a list, page after page."""
        query = {"filter": filter} if filter else {}
        if horizontal:
            query["horizontal"] = "true"
        found: list[Record] = []
        seen: set[str] = set()
        here = path
        while True:
            page = self._read("GET", here, query if here == path else {})
            found += page.records
            if not page.next:
                return found
            seen.add(here)
            here = self._followed(page.next, path)
            if here in seen or len(seen) >= MAX_PAGES or len(found) > hal.MAX_RECORDS:
                raise DirectoryNonsense(self.name, f"GET {path}: its pages have no end; tell the maker of the platform")

    def record(self, path: str) -> Record:
        """Return one record; NotThere when XC5 itself says that there is none."""
        page = self._read("GET", path, {})
        if not page.records:
            raise NotThere(self.name, f"GET {path}: there is no such record")
        return page.records[0]

    def found(self, path: str) -> Record | None:
        """Return one record, or None when XC5 itself says that there is none."""
        try:
            return self.record(path)
        except NotThere:
            return None

    def about(self, path: str) -> PathAbout:
        """Return what OPTIONS tells of a path (`*` for any record), asked once; nothing known where it is refused."""
        if path not in self._about:
            try:
                page = self._read("OPTIONS", path, {})
            except (DirectoryRefused, DirectoryNonsense):
                self._about[path] = NOTHING_KNOWN
            else:
                self._about[path] = _about(page)
        return self._about[path]

    def fitting(self, path: str, body: Mapping[str, Any], needed: tuple[str, ...]) -> tuple[dict[str, Any], list[str]]:
        """Return the fields this installation has, and those left out; refused when a needed one is missing."""
        known = self.about(path).fields
        if known is None:
            return dict(body), []
        missing = [name for name in needed if name not in known]
        if missing:
            raise DirectoryRefused(
                self.name,
                f"{path} has no field {' and '.join(missing)} (OPTIONS tells {', '.join(sorted(known)) or 'none'}); "
                "ask the maker for the release that has it",
            )
        return {name: value for name, value in body.items() if name in known}, [n for n in body if n not in known]

    # changes ------------------------------------------------------------------------------------------

    def put(self, path: str, body: Mapping[str, Any], look: Look | None = None) -> Record:
        """Create or change, once; return the record as it is now."""
        page = self._change("PUT", path, body, look)
        return page.records[0] if page.records else {}

    def delete(self, path: str, look: Look | None = None) -> None:
        """Delete, once."""
        self._change("DELETE", path, {}, look)

    def record_path(self, record: Record, parent: str) -> str:
        """Return where a record is found: by its own link, or by its guid under `parent` when that leads elsewhere."""
        if own := hal.link(record):
            with suppress(Unreadable):
                return self.http.place(own).partition("?")[0]
        guid = str(record.get("guid") or "")
        return f"{parent}/{address(guid)}" if guid else ""

    # understanding ------------------------------------------------------------------------------------

    def _followed(self, href: str, path: str) -> str:
        try:
            return self.http.place(href)
        except Unreadable as exc:
            why = str(exc)
        raise DirectoryNonsense(self.name, f"GET {path}: {why}; it is not followed (check directory.{self.name}.url)")

    def _read(self, method: str, path: str, query: Mapping[str, str]) -> Page:
        got = self.http.get(path, query, method=method)
        return self._understood(f"{method} {path.partition('?')[0] or '/'}", got, DirectoryNonsense)

    def _change(self, method: str, path: str, body: Mapping[str, Any], look: Look | None) -> Page:
        got = self.http.change(method, path, body, look)
        where = f"{method} {path}"
        if got.status >= 500 or got.status in (408, 425):
            raise DirectoryUnknown(self.name, f"{where}: HTTP {got.status}{self._received(got)}: it may have been done")
        if 200 <= got.status < 300 and not got.body.strip():
            return Page(())
        return self._understood(where, got, DirectoryUnknown)

    def _understood(self, where: str, got: Answer, unreadable: Callable[[str, str], Exception]) -> Page:
        status, page, why = got.status, None, ""
        try:
            page = hal.page(got.body)
        except Unreadable as exc:
            why = str(exc)
        if 300 <= status < 400:
            remedy = f"set directory.{self.name}.url to the final address"
            raise DirectoryRefused(self.name, f"{where}: HTTP {status}: redirects are not followed; {remedy}")
        if page is not None and (page.error or status >= 400):
            raise self._refusal(where, status, self.http.shown(page.error, 200))
        if page is None and status in (401, 403):
            raise self._refusal(where, status, "")
        if page is None:
            told = f"{where}: HTTP {status}, {why}{self._received(got)}; check directory.{self.name}.url"
            # A proxy's or a web server's own 404 says nothing about a record.
            raise DirectoryRefused(self.name, told) if status >= 400 else unreadable(self.name, told)
        return page

    def _refusal(self, where: str, status: int, told: str) -> DirectoryRefused:
        said = f" ({told})" if told else ""
        if status in (401, 403):
            place = f"directory.{self.name}"
            why = (
                f"{where}: does not let us in: HTTP {status}{said}. Either user name or password is wrong "
                f"({place}.user, {place}.password_env), or that account is disabled, or it lacks the resource "
                "api_access=user on this tenant"
            )
            return Denied(self.name, why) if status == 403 and told else DirectoryRefused(self.name, why)
        if status == 404:
            return NotThere(self.name, f"{where}: there is no such thing{said}")
        if status == 405:
            return DirectoryRefused(self.name, f"{where}: not offered here{said}; OPTIONS tells what is")
        return DirectoryRefused(self.name, f"{where}: refused with HTTP {status}: {told or 'no reason given'}")

    def _received(self, got: Answer) -> str:
        told = self.http.shown(got.body[:2000].decode("utf-8", "replace"), 200)
        return f"; received: {told!r}" if told else ""


def _about(page: Page) -> PathAbout:
    first = page.records[0] if page.records else {}
    methods, fields = first.get("methods"), first.get("fields")
    known = None
    if isinstance(fields, dict):
        known = frozenset(str(name).lower() for name in fields)
    elif isinstance(fields, list):  # names alone
        known = frozenset(str(name).lower() for name in fields if isinstance(name, str))
    listed = methods if isinstance(methods, list) else []
    return PathAbout(frozenset(str(one).upper() for one in listed), known)
