"""The shape of the house, as far as the import linter can't see it."""

import ast
import importlib
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES: list[str] = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


@pytest.mark.parametrize("package", PACKAGES)
def test_top_level_package_is_ours_and_not_another_distributions(package: str) -> None:
    """Their names are words that anybody may have taken."""
    assert Path(str(importlib.import_module(package).__file__)) == ROOT / package / "__init__.py"


def test_every_package_of_the_repository_is_shipped_and_linted() -> None:
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert found == set(PACKAGES) == set(PYPROJECT["tool"]["importlinter"]["root_packages"])
    assert set(PYPROJECT["tool"]["pyright"]["include"]) == found | {"tests", "benchmarks"}


def test_workflow_package_imports_nothing() -> None:
    tree = ast.parse((ROOT / "workflows" / "__init__.py").read_text(encoding="utf-8"))
    assert [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)] == []


@pytest.mark.parametrize("folder", PACKAGES)
def test_every_folder_with_code_is_a_package(folder: str) -> None:
    lacking = {file.parent for file in (ROOT / folder).rglob("*.py") if not (file.parent / "__init__.py").exists()}
    assert lacking == set()


@pytest.mark.parametrize("gateway", [path.parent.name for path in ROOT.glob("gateways/*/__init__.py")])
def test_every_gateway_has_the_same_files(gateway: str) -> None:
    files = {path.name for path in (ROOT / "gateways" / gateway).glob("*.py")}
    assert {"__init__.py", "gateway.py", "mapping.py", "webhooks.py"} <= files
