"""A PBX's XML into a small tree, or one sentence why not. Never an entity, a DTD, or a half-believed list.

The strict parser (defusedxml, every DTD forbidden) comes first. VOIspeed's own guide prints replies with
mistyped tags, so a document that fails there gets a second, forgiving reading, which is told what records to
expect and takes every other tag for a field. It refuses what it cannot be sure of, first of all a document
whose end is missing: a list that was cut off, or in which two records ran into each other, would make calls
look gone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser, ParseError

from dialer.pbx.foreign import inert

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 100_000
MAX_TAG = 400

_PREDEFINED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}
_REFERENCE = re.compile(r"&(?:#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6})|(lt|gt|amp|quot|apos));")
_DECLARATION = re.compile(r"<\?xml\b[^>]{0,200}\?>")
_ENCODING = re.compile(rb"<\?xml\b[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
_HTML = re.compile(r"<(!doctype\s+html|html|head|body|title|br|b|div|p|h1|script)\b", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BROKEN_NAME = re.compile(r"\s+_")
_LATIN = frozenset({"iso-8859-1", "iso8859-1", "latin-1", "latin1", "windows-1252", "cp1252", "iso-8859-15"})


class XmlTrouble(Exception):
    """This is not a document we can use. Its text is the reason, inert."""


@dataclass(slots=True)
class Node:
    """One element: its name, its own text, what stands in it."""

    tag: str
    text: str = field(default="", repr=False)
    children: list["Node"] = field(default_factory=list, repr=False)

    def get(self, tag: str) -> str | None:
        """Return the text of the first child of that name, without surrounding space; None when absent."""
        for child in self.children:
            if child.tag == tag:
                return child.text.strip()
        return None

    def first(self, tag: str) -> "Node | None":
        return next((child for child in self.children if child.tag == tag), None)

    def all(self, tag: str) -> list["Node"]:
        return [child for child in self.children if child.tag == tag]


def parse(body: bytes, *, records: Sequence[str] = (), bare: bool = False) -> Node:
    """Read one `<result>` document; XmlTrouble when it is anything else, or is not all there.

    `records` are the elements a list is made of, outermost first ("ivr", "node"). `bare`: the outermost may
    also come without the `<result>` around it, as the guide prints the directory's contacts.
    """
    text = _decoded(body)
    _refuse_what_is_not_xml(text)
    try:
        root = _strict(text)
    except _Sloppy as exc:
        return _forgiving(text, str(exc), tuple(records), bare)
    if root.tag == "result":
        return root
    if bare and root.tag == records[0]:
        return Node("result", children=[root])
    raise XmlTrouble(f"its root is <{inert(root.tag, 40)}>, not <result>")


# decoding ---------------------------------------------------------------------------------------------


def _decoded(body: bytes) -> str:
    if len(body) > MAX_BYTES:
        raise XmlTrouble(f"it is longer than {MAX_BYTES // 1024} KiB")
    if b"\0" in body:
        raise XmlTrouble("it holds NUL bytes")
    stripped = body.removeprefix(b"\xef\xbb\xbf").strip()
    if not stripped:
        raise XmlTrouble("it is empty")
    declared = _ENCODING.match(stripped)
    encoding = declared.group(1).decode("ascii").lower() if declared else "utf-8"
    try:
        # Latin-1 declared is taken at its word; everything else has to be UTF-8, as documented, or is Latin-1
        # that nobody declared.
        text = stripped.decode("cp1252" if encoding in _LATIN else "utf-8")
    except UnicodeDecodeError:
        text = stripped.decode("latin-1")
    declaration = _DECLARATION.match(text)
    return text[declaration.end() :].strip() if declaration else text


def _refuse_what_is_not_xml(text: str) -> None:
    head = text[:200]
    if _HTML.match(head):
        raise XmlTrouble("it is an HTML page, not XML")
    if not head.startswith("<"):
        raise XmlTrouble("it is not XML")


# the strict reading -----------------------------------------------------------------------------------


class _Sloppy(Exception):
    """Not well-formed, and nothing worse than that."""


def _strict(text: str) -> Node:
    target = _Tree()
    parser = DefusedXMLParser(target=target, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    try:
        parser.feed(text)
        parser.close()
    except DefusedXmlException:
        raise XmlTrouble("it declares a document type or entities, which is never accepted") from None
    except ParseError as exc:
        raise _Sloppy(inert(str(exc), 80)) from None
    except ValueError:
        raise XmlTrouble("it holds characters XML does not allow") from None
    if target.root is None:
        raise XmlTrouble("it has no element")
    return target.root


class _Tree:
    """What the parser builds into: a bounded tree of `Node`."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self._open: list[Node] = []
        self._texts: list[list[str]] = []
        self._count = 0

    def start(self, tag: str, _attributes: object) -> None:
        self._count += 1
        if len(self._open) >= MAX_DEPTH:
            raise XmlTrouble(f"it is nested more than {MAX_DEPTH} deep")
        if self._count > MAX_NODES:
            raise XmlTrouble(f"it has more than {MAX_NODES} elements")
        node = Node(tag)
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)
        self._texts.append([])

    def data(self, text: str) -> None:
        if self._texts:
            self._texts[-1].append(text)

    def end(self, _tag: str) -> None:
        self._open.pop().text = "".join(self._texts.pop())

    def close(self) -> None:
        return None


# the forgiving reading --------------------------------------------------------------------------------


