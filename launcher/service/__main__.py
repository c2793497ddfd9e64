"""The service's process: `python -m launcher.service SESSION_FOLDER`.

It lives as long as there is something to keep: a web UI, a job, a face that looks. Whoever holds the lock is the one
service of this machine; whoever comes second ends at once.
"""

import fcntl
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from launcher.core.process import PACKAGE, end_left_behind, end_process, note_process
from launcher.core.session import Session
from launcher.launch.stop import let_go
from launcher.service.server import UnixServer
from launcher.service.service import Service

IDLE: Final = 3.0  # seconds without anything to keep, after which it ends


def main(session: Session) -> None:
    """Be the service, if nobody else is."""
    session.prepare()
    with session.lock.open("w") as lock:
        if not take_lock(lock, session):
            return
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        over = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: over.set())  # another version takes over
        os.environ.pop("PYTHONPATH", None)  # ours is not for the Pythons that are started from here
        os.umask(0o077)
        end_left_behind(session.service.said_file)  # of a service that was killed, or ended by another version
        session.service.note(version=PACKAGE.name, pid=os.getpid(), created=time.time())
        service = Service(session)
        try:
            service.take_up_what_runs()
        except Exception as error:  # whatever it was: a person can still press ▶, or Stop
            service.status.notice(service.fault(error).what)
        sockets = {session.notebook_socket: False, session.page_socket: True}
        servers = [UnixServer(place, service.routes, service.fault, page=page) for place, page in sockets.items()]
        note_process(session.service.pid_file, os.getpid())  # whoever was started beside us has noted its own
        last = time.monotonic()
        while not over.wait(0.5):
            if service.busy:
                last = time.monotonic()
            elif time.monotonic() - last > IDLE:  # asked last: a machine that stood still for a while idled nothing
                break
        for place in sockets:
            place.unlink(missing_ok=True)
        if service.launch:
            let_go(service.launch)  # what is still to be saved is; the web UI, the proxy and the link stay
        session.service.forget()
        for server in servers:
            server.server_close()


def take_lock(lock: IO[str], session: Session) -> bool:
    """Take the lock, also from a keeper of 1.2.0: what it would save, this service saves. A service keeps it."""
    for _ in range(2):
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        end_process(session.keeper.pid_file)
    return False


if __name__ == "__main__":
    main(Session(Path(sys.argv[1])))
