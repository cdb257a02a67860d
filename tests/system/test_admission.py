"""Ways in: networks, passwords, client certificates, the PROXY header; and limits."""

import socket

import pytest
from conftest import message
from rig.exchange import Exchange


def proxy_v2(source, destination, source_port, destination_port):
    addresses = (socket.inet_aton(source) + socket.inet_aton(destination)
                 + source_port.to_bytes(2, "big") + destination_port.to_bytes(2, "big"))
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + len(addresses).to_bytes(2, "big") + addresses


@pytest.mark.parametrize("version", [1, 2])
def test_proxy_header_says_who_the_client_is(world, version):
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"], start=False)
    gateway.config["listeners"][0]["proxy_networks"] = ["127.0.0.1"]
    gateway.config["admission"]["networks"] = ["192.0.2.7"]
    gateway.start()

    def greeting(source):
        connection = socket.create_connection(("127.0.0.1", gateway.smtp_port), 20)
        header = (f"PROXY TCP4 {source} 192.0.2.1 4711 25\r\n".encode() if version == 1
                  else proxy_v2(source, "192.0.2.1", 4711, 25))
        connection.sendall(header)
        return connection, connection.makefile("rb").readline()
    connection, line = greeting("192.0.2.7")
    assert line.startswith(b"220 "), line
    refused, line = greeting("192.0.2.8")
    assert line.startswith((b"550 ", b"554 ")), line
    connection.close()
    refused.close()


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"], ids=["v1 UNKNOWN", "v2 LOCAL"])
def test_health_check_of_a_load_balancer(world, header):
    gateway = world.gateway(world.sink(), users=["bob"], start=False)
    gateway.config["listeners"][0]["proxy_networks"] = ["127.0.0.1"]
    gateway.config["admission"]["networks"] = ["192.0.2.7"]
    gateway.start()
    with socket.create_connection(("127.0.0.1", gateway.smtp_port), 20) as connection:
        reader = connection.makefile("rb")
        connection.sendall(header)
        assert reader.readline().startswith(b"220 ")
        connection.sendall(b"HELO lb\r\nMAIL FROM:<>\r\nQUIT\r\n")
        answers = reader.read().splitlines()
    assert [line[:3] for line in answers] == [b"250", b"554", b"221"], answers
    assert not gateway.events("refused")
    assert "refused" not in gateway.log_file.read_text()


def test_stranger_is_told_and_tracked(world):
    gateway = world.gateway(world.sink(), users=["bob"], start=False)
    gateway.config["admission"]["networks"] = ["192.0.2.7"]
    gateway.start()
    with socket.create_connection(("127.0.0.1", gateway.smtp_port), 20) as connection:
        line = connection.makefile("rb").readline()
    assert line.startswith(b"554 127.0.0.1 may not send mail here"), line
    refused = gateway.wait_event("refused")[0]
    assert refused["client"] == "[127.0.0.1]" and refused["status"] == "5.7.1" and refused["why"], refused


def test_client_that_talks_first_is_refused(world):
    gateway = world.gateway(world.sink(), users=["bob"], start=False)
    gateway.config["limits"] = {"greeting_delay": "1s"}
    gateway.start()
    with socket.create_connection(("127.0.0.1", gateway.smtp_port), 20) as connection:
        connection.sendall(b"EHLO early\r\n")
        line = connection.makefile("rb").readline()
    assert line.startswith((b"554 ", b"550 ", b"421 ")), line


def test_plain_text_behind_starttls_is_not_obeyed(world):
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"])
    with socket.create_connection(("127.0.0.1", gateway.smtp_port), 20) as connection:
        reader = connection.makefile("rb")
        reader.readline()
        connection.sendall(b"EHLO ex1\r\n")
        while reader.readline()[3:4] == b"-":
            pass
        connection.sendall(b"STARTTLS\r\nMAIL FROM:<attacker@ext.example>\r\n")
        answer = reader.read()
    assert b"250 2.1.0" not in answer, answer
    assert not workmail.records()


def test_sessions_per_client(world):
    gateway = world.gateway(world.sink(), users=["bob"], start=False)
    gateway.config["limits"] = {"sessions_per_client": 3}
    gateway.start()
    open_ones = [Exchange(gateway.smtp_port, use_tls=False) for _ in range(3)]
    assert Exchange(gateway.smtp_port, use_tls=False).greeting.code == 421
    for one in open_ones:
        one.quit()


def test_too_large_a_message_is_refused_at_mail(world):
    gateway = world.gateway(world.sink(), users=["bob"])
    exchange = world.exchange()
    answer = exchange.command("MAIL FROM:<ann@ext.example> SIZE=52000000")
    assert answer.code == 552 and answer.text.startswith("5.3.4 "), answer
    assert exchange.send("ann@ext.example", ["bob@corp.example"], message()).accepted
    gateway.wait_empty()
