"""What the documents name exists: every test, every link, every path; so that nobody is sent to what is gone."""

import ast
import re
import unicodedata
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
REPLACED = ROOT / "docs" / "replaced-system.md"
DEFECTS = 27
TROUBLES = 5

_FENCE = re.compile(r"^(```|~~~)[^\n]*\n(.*?)^\1\s*$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s*(\S+)|(?:src|href)=\"([^\"]+)\"", re.MULTILINE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_TEST = re.compile(r"(tests/[\w/.-]*\.py)::(\w+(?:::\w+)*)")
# A word that can only be meant as a file or a folder: with an ending that our files have, or with a slash at its end.
_ENDINGS = "cfg|ini|json|lock|md|png|py|sh|sql|svg|toml|txt|yaml|yml"
_PATH = re.compile(rf"(?<![\w/.:<>*$~%=-])(?:[\w.-]+/)*(?:[\w-][\w.-]*\.(?:{_ENDINGS})|[\w.-]+/)(?![\w/.*<{{])")
_FOLDERS = frozenset(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith("."))


def prose(text: str) -> str:
    """The text without its code blocks."""
    return _FENCE.sub("", text)


def code(text: str) -> list[str]:
    """Its code: the blocks, and what stands between backticks."""
    return [block for _, block in _FENCE.findall(text)] + _SPAN.findall(prose(text))


def named_tests(text: str) -> set[tuple[str, str]]:
    """Files and functions of `tests/....py::test_...`."""
    return {(file, function) for file, function in _TEST.findall(text)}


def links(text: str) -> set[str]:
    """Links and images that lead to something of ours, also those in HTML."""
    found = _LINK.finditer(_SPAN.sub("", prose(text)))
    targets = {next(filter(None, match.groups())) for match in found}
    return {target for target in targets if not _SCHEME.match(target) and not target.startswith("//")}


def paths(text: str) -> set[str]:
    """Files and folders that stand in code: `ledger/port.py`, `deploy/`, `tests/replay`, `port.py`."""
    found = {path for piece in code(text) for path in _PATH.findall(piece)}
    whole = {span for span in _SPAN.findall(prose(text)) if re.fullmatch(r"[\w-]+(/[\w.-]+)+", span)}
    return found | {span for span in whole if span.split("/")[0] in _FOLDERS}


def is_there(path: str, document: Path) -> bool:
    """From the root, from the document's own folder, or the end of a path of ours."""
    if (ROOT / path).exists() or (document.parent / path).exists():
        return True
    return any(f"/{file}/".endswith(f"/{path.rstrip('/')}/") for file in our_files())


@cache
def our_files() -> frozenset[str]:
    """Files and folders below our own top-level folders."""
    return frozenset(str(path.relative_to(ROOT)) for folder in _FOLDERS for path in (ROOT / folder).rglob("*"))


@cache
def functions(file: str) -> frozenset[str]:
    """Functions of a test file, those of a class as `Class::function`."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return frozenset(found) | {
        f"{one.name}::{node.name}"
        for one in classes
        for node in one.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@cache
def anchors(document: Path) -> frozenset[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#{1,6} +(.+?) *#*$", prose(document.read_text(encoding="utf-8")), re.MULTILINE)
    made: list[str] = []
    for heading in headings:
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        kept = "".join(c for c in plain if c in " -_" or unicodedata.category(c)[0] in "LNM")
        slug = kept.replace(" ", "-")
        made.append(f"{slug}-{n}" if (n := sum(re.fullmatch(rf"{slug}(-\d+)?", m) is not None for m in made)) else slug)
    return frozenset(made)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_every_test_that_a_document_names_exists(name: str) -> None:
    named = named_tests(read(name))
    assert {file for file, _ in named if not (ROOT / file).is_file()} == set()
    assert {f"{file}::{function}" for file, function in named if function not in functions(file)} == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_test_name_in_a_document_stands_with_its_file(name: str) -> None:
    """Otherwise nobody notices when it is renamed."""
    rest = _TEST.sub("", read(name))
    files = {path.stem for path in ROOT.glob("tests/**/*.py")}
    assert {word for word in re.findall(r"\btest_\w+(?!\w|\.py)", rest) if word not in files} == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_to_a_file_and_a_heading_of_ours(name: str) -> None:
    broken: set[str] = set()
    for link in links(read(name)):
        target, _, anchor = unquote(link).partition("#")
        file = (ROOT / name).parent / target if target else ROOT / name
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            broken.add(link)
    assert broken == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_path_that_a_document_names_exists(name: str) -> None:
    assert {path for path in paths(read(name)) if not is_there(path, ROOT / name)} == set()


def test_what_is_gone_is_noticed() -> None:
    """The finders find: a check that sees nothing would pass for ever."""
    text = """
See [the port](../ledger/port.py#top), ![a picture](images/none.png "Title"), [gone]: and [web](https://example.com/a.md).

[reference]: nowhere.md
<img src="images/html.png">
`tests/unit/test_docs.py::test_gone` and `ledger/gone.py`, `nobody.py`, `gone/`, `tests/gone`, `payments/s`, `x-y/z`.

```
tests/unit/gone.py   http://127.0.0.1/v1/not.json   <data-dir>/no.json
```
"""
    assert links(text) == {"../ledger/port.py#top", "images/none.png", "nowhere.md", "images/html.png"}
    assert named_tests(text) == {("tests/unit/test_docs.py", "test_gone")}
    assert "test_gone" not in functions("tests/unit/test_docs.py")
    found = {"ledger/gone.py", "nobody.py", "gone/", "tests/gone", "payments/s", "tests/unit/gone.py"}
    assert {path for path in paths(text) if not is_there(path, REPLACED)} == found
    assert "the-sandbox-processor" in anchors(ROOT / "ARCHITECTURE.md")
    assert len(DOCUMENTS) > 3


def test_every_defect_of_the_replaced_system_names_a_test() -> None:
    rows = re.findall(r"^\| (\d+) \|(.*)\|$", read("docs/replaced-system.md"), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, DEFECTS + 1))
    assert [number for number, row in rows if not named_tests(row.rsplit("|", 1)[-1])] == []


def test_every_trouble_of_the_replaced_system_names_a_test() -> None:
    troubles = re.split(r"^### \d\. ", read("docs/replaced-system.md"), flags=re.MULTILINE)[1:]
    assert len(troubles) == TROUBLES
    assert [text.splitlines()[0] for text in troubles if not named_tests(text)] == []
