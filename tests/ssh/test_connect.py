"""One connection: only to a machine that proves itself, only with the agent's keys."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from relay_shell.wire.errors import RelayError
from ssh.machines import Call, Site, route


def refusal(site: Site, name: str) -> RelayError:
    async def main() -> RelayError:
        async with site.fleet() as fleet:
            with pytest.raises(RelayError) as caught:
                await fleet.run(
                    await route(fleet, name), "true", Call(), timeout=60, max_output=1000
                )
            return caught.value

    return asyncio.run(main())


def output(site: Site, name: str, command: str, **settings: Any) -> str:
    async def main() -> str:
        async with site.fleet(**settings) as fleet:
            way = await route(fleet, name)
            done = await fleet.run(way, command, Call(), timeout=60, max_output=1000)
            assert done.lost is None
            return done.completed.stdout

    return asyncio.run(main())


def test_machine_without_a_known_key_is_not_connected_to(site: Site) -> None:
    site.server("web1", known=False)
    error = refusal(site, "web1")
    assert error.kind == "HostKey" and "no host key of it is known" in error.message
    assert "relay-shell ssh trust web1" in error.next_step


def test_machine_that_shows_another_key_is_left(site: Site) -> None:
    site.server("web1")
    # Somebody answers at the address of web1 with a key of his own.
    known = Path(site.settings["paths.known_hosts"])
    name = known.read_text().split()[0]
    key = site.new_key("former").with_suffix(".pub").read_text()
    known.write_text(f"{name} {key}")
    error = refusal(site, "web1")
    assert error.kind == "HostKey" and "not the known one" in error.message
    assert "SHA256:" in error.message


def test_revoked_key_is_refused(site: Site) -> None:
    site.server("web1")
    known = Path(site.settings["paths.known_hosts"])
    known.write_text(known.read_text() + "@revoked " + known.read_text())
    assert refusal(site, "web1").kind == "HostKey"


def test_machine_with_a_certificate_of_a_known_authority_is_trusted(site: Site) -> None:
    authority, host = site.new_key("authority"), site.place / "host-web1"
    site.server("web1", known=False, host_key="web1.example.org")
    subprocess.run(
        ["ssh-keygen", "-q", "-s", authority, "-h", "-I", "web1", "-n", "web1.example.org", host],
        check=True,
        capture_output=True,
    )
    site.stop("web1")
    site.server("web1", host_key_file=host, known=False, host_key="web1.example.org")
    public = authority.with_suffix(".pub").read_text()
    known = Path(site.settings["paths.known_hosts"])
    known.write_text(f"@cert-authority *.example.org {public}")
    assert output(site, "web1", "echo in") == "in\n"
    # The certificate is for that name only.
    site.inventory["web1"]["host_key"] = "db.example.org"
    site.write()
    assert refusal(site, "web1").kind == "HostKey"


def test_machine_that_knows_no_key_of_the_agent_says_so(site: Site) -> None:
    other = site.new_key("other").with_suffix(".pub").read_text()
    site.server("web1", authorized=[other])
    error = refusal(site, "web1")
    assert error.kind == "HostAuth" and "deploy" in error.message


def test_inventory_chooses_the_key(site: Site) -> None:
    other = site.new_key("other")
    site.add_key(other)
    site.server("web1", authorized=[other.with_suffix(".pub").read_text()], key="fleet")
    assert refusal(site, "web1").kind == "HostAuth"
    comment = other.with_suffix(".pub").read_text().split()[2]
    site.inventory["web1"]["key"] = comment
    site.write()
    assert output(site, "web1", "echo in") == "in\n"


def test_machine_that_does_not_answer_is_named(site: Site) -> None:
    site.server("web1")
    site.stop("web1")
    error = refusal(site, "web1")
    assert error.kind == "Unreachable" and "web1" in error.message
    assert "ssh_check" in error.next_step


def test_machine_that_accepts_and_is_silent_does_not_hold_the_call(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        site.server("web1", listed_as=f"[127.0.0.1]:{port}")
        site.inventory["web1"]["port"] = port
        site.write()
        site.settings["ssh.connect_timeout"] = 1
        error = refusal(site, "web1")
    assert error.kind == "Unreachable" and "no answer in time" in error.message


@pytest.mark.parametrize("banner", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n\xff\xff"])
def test_what_is_no_ssh_server_is_an_error(site: Site, banner: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as odd:
        port = odd.getsockname()[1]
        site.server("web1", listed_as=f"[127.0.0.1]:{port}")
        site.inventory["web1"]["port"] = port
        site.write()

        async def main() -> RelayError:
            loop = asyncio.get_running_loop()
            odd.setblocking(False)

            async def answer() -> None:
                peer, _ = await loop.sock_accept(odd)
                await loop.sock_sendall(peer, banner)
                peer.close()

            task = loop.create_task(answer())
            async with site.fleet() as fleet:
                with pytest.raises(RelayError) as caught:
                    await fleet.check(await route(fleet, "web1"))
            await task
            return caught.value

        assert asyncio.run(main()).kind == "Unreachable"


def test_second_address_is_tried_where_the_first_refuses(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server listens on 127.0.0.1 alone; localhost may mean ::1 first."""
    site.server("web1", listed_as="web1")
    site.inventory["web1"] |= {"address": "two.example", "host_key": "web1"}
    site.write()
    rows = [(10, 1, 6, "", ("127.0.0.2", 0)), (2, 1, 6, "", ("127.0.0.1", 0))]
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda name, *args, **options: (
            rows if name == "two.example" else real(name, *args, **options)
        ),
    )
    assert output(site, "web1", "echo in") == "in\n"


def test_home_configures_nothing(site: Site, tmp_path: Path) -> None:
    """An agent writes to its home: no ssh_config, known_hosts or key there counts."""
    site.server("web1", known=False)
    ssh = tmp_path / "home" / ".ssh"
    ssh.mkdir(parents=True)
    port = site.inventory["web1"]["port"]
    ran = tmp_path / "ran"
    (ssh / "config").write_text(
        f"Match exec 'touch {ran}'\n  ProxyCommand touch {ran}\n"
        "Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n"
        f"  ProxyCommand touch {ran}\n"
    )
    key = (site.place / "host-web1.pub").read_text()
    (ssh / "known_hosts").write_text(f"[127.0.0.1]:{port} {key}")
    (ssh / "id_ed25519").write_bytes(site.key.read_bytes())
    (ssh / "id_ed25519").chmod(0o600)
    assert refusal(site, "web1").kind == "HostKey"
    # Known to us, but no key in the agent: that in the home is not offered.
    Path(site.settings["paths.known_hosts"]).write_text(f"[127.0.0.1]:{port} {key}")
    env = os.environ | {"SSH_AUTH_SOCK": str(site.agent)}
    subprocess.run(["ssh-add", "-q", "-D"], check=True, env=env)
    assert refusal(site, "web1").kind == "HostAuth"
    assert not ran.exists()


def test_nothing_of_the_environment_is_sent(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.server("web1")
    monkeypatch.setenv("LC_SECRET", "hush")
    monkeypatch.setenv("LANG", "xx_XX.UTF-8")
    assert "hush" not in output(site, "web1", "env") and "xx_XX" not in output(site, "web1", "env")
