"""A planted bug: a patch with a head that says what it is and where it shows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
DIFF: Final = "diff --git "
_KEYS: Final = frozenset({"What", "Faults", "Seconds", "Test"})


class Malformed(ValueError):
    """The patch's head can't be read, or there is no such patch."""


@dataclass(frozen=True)
class Planted:
    """One of them."""

    name: str
    patch: Path
    what: str
    faults: tuple[str, ...]
    """Names of the campaign's faults in which it shows."""
    seconds: float
    """For how long the campaign goes on."""
    test: str | None
    """A test that must fail, for what a campaign can't show."""


def planted(only: str | None = None) -> list[Planted]:
    """All of them, or the one of this name. Raises `Malformed`."""
    patches = sorted(FOLDER.glob("*.patch"))
    if only is not None and only not in {patch.stem for patch in patches}:
        raise Malformed(f"no such planted bug: {only}. There are: {', '.join(patch.stem for patch in patches)}")
    return [read(patch) for patch in patches if only in {None, patch.stem}]


def read(patch: Path) -> Planted:
    """What the head of a patch says: lines of `Key: value` before the diff, which `git apply` passes over."""
    head, found, _ = patch.read_text(encoding="utf-8").partition(DIFF)
    said: dict[str, str] = {}
    for line in filter(None, head.splitlines()):
        key, colon, value = line.partition(":")
        if not colon or key not in _KEYS or key in said:
            raise Malformed(f"{patch.name}: its head has a line {line!r}")
        said[key] = value.strip()
    if not found or not said.get("What") or not (said.get("Faults") or said.get("Test")):
        raise Malformed(f"{patch.name}: it needs What, Faults or a Test, and a diff")
    faults = tuple(each.strip() for each in said.get("Faults", "").split(",") if each.strip())
    return Planted(patch.stem, patch, said["What"], faults, float(said.get("Seconds", "12")), said.get("Test"))
