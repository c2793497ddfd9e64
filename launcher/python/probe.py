"""Run by the web UI's own Python: ends with an error where something does not work (`environment.trouble_with`).

Arguments: modules to import. With torch and a card one convolution, one matrix product and one attention are computed
in half precision, as an image would.
"""

import importlib
import sys
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


if __name__ == "__main__":
    modules = {name: importlib.import_module(name) for name in sys.argv[1:]}
    if "torch" in modules and modules["torch"].cuda.is_available():
        compute(modules["torch"])
