"""Offline stand-in for gradio's share service, good enough for gradio's REAL frpc v0.3.

What it serves, on 127.0.0.1 only:
  * the share API      https://api.gradio.app/v3/tunnel-request
  * the binary CDN     https://cdn-media.huggingface.co/frpc-gradio-0.3/<name>
      both through an HTTP CONNECT proxy that ends TLS with a throw-away CA
      (client side: HTTPS_PROXY=http://127.0.0.1:PORT and SSL_CERT_FILE=<ca.pem>)
  * an frps 0.44 work-alike: 0x17 head byte, TLS, yamux, frp messages, AES-128-CFB
    control stream, work connections with AES-128-CFB + snappy framing
  * one public HTTP port per share link (raw TCP pass-through, so websockets work)

Modes (--mode / FakeShare(mode=...)) reproduce failures:
  ok | login_error | proxy_error | proxy_error_once | silent | proxy_silent | api_500 | api_429 | api_empty |
  api_refuse | cdn_403 | cdn_bad | expired_cert | wrong_host
Live controls: .drop() closes the client's connection, .kill_clients() sends frp's Kill message
(what gradio's server does when a link expires).
Needs: cryptography.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import functools
import hashlib
import ipaddress
import json
import os
import secrets
import socket
import ssl
import struct
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.x509.oid import NameOID

try:
    from cryptography.hazmat.decrepit.ciphers.modes import CFB
except ImportError:
    from cryptography.hazmat.primitives.ciphers.modes import CFB

warnings.filterwarnings("ignore", message=".*CFB.*")
KEY = hashlib.pbkdf2_hmac("sha1", b"", b"frp", 64, 16)  # golib/crypto, salt "frp", token ""


# ---------------------------------------------------------------- certificates
def make_pki(folder: Path, expired=False, ip="127.0.0.1", hosts=()):
    now = dt.datetime.now(dt.UTC)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fake gradio share CA")])
    ca = (
        x509.CertificateBuilder()
        .subject_name(ca_name)
        .issuer_name(ca_name)
        .public_key(ca_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=30))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.BasicConstraints(True, None), True)
        .add_extension(x509.KeyUsage(True, False, False, False, False, True, True, False, False), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), False)
        .sign(ca_key, hashes.SHA256())
    )

    def leaf(name, sans, expired=False):
        k = ec.generate_private_key(ec.SECP256R1())
        end = now - dt.timedelta(days=1) if expired else now + dt.timedelta(days=20)
        c = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(ca_name)
            .public_key(k.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=20))
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName(sans), False)
            .add_extension(x509.BasicConstraints(False, None), True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), False)
            .sign(ca_key, hashes.SHA256())
        )
        p = folder / f"{name}.pem"
        p.write_bytes(
            c.public_bytes(serialization.Encoding.PEM)
            + k.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(p)
        return ctx

    ca_pem = ca.public_bytes(serialization.Encoding.PEM).decode()
    (folder / "ca.pem").write_text(ca_pem)
    web = leaf(
        "web",
        [x509.DNSName(h) for h in ("api.gradio.app", "cdn-media.huggingface.co", "localhost", "*.gradio.live", *hosts)],
    )
    frps = leaf("frps", [x509.IPAddress(ipaddress.ip_address(ip))], expired)
    return ca_pem, web, frps


# ---------------------------------------------------------------- snappy framing
_T = []
for _i in range(256):
    _c = _i
    for _ in range(8):
        _c = (_c >> 1) ^ 0x82F63B78 if _c & 1 else _c >> 1
    _T.append(_c)


def crc32c_masked(b: bytes) -> int:
    c = 0xFFFFFFFF
    for x in b:
        c = _T[(c ^ x) & 255] ^ (c >> 8)
    c ^= 0xFFFFFFFF
    return (((c >> 15) | (c << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def snappy_raw(b: bytes) -> bytes:
    i = shift = 0
    while True:  # varint length
        shift += 1
        i += 1
        if not b[i - 1] & 0x80:
            break
    out = bytearray()
    while i < len(b):
        t = b[i]
        i += 1
        if t & 3 == 0:
            n = t >> 2
            if n >= 60:
                k = n - 59
                n = int.from_bytes(b[i : i + k], "little")
                i += k
            n += 1
            out += b[i : i + n]
            i += n
            continue
        if t & 3 == 1:
            n, off = 4 + ((t >> 2) & 7), ((t >> 5) << 8) | b[i]
            i += 1
        elif t & 3 == 2:
            n, off = 1 + (t >> 2), int.from_bytes(b[i : i + 2], "little")
            i += 2
        else:
            n, off = 1 + (t >> 2), int.from_bytes(b[i : i + 4], "little")
            i += 4
        if off >= n:
            out += out[len(out) - off : len(out) - off + n]
        else:
            for _ in range(n):
                out.append(out[-off])
    return bytes(out)


def snappy_frame(b: bytes) -> bytes:  # uncompressed chunks are legal snappy framing
    out = bytearray()
    for i in range(0, len(b), 65536):
        p = b[i : i + 65536]
        out += b"\x01" + (len(p) + 4).to_bytes(3, "little") + struct.pack("<I", crc32c_masked(p)) + p
    return bytes(out)


# ---------------------------------------------------------------- yamux (server side)
class Stream:
    def __init__(self, ses, sid):
        self.ses, self.sid = ses, sid
        self.buf, self.eof = bytearray(), False
        self.more = asyncio.Event()
        self.window = 262144
        self.room = asyncio.Event()
        self.room.set()
        self.closed = False

    async def readexactly(self, n):
        while len(self.buf) < n:
            if self.eof:
                raise asyncio.IncompleteReadError(bytes(self.buf), n)
            self.more.clear()
            await self.more.wait()
        d = bytes(self.buf[:n])
        del self.buf[:n]
        if not self.eof:
            self.ses.frame(1, 0, self.sid, n)  # give the window back
        return d

    async def write(self, data):
        mv = memoryview(data)
        while mv:
            if self.eof and self.closed:
                raise ConnectionError("stream closed")
            while self.window <= 0:
                self.room.clear()
                await self.room.wait()
            n = min(len(mv), self.window, 32768)
            self.window -= n
            self.ses.frame(0, 0, self.sid, n, bytes(mv[:n]))
            await self.ses.w.drain()
            mv = mv[n:]

    def close(self):
        if not self.closed:
            self.closed = True
            self.ses.frame(1, 4, self.sid, 0)


class Session:
    def __init__(self, r, w, on_stream):
        self.r, self.w, self.on_stream, self.streams = r, w, on_stream, {}
        self.tasks = set()

    def keep(self, coro):
        task = asyncio.ensure_future(coro)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def frame(self, typ, flags, sid, length, body=b""):
        if not self.w.is_closing():
            self.w.write(struct.pack(">BBHII", 0, typ, flags, sid, length) + body)

    async def run(self):
        try:
            while True:
                _, typ, flags, sid, length = struct.unpack(">BBHII", await self.r.readexactly(12))
                if typ == 2:  # ping
                    if flags & 1:
                        self.frame(2, 2, 0, length)
                    continue
                if typ == 3:  # go away
                    return
                if flags & 1:
                    s = self.streams[sid] = Stream(self, sid)
                    self.frame(1, 2, sid, 0)  # ACK
                    self.keep(self.on_stream(s))
                s = self.streams.get(sid)  # type: ignore[assignment]
                body = await self.r.readexactly(length) if typ == 0 else b""
                if s is None:
                    continue
                if typ == 0:
                    s.buf += body
                elif typ == 1 and length:
                    s.window += length
                    s.room.set()
                if flags & (4 | 8):
                    s.eof = True
                    self.streams.pop(sid, None)
                s.more.set()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError, OSError):
            pass
        finally:
            for s in self.streams.values():
                s.eof = True
                s.more.set()
            self.w.close()


class Crypt:
    """AES-128-CFB both ways, 16-byte IV in front of each direction (golib/crypto)."""

    def __init__(self, stream):
        self.s, self.dec, self.enc = stream, None, None

    async def readexactly(self, n):
        if self.dec is None:
            self.dec = Cipher(algorithms.AES(KEY), CFB(await self.s.readexactly(16))).decryptor()
        return self.dec.update(await self.s.readexactly(n))

    async def write(self, data):
        head = b""
        if self.enc is None:
            head = os.urandom(16)
            self.enc = Cipher(algorithms.AES(KEY), CFB(head)).encryptor()
        await self.s.write(head + self.enc.update(data))


async def read_msg(s):
    t, n = struct.unpack(">cq", await s.readexactly(9))
    return t.decode(), json.loads(await s.readexactly(n))


async def write_msg(s, t, obj):
    b = json.dumps(obj).encode()
    await s.write(struct.pack(">cq", t.encode(), len(b)) + b)


# ---------------------------------------------------------------- the service
class FakeShare:
    def __init__(self, frpc: str | None = None, mode="ok", log=None, port=0, links=None):
        self.frpc, self.mode = frpc, mode
        self._folder = tempfile.TemporaryDirectory(prefix="fakeshare")
        self.dir = Path(self._folder.name)
        self.ca_pem, self.web_ctx, self.frps_ctx = make_pki(
            self.dir, mode == "expired_cert", "127.0.0.9" if mode == "wrong_host" else "127.0.0.1"
        )
        self.lines: list[str] = []
        self._log = log
        self.clients: dict[Any, dict[str, Any]] = {}
        self.links, self.wanted_port = dict(links or {}), port
        self.named_port = 0  # a port at which the link has TLS, and a name as gradio's have
        self.bytes_up = self.bytes_down = 0
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()

        def go():
            asyncio.set_event_loop(self.loop)
            self.loop.run_until_complete(self._start())
            ready.set()
            self.loop.run_forever()

        self.thread = threading.Thread(target=go, daemon=True)
        self.thread.start()
        ready.wait()

    def log(self, *a):
        line = f"{time.strftime('%H:%M:%S')} " + " ".join(map(str, a))
        self.lines.append(line)
        if self._log:
            print(line, file=self._log, flush=True)

    def env(self) -> dict[str, str]:
        """What a child process needs so that unmodified gradio talks to us."""
        return {
            "HTTPS_PROXY": f"http://127.0.0.1:{self.proxy_port}",
            "SSL_CERT_FILE": str(self.dir / "ca.pem"),
            "NO_PROXY": "127.0.0.1,localhost",
        }

    async def _start(self):
        srv = await asyncio.start_server(self._proxy, "127.0.0.1", 0)
        self.proxy_port = srv.sockets[0].getsockname()[1]
        ls = socket.socket()
        ls.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ls.bind(("127.0.0.1", self.wanted_port))
        ls.listen(64)
        ls.setblocking(False)
        self.frps_port, self.listener = ls.getsockname()[1], ls
        self.tasks = {asyncio.ensure_future(self._accept(ls))}

    # ---- https front: CONNECT proxy ending TLS
    async def _proxy(self, r, w):
        try:
            line = (await r.readline()).decode()
            while (await r.readline()) not in (b"\r\n", b""):
                pass
            host = line.split(" ")[1].split(":")[0]
            self.log("proxy", line.strip())
            if not line.startswith("CONNECT") or (self.mode == "api_refuse" and host == "api.gradio.app"):
                w.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                await w.drain()
                return
            w.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await w.drain()
            await w.start_tls(self.web_ctx)
            req = (await r.readline()).decode().strip()
            while (await r.readline()) not in (b"\r\n", b""):
                pass
            status, ctype, body = self._web(host, req)
            self.log("https", host, req, "->", status, len(body))
            w.write(
                f"HTTP/1.1 {status}\r\nContent-Type: {ctype}\r\nContent-Length: {len(body)}\r\nConnection: "
                "close\r\n\r\n".encode()
                + body
            )
            await w.drain()
        except Exception as e:
            self.log("proxy error", repr(e))
        finally:
            w.close()

    def _web(self, host, req):
        path = req.split(" ")[1]
        if host == "api.gradio.app" and path == "/v3/tunnel-request":
            if self.mode == "api_500":
                return "500 Internal Server Error", "text/plain", b"oops"
            if self.mode == "api_429":
                return "429 Too Many Requests", "text/plain", b"slow down"
            if self.mode == "api_empty":
                return "200 OK", "application/json", b"[]"
            return (
                "200 OK",
                "application/json",
                json.dumps([{"host": "127.0.0.1", "port": self.frps_port, "root_ca": self.ca_pem}]).encode(),
            )
        if host == "cdn-media.huggingface.co" and "/frpc-gradio-" in path:
            if self.mode == "cdn_403":
                return "403 Forbidden", "text/plain", b"AccessDenied"
            if self.mode == "cdn_bad":
                return "200 OK", "application/octet-stream", b"#!/bin/sh\nexit 3\n"
            if self.frpc:
                return "200 OK", "application/octet-stream", Path(self.frpc).read_bytes()
        return "404 Not Found", "text/plain", b"no"

    # ---- frps
    async def _accept(self, ls):
        while True:
            sock, _ = await self.loop.sock_accept(ls)
            self.tasks.add(asyncio.ensure_future(self._conn(sock)))

    async def _conn(self, sock):
        try:
            sock.setblocking(False)
            head = await self.loop.sock_recv(sock, 1)
            tls = head == b"\x17"
            reader = asyncio.StreamReader(limit=2**20)
            proto = asyncio.StreamReaderProtocol(reader)
            if not tls:
                reader.feed_data(head)
            tr, _ = await self.loop.connect_accepted_socket(lambda: proto, sock, ssl=self.frps_ctx if tls else None)
            self.log("frps connection", "TLS" if tls else "plain")
            w = asyncio.StreamWriter(tr, proto, reader, self.loop)
            ses: Session = Session(reader, w, lambda s: self._stream(ses, s))
            await ses.run()
            self.log("frps connection closed")
            c = self.clients.pop(getattr(ses, "run_id", None), None)
            if c:
                for srv in c["servers"]:
                    srv.close()
        except Exception as e:
            self.log("frps connection error", repr(e))
            sock.close()

    async def _stream(self, ses, s):
        try:
            t, m = await read_msg(s)
            if t == "o":
                await self._control(ses, s, m)
            elif t == "w":
                self.clients[m["run_id"]]["pool"].put_nowait(s)
        except (asyncio.IncompleteReadError, ConnectionError, KeyError) as e:
            self.log("stream ended", repr(e))

    async def _control(self, ses, s, m):
        self.log("login", json.dumps(m))
        if self.mode == "silent":
            return
        if self.mode == "login_error":
            await write_msg(s, "1", {"version": "0.44.0", "error": "register control error"})
            return
        run_id = m.get("run_id") or secrets.token_hex(8)
        ses.run_id = run_id
        c = self.clients[run_id] = {"pool": asyncio.Queue(), "servers": [], "ses": ses}
        await write_msg(s, "1", {"version": "0.44.0", "run_id": run_id})
        x = Crypt(s)
        c["ctl"] = x
        for _ in range(m.get("pool_count", 0)):
            await write_msg(x, "r", {})
        while True:
            t, m = await read_msg(x)
            if t == "h":
                await write_msg(x, "4", {})
            elif t == "p":
                self.log("new proxy", json.dumps(m))
                name = hashlib.sha256(m["proxy_name"].encode()).hexdigest()[:18]
                if self.mode == "proxy_silent":
                    continue
                if self.mode in ("proxy_error", "proxy_error_once"):
                    self.mode = "ok" if self.mode == "proxy_error_once" else self.mode
                    await write_msg(x, "2", {"proxy_name": name, "error": f"new proxy [{name}] error"})
                    continue
                port = self.named_port or self.links.get(name, 0)
                visitor = functools.partial(self._visitor, c, x, name, m)
                tls = self.web_ctx if self.named_port else None
                srv = await asyncio.start_server(visitor, "127.0.0.1", port, ssl=tls)
                c["servers"].append(srv)
                port = self.links[name] = srv.sockets[0].getsockname()[1]
                url = f"https://{name}.gradio.live" if self.named_port else f"http://127.0.0.1:{port}"
                await write_msg(x, "2", {"proxy_name": name, "remote_addr": url})
            elif t == "c":
                self.log("close proxy", json.dumps(m))

    async def _visitor(self, c, ctl, name, m, r, w):
        try:
            await write_msg(ctl, "r", {})
            s = await asyncio.wait_for(c["pool"].get(), 10)
            await write_msg(s, "s", {"proxy_name": name, "src_addr": "127.0.0.1", "src_port": 1})
        except Exception as e:
            self.log("no work connection", repr(e))
            w.close()
            return
        x = Crypt(s) if m.get("use_encryption") else s
        zip_ = m.get("use_compression")

        async def up():  # visitor -> app
            first = True
            while d := await r.read(65536):
                self.bytes_up += len(d)
                if zip_:
                    d = (b"\xff\x06\0\0sNaPpY" if first else b"") + snappy_frame(d)
                    first = False
                await x.write(d)
            s.close()

        async def down():  # app -> visitor
            try:
                while True:
                    if zip_:
                        h = await x.readexactly(4)
                        body = await x.readexactly(int.from_bytes(h[1:], "little"))
                        if h[0] == 0:
                            d = snappy_raw(body[4:])
                        elif h[0] == 1:
                            d = body[4:]
                        else:
                            continue
                    else:
                        d = await x.readexactly(1)
                    self.bytes_down += len(d)
                    w.write(d)
                    await w.drain()
            except asyncio.IncompleteReadError:
                pass
            finally:
                w.close()

        await asyncio.gather(up(), down(), return_exceptions=True)
        s.close()

    def close(self) -> None:
        """Stop serving."""

        def end():
            self.listener.close()
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.call_later(0.2, self.loop.stop)

        self.loop.call_soon_threadsafe(end)
        self.thread.join(5)
        self._folder.cleanup()

    # ---- controls
    def _do(self, coro):
        return asyncio.run_coroutine_threadsafe(coro, self.loop).result(10)

    def drop(self) -> None:
        async def f():
            for c in list(self.clients.values()):
                c["ses"].w.close()

        self._do(f())

    def kill_clients(self) -> None:
        async def f():
            for c in list(self.clients.values()):
                await write_msg(c["ctl"], "k", {})

        self._do(f())


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("--frpc")
    ap.add_argument("--mode", default="ok")
    ap.add_argument("--state", help="write ports and CA path here as JSON")
    a = ap.parse_args()
    fs = FakeShare(a.frpc, a.mode, log=sys.stdout)
    st = {"pid": os.getpid(), "proxy_port": fs.proxy_port, "frps_port": fs.frps_port, **fs.env()}
    print(json.dumps(st), flush=True)
    if a.state:
        Path(a.state).write_text(json.dumps(st))
    threading.Event().wait()
