"""The seven layers, drawn from the imports; `make docs` puts the drawing into docs/how-it-works.md."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-it-works.md"
FLOORS = (
    ("core",),
    ("models", "ui", "source", "python", "colab", "webui"),
    ("access", "drive"),
    ("extensions",),
    ("launch", "notebook"),
    ("service", "client"),
    ("cells",),
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS, start=1) for room in rooms}
BEGIN, END = "<!-- floors: made by `make docs` -->", "<!-- end of floors -->"


def imports() -> dict[str, set[str]]:
    """Module -> the modules of the launcher it imports, also inside functions."""
    paths = sorted((ROOT / "launcher").rglob("*.py"))
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    found = {}
    for name, path in zip(names, paths, strict=True):
        froms = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom) and n.module]
        modules = {f"{n.module}.{one.name}" for n in froms for one in n.names if f"{n.module}.{one.name}" in names}
        modules |= {str(n.module) for n in froms if str(n.module).startswith("launcher.")}
        found[name] = modules - {name}  # a package that names its own modules
    return found


def room_of(module: str) -> str:
    """launcher.models.sources.direct -> models"""
    return module.split(".")[1] if "." in module else ""


def climbs() -> list[str]:
    """Imports of another room that is not on a floor below."""
    return [
        f"{module} imports {other}"
        for module, others in imports().items()
        for other in others
        if room_of(module) != room_of(other)
        and room_of(module)
        and FLOOR_OF[room_of(other)] >= FLOOR_OF[room_of(module)]
    ]


def circles() -> list[str]:
    """Modules that import each other in a circle."""
    graph, found, done = imports(), list[str](), set[str]()

    def walk(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            found.append(" -> ".join((*path[path.index(module) :], module)))
        elif module not in done:
            for other in sorted(graph.get(module, ())):
                walk(other, (*path, module))
            done.add(module)

    for module in graph:
        walk(module, ())
    return found


def drawing() -> str:
    """The floors from the top, each room with its modules and the rooms it uses."""
    graph = imports()
    lines = []
    for number, rooms in reversed(list(enumerate(FLOORS, start=1))):
        for room in rooms:
            own = {module: others for module, others in graph.items() if room_of(module) == room}
            uses = sorted({room_of(o) for others in own.values() for o in others} - {room})
            names = sorted(module.split(".", 2)[2] for module in own if module.count(".") > 1)
            told = f"{number}  {room:<11} {', '.join(names)}".rstrip()
            lines.append(told + (f"\n   {'':<11} uses {', '.join(uses)}" if uses else ""))
        lines.append("")
    return "\n".join(lines).rstrip()


def page_with_drawing(page: str) -> str:
    """The page with the drawing as it is now."""
    between = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    return between.sub(lambda _: f"{BEGIN}\n```\n{drawing()}\n```\n{END}", page)
