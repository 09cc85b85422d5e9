import hashlib
import re
import tomllib
from pathlib import Path

import pytest

import campaigns.web

STATIC = Path(campaigns.web.__file__).parent / "static"
TEMPLATES = STATIC.parent / "templates"
VENDORED = tomllib.loads((STATIC / "vendor" / "VENDORED.toml").read_text("utf-8"))


def test_what_is_vendored_is_the_file_of_its_package_unchanged() -> None:
    told = {file["name"]: file["sha256"] for package in VENDORED.values() for file in package["files"]}
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (STATIC / "vendor").iterdir()
        if path.name != "VENDORED.toml"
    }

    assert found == told


@pytest.mark.parametrize("name", sorted(VENDORED))
def test_what_is_vendored_comes_with_its_licence(name: str) -> None:
    package = VENDORED[name]
    licences = [file["name"] for file in package["files"] if "LICENSE" in file["name"]]

    assert licences
    assert package["licence"] in (STATIC / "vendor" / licences[0]).read_text("utf-8")


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_a_template_holds_no_script_no_style_and_nothing_from_elsewhere(path: Path) -> None:
    text = path.read_text("utf-8")

    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
    assert not re.search(r"(?:src|href|action)=[\"'](?:https?:)?//", text)
    assert "| safe" not in text


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
def test_a_script_of_ours_makes_no_markup_from_text(path: Path) -> None:
    text = path.read_text("utf-8")

    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