def _forgiving(text: str, fault: str, records: tuple[str, ...], bare: bool) -> Node:
    """Read a whole but mistyped document in one pass over its tags."""
    tags = _tags(text)
    root = records[0] if bare and tags and tags[0].name == records[0] else "result"
    if not tags or tags[0].closes or tags[0].name != root:
        raise XmlTrouble(f"it is not well-formed ({fault})")
    last = tags[-1]
    if last.name != root or not last.closes or not last.finished or last.text.strip():
        raise XmlTrouble(f"it is cut off: its end is missing ({fault})")
    if root == "result" and sum(tag.name == "result" for tag in tags) != 2:
        raise XmlTrouble(f"it is more than one document ({fault})")
    return _build(tags, records, fault)


class _Tag:
    """A tag, whether it closes, whether it had its own closing bracket, and the text up to the next tag."""

    __slots__ = ("closes", "finished", "name", "pieces")

    def __init__(self, name: str, closes: bool, finished: bool) -> None:
        self.name, self.closes, self.finished = name, closes, finished
        self.pieces: list[str] = []

    @property
    def text(self) -> str:
        return _plain("".join(self.pieces))


def _tags(text: str) -> list[_Tag]:
    """Cut a document at its tags. Linear: every character is looked at a bounded number of times."""
    tags: list[_Tag] = []
    at = 0
    while (start := text.find("<", at)) >= 0:
        if tags:
            tags[-1].pieces.append(text[at:start])
        at = start
        if text.startswith("<![CDATA[", at):
            end = text.find("]]>", at)
            if end < 0:
                raise XmlTrouble("it is cut off inside a CDATA section")
            if tags:
                tags[-1].pieces.append(text[at + 9 : end].replace("&", "&amp;"))
            at = end + 3
        elif text.startswith(("<!--", "<?"), at):
            mark = "-->" if text.startswith("<!--", at) else "?>"
            end = text.find(mark, at)
            if end < 0:
                raise XmlTrouble("it is cut off inside a comment")
            at = end + len(mark)
        elif text.startswith("<!", at):
            raise XmlTrouble("it declares a document type or entities, which is never accepted")
        else:
            at = _one_tag(text, at, tags)
        if len(tags) > 2 * MAX_NODES:
            raise XmlTrouble(f"it has more than {MAX_NODES} elements")
    if tags:
        tags[-1].pieces.append(text[at:])
    return tags


def _one_tag(text: str, at: int, tags: list[_Tag]) -> int:
    """Take the tag at `at`, which may lack its closing bracket, and return where its text begins."""
    end = text.find(">", at, at + MAX_TAG)
    following = text.find("<", at + 1, at + MAX_TAG)
    if end < 0 and following < 0:
        raise XmlTrouble("it is cut off inside a tag, or holds one that never ends")
    finished = end >= 0 and (following < 0 or end < following)
    stop = end if finished else following
    inside = _BROKEN_NAME.sub("_", text[at + 1 : stop])
    closes, alone = inside.startswith("/"), inside.rstrip().endswith("/")
    name = _NAME.match(inside.lstrip("/ \t\r\n"))
    if name is None:
        raise XmlTrouble("it holds a tag without a name")
    tags.append(_Tag(name.group(), closes, finished))
    if alone and not closes:
        tags.append(_Tag(name.group(), True, finished))
    return stop + 1 if finished else stop


def _build(tags: list[_Tag], records: tuple[str, ...], fault: str) -> Node:
    """Make records of tags: a record lasts until its end, the next of its kind, or the end of its owner."""
    root = Node("result")
    standing = [root]  # the root, then one open record for each level
    made: list[Node] = []
    for tag in tags:
        if tag.name in records:
            level = records.index(tag.name) + 1
            del standing[level:]
            if not tag.closes:
                node = Node(tag.name)
                standing[-1].children.append(node)
                standing.append(node)
                made.append(node)
        elif not tag.closes and tag.name != "result":
            standing[-1].children.append(Node(tag.name, tag.text))
    for node in made:
        node.children = _said_once(node, fault)
    root.children = [child for child in root.children if child.tag not in records or child.children]
    _refuse_strays(root, made, records, fault)
    return root


def _said_once(record: Node, fault: str) -> list[Node]:
    """Return a record's fields; one said twice means that two records ran into each other."""
    fields: dict[str, Node] = {}
    nested: list[Node] = []
    for child in record.children:
        known = fields.get(child.tag)
        if child.children:
            nested.append(child)
        elif known is None or not known.text.strip():
            fields[child.tag] = child
        elif child.text.strip():
            raise XmlTrouble(f"two records run into each other at <{inert(child.tag, 40)}> ({fault})")
    return [*fields.values(), *nested]


def _refuse_strays(root: Node, made: list[Node], records: tuple[str, ...], fault: str) -> None:
    """Refuse a list in which a record's opening tag was lost: its fields then stand outside any record."""
    inside = {child.tag for node in made for child in node.children} - {"outcome", "error", *records}
    for child in root.children:
        if child.tag in inside and child.text.strip():
            raise XmlTrouble(f"<{inert(child.tag, 40)}> stands outside any record ({fault})")


def _plain(text: str) -> str:
    return _CONTROL.sub("", _REFERENCE.sub(_character, text))


def _character(found: re.Match[str]) -> str:
    decimal, hexadecimal, name = found.groups()
    if name:
        return _PREDEFINED[name]
    code = int(decimal) if decimal else int(hexadecimal, 16)
    allowed = code in (9, 10, 13) or 32 <= code <= 0xD7FF or 0xE000 <= code <= 0x10FFFF
    return chr(code) if allowed else ""
