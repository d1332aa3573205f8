"""e3-view as a process, and a client of it that is no browser."""
import json
import os
import re
import signal
import subprocess
import threading
import time

import websocket

from devtools import PATIENCE, Wrong, resident
from wire import read


class Server:
    """e3-view with these arguments, on a free port of the loopback; ended when the block is left.

    feed: its standard input is a pipe, `send` writes into it. stdin: a file, or a pipe's end."""

    def __init__(self, *args, feed=False, port=0, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL):
        self.args, self.said, self.port = args, [], port
        self.process = subprocess.Popen(["e3-view", "--listen", f"127.0.0.1:{port}", *args], stderr=subprocess.PIPE, stdout=stdout,
                                        stdin=subprocess.PIPE if feed else stdin)
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()
        self.url = self.wait(r"http://\S+").group()
        self.port = int(re.search(r":(\d+)", self.url[5:]).group(1))

    def listen(self):
        for line in self.process.stderr:
            self.said.append(line.decode(errors="replace").rstrip())

    def wait(self, pattern):
        """Waits until it says something that matches."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            ended = self.process.poll() is not None
            if ended:
                self.thread.join()
            for line in list(self.said):
                if found := re.search(pattern, line):
                    return found
            if ended:
                break
            time.sleep(0.01)
        raise Wrong(f"e3-view did not say {pattern}: {self.said}")

    def send(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def memory(self):
        return resident([self.process.pid])

    def stop(self, number=signal.SIGINT):
        """Ends it, and returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        if self.process.stdin:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                pass
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Wrong("e3-view does not end by a signal") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.thread.join()


class Client:
    """Reads records and acknowledges them, as the page does."""

    def __init__(self, server, receive_buffer=None):
        options = [(websocket._socket.socket.SOL_SOCKET, websocket._socket.socket.SO_RCVBUF, receive_buffer)] if receive_buffer else []
        url = f"ws://127.0.0.1:{server.port}/ws" + (server.url[server.url.index("?"):] if "?" in server.url else "")
        self.socket = websocket.create_connection(url, timeout=PATIENCE, sockopt=options, origin=f"http://127.0.0.1:{server.port}")

    def say(self, **message):
        self.socket.send(json.dumps(message))

    def records(self):
        """(kind, run, flags, n, body, bytes) of each record that comes, for ever."""
        while True:
            data = self.socket.recv()
            if not data:
                return
            for kind, run, flags, n, seq, body in read(data):
                self.say(ack=seq)
                yield kind, run, flags, n, body, len(data)

    def fileno(self):
        return self.socket.fileno()

    def close(self):
        self.socket.close()


def build():
    """Puts the build folder's tools on the path, where B names one."""
    if "B" in os.environ:
        os.environ["PATH"] = os.path.join(os.environ["B"], "bin") + os.pathsep + os.environ["PATH"]
