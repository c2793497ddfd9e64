"""Run by the web UI's own Python: says, a line of JSON each, what it is at and what it found (`python.inspection`).

Arguments: modules to import. With torch, the card it sees is named, and one convolution, one matrix product and one
attention are computed on it in half precision, as an image would.
"""

import importlib
import json
import sys
from typing import Any


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


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


def see_card(torch: Any) -> None:
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        say(card=card.name, memory=card.total_memory)
        compute(torch)
    else:
        try:
            torch.cuda.init()
        except (RuntimeError, AssertionError) as error:  # it says why
            say(no_card=str(error)[:500])


if __name__ == "__main__":
    modules = {}
    for name in sys.argv[1:]:
        say(at=name)
        modules[name] = importlib.import_module(name)
    if "torch" in modules:
        say(at="card")
        see_card(modules["torch"])
