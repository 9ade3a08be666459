"""The rooms of the Python packages: no import climbs or closes a circle, no module is too big."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
LONGEST_MODULE, LONGEST_CLASS = 450, 250  # lines
PACKAGES = ("roster_upload", "roster_fleet")

# The rooms of roster_upload, from the lowest to the highest. A module imports from its own room and
# from lower ones.
LAYERS = (
    "terminal",
    "spec",
    "exits",
    "config",
    "host",
    "guard",
    "records",
    "validation",
    "package",
    "export",
    "transfer",
    "fetch",
    "diff",
    "report",
    "notify",
    "delivery",
    "cli",
)
ENTRANCES = ("__init__", "__main__")  # of the package: above all rooms

# Modules that are still too big. Remove a line when its module is split.
BIG_MODULES: set[str] = set()

# Modules without a test file of their name, with a file that tests them. The list only shrinks.
UNTESTED_BY_NAME = {
    "roster_upload/diff/kept.py": "unit/diff/test_diff.py",
    "roster_upload/validation/options.py": "unit/validation/test_check.py",
    "roster_upload/cli/approve.py": "integration/test_nightly.py",
    "roster_upload/cli/check_config.py": "unit/terminal/test_output.py",
    "roster_upload/cli/check_package.py": "unit/diff/test_compare.py",
    "roster_upload/cli/deliver.py": "integration/test_nightly.py",
    "roster_upload/cli/host_feeds.py": "unit/cli/test_parser.py",
    "roster_upload/cli/render_compare.py": "unit/diff/test_compare.py",
    "roster_upload/cli/render_diff.py": "unit/diff/test_diff.py",
    "roster_upload/cli/server.py": "integration/test_send.py",
    "roster_upload/cli/show.py": "integration/test_nightly.py",
    "roster_upload/cli/show_diff.py": "unit/diff/test_diff.py",
    "roster_upload/cli/through_unit.py": "unit/host/test_unit.py",
    "roster_upload/cli/watch.py": "integration/test_nightly.py",
    "roster_upload/records/finding.py": "unit/validation/test_findings.py",
    "roster_upload/records/parts.py": "unit/records/test_receipt.py",
    "roster_upload/records/state.py": "unit/delivery/test_pipeline.py",
    "roster_upload/report/brief.py": "unit/cli/test_report.py",
    "roster_upload/report/collect.py": "unit/cli/test_report.py",
    "roster_upload/terminal/tables.py": "unit/diff/test_diff.py",
    "roster_fleet/alerts.py": "unit/fleet/test_fleet_alerts.py",
    "roster_fleet/commands.py": "unit/test_untrusted_hosts.py",
    "roster_fleet/inventory.py": "unit/fleet/test_plan.py",
    "roster_fleet/status/cache.py": "unit/test_status.py",
    "roster_fleet/status/page.py": "unit/test_status.py",
    "roster_fleet/status/rows.py": "unit/test_status.py",
    "roster_fleet/status/table.py": "unit/test_status.py",
    "roster_fleet/terminal.py": "unit/test_untrusted_hosts.py",
}


def files(package: str) -> list[Path]:
    return sorted((SCRIPTS / package).rglob("*.py"))


def module_of(path: Path) -> str:
    """Return the dotted name of a module; that of a package is its folder's."""
    name = ".".join(path.relative_to(SCRIPTS).with_suffix("").parts)
    return name.removesuffix(".__init__")


def imported(path: Path, known: frozenset[str]) -> Iterator[str]:
    """Yield the modules of ours that a module imports, also inside of functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: an import is relative"
            base = node.module or ""
            names = [f"{base}.{alias.name}" for alias in node.names]
            names = [name if name in known else base for name in names]
        else:
            continue
        yield from (name for name in names if name in known)


def graph(package: str) -> Mapping[str, set[str]]:
    """Return each module and those of its package that it imports."""
    paths = {module_of(path): path for path in files(package)}
    known = frozenset(paths)
    return {name: set(imported(path, known)) - {name} for name, path in paths.items()}


def room(module: str) -> str:
    """Return the room of a module of roster_upload."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_runs_in_a_circle(package: str) -> None:
    try:
        list(TopologicalSorter(graph(package)).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_every_module_has_a_room() -> None:
    rooms = {room(module) for module in graph("roster_upload")}
    assert rooms == {*LAYERS, *ENTRANCES}


def test_no_import_climbs() -> None:
    order = {name: at for at, name in enumerate(("__init__", *LAYERS, "__main__"))}
    climbs = [
        f"{module} imports {other}"
        for module, others in graph("roster_upload").items()
        for other in others
        if order[room(other)] > order[room(module)]
    ]
    assert climbs == []


def test_the_program_knows_nothing_of_the_control_node() -> None:
    known = frozenset(map(module_of, files("roster_fleet")))
    assert [path for path in files("roster_upload") if list(imported(path, known))] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_is_too_big(package: str) -> None:
    sizes = {
        str(path.relative_to(SCRIPTS)): len(path.read_text("utf-8").splitlines())
        for path in files(package)
    }
    big = {name for name, lines in sizes.items() if lines > LONGEST_MODULE}
    listed = {name for name in BIG_MODULES if name.startswith(f"{package}/")}
    assert big == listed, "split the module, or remove it from the list"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_class_is_too_big(package: str) -> None:
    big = {
        f"{path.relative_to(SCRIPTS)}: {node.name}"
        for path in files(package)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
        and (node.end_lineno or node.lineno) - node.lineno + 1 > LONGEST_CLASS
    }
    assert big == set()


def test_each_test_file_has_a_name_of_its_own() -> None:
    tests = SCRIPTS.parent / "tests"
    found = [path for room in ("unit", "integration") for path in (tests / room).rglob("test_*.py")]
    assert [name for name, n in Counter(path.name for path in found).items() if n > 1] == []


def test_each_module_has_a_test_file_of_its_name() -> None:
    tests = SCRIPTS.parent / "tests"
    names = {path.name for path in (tests / "unit").rglob("test_*.py")}
    untested = {
        str(path.relative_to(SCRIPTS))
        for package in PACKAGES
        for path in files(package)
        if path.stem not in ENTRANCES
        and not names & {f"test_{path.name}", f"test_{path.parent.name}_{path.name}"}
    }
    assert untested == set(UNTESTED_BY_NAME), "add the test file, or remove it from the list"
    assert [name for name in UNTESTED_BY_NAME.values() if not (tests / name).is_file()] == []
