"""A name server on a loopback port that answers from a dict: A, AAAA, MX and CNAME. UDP and TCP."""

import socket
import socketserver
import struct
import threading

_TYPES = {"A": 1, "CNAME": 5, "MX": 15, "AAAA": 28}
_NAMES = {number: name for name, number in _TYPES.items()}
NXDOMAIN, SERVFAIL = 3, 2


def _encode_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split(".") if label) + b"\0"


def _decode_name(packet, at):
    labels = []
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode())
        at += 1 + packet[at]
    return ".".join(labels).lower(), at + 1


def _encode_data(kind, value):
    if kind == "A":
        return socket.inet_aton(value)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, value)
    if kind == "CNAME":
        return _encode_name(value)
    preference, host = value
    return struct.pack("!H", preference) + _encode_name(host)


class NameServer:
    """zone: {name: {"MX": [(10, "a.example")], "A": ["127.0.0.1"]}} or {name: SERVFAIL}. A name that is not there does not
    exist. `zone` may be changed while it runs; `asked` holds every (name, type)."""

    def __init__(self, zone, port, ttl=1):
        self.zone, self.ttl, self.asked = zone, ttl, []
        server = self

        class OverUdp(socketserver.BaseRequestHandler):
            def handle(self):
                data, channel = self.request
                channel.sendto(server.answer(data), self.client_address)

        class OverTcp(socketserver.StreamRequestHandler):
            def handle(self):
                length = self.rfile.read(2)
                if len(length) == 2:
                    answer = server.answer(self.rfile.read(struct.unpack("!H", length)[0]))
                    self.wfile.write(struct.pack("!H", len(answer)) + answer)
        socketserver.ThreadingTCPServer.allow_reuse_address = True
        self.servers = [socketserver.ThreadingUDPServer(("127.0.0.1", port), OverUdp),
                        socketserver.ThreadingTCPServer(("127.0.0.1", port), OverTcp)]
        self.port = port
        for one in self.servers:
            threading.Thread(target=one.serve_forever, daemon=True).start()

    def answer(self, query):
        name, end = _decode_name(query, 12)
        kind = _NAMES.get(struct.unpack("!H", query[end:end + 2])[0], "?")
        self.asked.append((name, kind))
        entry = self.zone.get(name, NXDOMAIN)
        code = entry if isinstance(entry, int) else 0
        records = [] if code else [(kind, value) for value in entry.get(kind, [])]
        if not code and not records and "CNAME" in entry:
            records = [("CNAME", entry["CNAME"][0])]
            target = self.zone.get(entry["CNAME"][0], {})
            records += [(kind, value) for value in (target.get(kind, []) if isinstance(target, dict) else [])]
        question = query[12:end + 4]
        flags = 0x8580 | code
        out = query[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + question
        owner = name
        for record_kind, value in records:
            data = _encode_data(record_kind, value)
            out += _encode_name(owner) + struct.pack("!HHIH", _TYPES[record_kind], 1, self.ttl, len(data)) + data
            if record_kind == "CNAME":
                owner = value
        return out

    def stop(self):
        for one in self.servers:
            one.shutdown()
            one.server_close()
