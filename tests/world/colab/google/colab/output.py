"""google.colab.output: Colab's own link is the port itself here."""

import re


def eval_js(script: str, timeout_sec: float | None = None) -> str:
    port = re.findall(r"proxyPort.(\d+)", script)[0]
    return f"http://127.0.0.1:{port}"
