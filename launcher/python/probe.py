"""Run by the web UI's own Python: what must work there? Prints one line of JSON (`environment.trouble_with`).

Arguments: modules to import, or a package's library (`torchvision/_C.so`) to load into torch. With torch and a card one
convolution, one matrix product and one attention are computed in half precision, as an image would.
"""

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any


def compute(torch: Any) -> None:
    """A little on the card; raises where that is wrong."""
    half = {"device": "cuda", "dtype": torch.float16}
    image, kernel = torch.ones(1, 64, 32, 32, **half), torch.ones(64, 64, 3, 3, **half)
    made = torch.nn.functional.conv2d(image / 64, kernel / 9, padding=1)
    words = torch.ones(1, 8, 77, 64, **half)
    seen = torch.nn.functional.scaled_dot_product_attention(words, words, words)
    product = torch.ones(64, 64, **half) @ torch.ones(64, 64, **half)
    torch.cuda.synchronize()
    if abs(float(made[0, 0, 16, 16]) - 1) > 0.01 or float(seen.mean()) != 1 or float(product[0, 0]) != 64:
        raise ArithmeticError("a convolution, an attention or a product came out wrong")


def load(name: str) -> None:
    """Load a package's library into torch, or import the module where it has none of that name."""
    package, _, library = name.partition("/")
    found = importlib.util.find_spec(package)
    path = Path(found.origin).with_name(library) if library and found and found.origin else None
    if path and path.exists():
        importlib.import_module("torch").ops.load_library(str(path))
    else:
        importlib.import_module(package)


def main() -> None:
    """Import, compute, and tell."""
    trouble = None
    try:
        for name in sys.argv[1:]:
            load(name)
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            compute(torch)
    except Exception as error:  # whatever a package raises, the caller is told
        trouble = f"{type(error).__name__}: {error}"[:300]
    with open("/proc/self/maps") as maps:
        libraries = sorted({line.split(maxsplit=5)[5].rstrip() for line in maps if ".so" in line})
    print(json.dumps({"trouble": trouble, "libraries": libraries}))


if __name__ == "__main__":
    main()
