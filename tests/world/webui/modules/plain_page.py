"""The same without a page, for launches that nobody opens in a browser: gradio takes two seconds to import.

In a world without a page it lies in the place of page.py.
"""

import socket
import threading
import time

import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse


def serve(paint, host: str, port: int):
    """Serve it in the background; the FastAPI application."""
    app, listener = FastAPI(), socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host or "127.0.0.1", port))
    except OSError:  # in the words of gradio 3.41.2, networking.py
        raise OSError(
            f"Cannot find empty port in range: {port}-{port}. You can specify a different port by setting the "
            "GRADIO_SERVER_PORT environment variable or passing the `server_port` parameter to `launch()`."
        ) from None
    app.get("/", response_class=HTMLResponse)(lambda: "<title>Stable Diffusion</title><gradio-app></gradio-app>")
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
    while not server.started:  # as gradio's own server waits
        time.sleep(0.001)
    return app
