"""A TCP proxy that delays, drips or cuts what a server answers."""

import contextlib
import socket
import threading


class Wire:
    """Connections to `port` go to `target`. After `octets` of the server's answers on a connection it does `then`:
    "pass", "cut", "stall" (until stop) or "drip" (one octet at a time, `pause` seconds between them)."""

    def __init__(self, target, octets=0, then="pass", pause=0.05):
        self.target, self.octets, self.then, self.pause = target, octets, then, pause
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections, self.ended = 0, threading.Event()
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        self.ended.set()
        # A blocked accept() ends by shutdown, not by close.
        for one in [self.listener, *self._open]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.connections += 1
                server = socket.create_connection(("127.0.0.1", self.target))
                self._open += [client, server]
                threading.Thread(target=self._up, args=(client, server), daemon=True).start()
                threading.Thread(target=self._down, args=(server, client), daemon=True).start()

    def _up(self, client, server):
        with contextlib.suppress(OSError):
            while octets := client.recv(65536):
                server.sendall(octets)
            server.shutdown(socket.SHUT_WR)

    def _down(self, server, client):
        left = self.octets if self.then != "pass" else float("inf")
        with contextlib.suppress(OSError):
            while octets := server.recv(65536):
                whole = octets[:int(min(left, len(octets)))]
                client.sendall(whole)
                left -= len(whole)
                if left > 0:
                    continue
                if self.then == "drip":
                    for octet in octets[len(whole):]:
                        if self.ended.wait(self.pause):
                            return
                        client.sendall(bytes([octet]))
                    continue
                if self.then == "stall":
                    self.ended.wait()
                break
            client.shutdown(socket.SHUT_RDWR)
