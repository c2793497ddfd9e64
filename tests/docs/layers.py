"""The layers, read from the imports; `make docs` writes them into docs/dev/how-it-works.md."""

import ast
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "dev" / "how-it-works.md"
LAYERS = (
    ("core",),
    ("models", "ui", "source", "python", "colab", "webui"),
    ("access", "drive"),
    ("extensions",),
    ("launch", "notebook"),
    ("service", "client"),
    ("cells",),
)
LAYER_OF = {package: number for number, packages in enumerate(LAYERS, start=1) for package in packages}
BEGIN, END = "<!-- layers: made by `make docs` -->", "<!-- end of layers -->"


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


def package_of(module: str) -> str:
    """launcher.models.sources.direct -> models"""
    return module.split(".")[1] if "." in module else ""


def climbs() -> list[str]:
    """Imports of another package that is not in a layer below."""
    return [
        f"{module} imports {other}"
        for module, others in imports().items()
        for other in others
        if package_of(module) != package_of(other)
        and package_of(module)
        and LAYER_OF[package_of(other)] >= LAYER_OF[package_of(module)]
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
    """The layers from the top, each package with its modules; not those that run inside A1111."""
    modules, lines = list(imports()), list[str]()
    for number, packages in reversed(list(enumerate(LAYERS, start=1))):
        for package in packages:
            own = [module for module in modules if package_of(module) == package]
            names = sorted(
                module.split(".", 2)[2] for module in own if module.count(".") > 1 and ".scripts." not in module
            )
            head = f"{number}  {package:<11} "
            told = textwrap.wrap(", ".join(names), 118 - len(head), break_on_hyphens=False) or [""]
            lines += [f"{head}{told[0]}".rstrip(), *(" " * len(head) + line for line in told[1:])]
    return "\n".join(lines)


def page_with_drawing(page: str) -> str:
    """The page with the drawing as it is now."""
    between = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    return between.sub(lambda _: f"{BEGIN}\n```\n{drawing()}\n```\n{END}", page)
