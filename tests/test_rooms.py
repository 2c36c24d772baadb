"""The street of rooms in CONTRIBUTING.md is the one that the code walks."""

import ast
from pathlib import Path

import skelemo

HOUSE = Path(skelemo.__file__).parent
FLOORS = (
    {"cli"},
    {"api"},
    {"view", "formats", "study"},
    {"audit"},
    {"training", "report"},
    {"inference"},
    {"ingest"},
    {"data"},
    {"preprocess", "models", "tracking", "pose"},
    {"render", "player", "openpose", "annotations", "simulate"},
    {"cache", "evaluation"},
    {"runs"},
    {"skeleton", "targets"},
    {"plugins"},
    {"atomic", "text"},
    {"errors"},
)


def room(parts):
    return parts[1] if len(parts) > 1 else ""


def imports(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from [f"skelemo.{alias.name}" for alias in node.names] if node.module == "skelemo" else [node.module]
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_a_room_imports_only_from_floors_below_its_own():
    floor = {name: level for level, names in enumerate(FLOORS) for name in names}
    for file in HOUSE.rglob("*.py"):
        here = room(("skelemo", *file.relative_to(HOUSE).with_suffix("").parts))
        for module in imports(file):
            there = room(module.split("."))
            if module.startswith("skelemo.") and there in floor and here in floor and there != here:
                assert floor[here] < floor[there], f"{file} imports {module}"


def test_every_room_stands_on_a_floor_and_contributors_are_told():
    rooms = {path.stem for path in HOUSE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms - {"__init__", "__main__"} == set().union(*FLOORS)
    told = (HOUSE.parent / "CONTRIBUTING.md").read_text().split("below its own:\n\n")[1].split("\n\n")[0]
    assert [set(line.strip().split(", ")) for line in told.splitlines()] == list(FLOORS)


def imports_at_once(file, modules):
    """What a module imports while it is itself imported, by module of ours."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in modules else node.module for name in full)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_no_files_import_each_other_in_a_circle():
    names = {
        file: ".".join(("skelemo", *file.relative_to(HOUSE).with_suffix("").parts)) for file in HOUSE.rglob("*.py")
    }
    modules = {name.removesuffix(".__init__"): file for file, name in names.items()}
    waiting = {
        name: {other for other in imports_at_once(file, modules) if other in modules} - {name}
        for name, file in modules.items()
    }
    while ready := [name for name, others in waiting.items() if not others & waiting.keys()]:
        for name in ready:
            del waiting[name]
    assert not waiting, f"in or behind a circle: {sorted(waiting)}"
