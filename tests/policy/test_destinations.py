"""The hosts that commands name, in every spelling and position."""

from __future__ import annotations

import pytest

from relay_shell.policy import classify_argv, classify_command
from relay_shell.policy.tools import classify_call


def hosts(command: str) -> list[str]:
    return list(classify_command(command).hosts())


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("ssh web1 uptime", ["web1"]),
        ("ssh -p 22 -l root Web1.Example.COM. uptime", ["web1.example.com"]),
        ("ssh root@0x7f.1", ["127.0.0.1"]),
        ("ssh 2130706433", ["127.0.0.1"]),
        ("ssh ::ffff:10.0.0.1", ["10.0.0.1"]),
        ("ssh fe80::1%eth0 true", ["fe80::1"]),
        ("ssh 'ssh://root@[::1]:2222'", ["::1"]),
        ("ssh bücher.example", ["xn--bcher-kva.example"]),
        ("ssh \uff11\uff10.0.0.1", ["10.0.0.1"]),
        ("ssh 'web\u30021'", ["web.1"]),
        ("ssh -J jump1,root@jump2:2222 web", ["web", "jump1", "jump2"]),
        ("ssh web -J jump uptime", ["web", "jump"]),
        ("ssh -o ProxyJump=jump web", ["web", "jump"]),
        ("ssh -oproxyjump=ssh://jump:22 web", ["web", "jump"]),
        ("ssh -o 'ProxyCommand nc -x proxy:1080 %h %p' web", ["web", "proxy"]),
        ("ssh -o ProxyCommand='ssh -W %h:%p jump' web", ["web", "jump"]),
        ("ssh -o HostName=10.1 web", ["web", "10.0.0.1"]),
        ("ssh -L 8080:db:5432 web", ["web", "db"]),
        ("ssh -W db:22 web", ["web", "db"]),
        ("ssh web 'ssh db uptime'", ["web", "db"]),
        ("ssh -J none web", ["web"]),
        ("sudo -u x ssh web", ["web"]),
        ("sshpass -p x ssh -J jump web", ["web", "jump"]),
        ("timeout 5 env -i ssh web", ["web"]),
        ("scp -P 22 a.txt root@web:/tmp/ ./local:file", ["web"]),
        ("scp -J jump scp://web/a b", ["jump", "web"]),
        ("scp 'root@[::1]:x' .", ["::1"]),
        ("sftp -oPort=22 root@web:/x", ["web"]),
        ("rsync -a /srv/ web::module", ["web"]),
        ("rsync -e 'ssh -J jump -p 22' a backup@web:b", ["jump", "web"]),
        ("rsync --rsh=ssh a rsync://web:873/m", ["web"]),
        ("curl -s https://User:pw@API.example.com:8443/x?y=1", ["api.example.com"]),
        ("curl 0x7f.1:8080/x", ["127.0.0.1"]),
        ("curl http://%31%30.0.0.1/", ["10.0.0.1"]),
        ("curl http:///web/x", ["web"]),
        ("curl -x proxy:3128 https://web/", ["proxy", "web"]),
        ("curl --unix-socket /run/docker.sock http://localhost/info", ["localhost"]),
        ("curl file:///etc/passwd", []),
        ("curl -H 'Host: db' -d 'x=https://other' web", ["web"]),
        ("wget -qO- http://web/ -B http://base/", ["base", "web"]),
        ("http_proxy=http://proxy:3128 wget -qO- http://web/", ["web", "proxy"]),
        ("export https_proxy=proxy:3128", ["proxy"]),
        ("nc -zv web 22", ["web"]),
        ("nc -l 8080", []),
        ("ncat --proxy proxy:1080 web 80", ["proxy", "web"]),
        ("echo x > /dev/tcp/web/80", ["web"]),
        ("exec 3<>/dev//tcp/0x7f.1/80", ["127.0.0.1"]),
        ("cat < /dev/udp/web/53", ["web"]),
        ("socat - TCP4:web:80,retry=3", ["web"]),
        ("socat TCP-LISTEN:80,fork PROXY:proxy:web:443", ["proxy", "web"]),
        ("openssl s_client -connect web:443", ["web"]),
        ("ping -c 1 web", ["web"]),
        ("traceroute -n web 60", ["web"]),
        ("dig @ns1 example.com", ["ns1"]),
        ("host example.com ns1", ["ns1"]),
        ("psql -h db -U x app", ["db"]),
        ("psql 'host=db port=5432'", ["db"]),
        ("psql postgresql://u:p@db:5432/app", ["db"]),
        ("psql -h /run/postgresql app", []),
        ("PGHOST=db psql app", ["db"]),
        ("mysql -hdb -uroot app", ["db"]),
        ("redis-cli -h cache info", ["cache"]),
        ("mount -t nfs nas:/export /mnt", ["nas"]),
        ("mount //nas/share /mnt", ["nas"]),
        ("docker -H tcp://web:2375 ps", ["web"]),
        ("systemctl -H root@web status", ["web"]),
        ("git clone git@git.example.com:a/b.git", ["git.example.com"]),
        ("git push origin HEAD:main", []),
        ("git ls-remote ssh://git@web/x", ["web"]),
        ("unknown-tool --url=https://web/x", ["web"]),
        ("grep https://web file", []),
        ("df -h", []),
        ('f() { ssh "$1"; }; f web', ["web"]),
        ("for h in web; do ssh $h uptime; done", ["web"]),
        ("H=web; ssh $H uptime", ["web"]),
        ('curl "https://web/x?id=$id"', ["web"]),
        ("curl https://web/x?id=1", ["web"]),
        ('scp web:"$f" .', ["web"]),
    ],
)
def test_hosts_are_seen(command: str, named: list[str]) -> None:
    assert sorted(hosts(command)) == sorted(named)


@pytest.mark.parametrize(
    "command",
    [
        "ssh $H uptime",
        'ssh "root@$H"',
        "ssh web$N uptime",
        "ssh $OPTS web",
        "ssh -F /tmp/config web",
        "ssh -S /tmp/mux web",
        'ssh -o ProxyJump="$J" web',
        'ssh -J "$J" web',
        "ssh -o Include=/tmp/x web",
        'ssh web "ssh $X"',
        "curl $URL",
        "curl https://$H/",
        "curl https://web$H",
        "curl 'https://web.{a,b}.c/'",
        "curl 'https://[1-9].web/'",
        "curl -K /tmp/rc",
        "curl --resolve web:443:10.0.0.1 https://web/",
        "wget -i list",
        'rsync -e "$R" a web:b',
        "rsync a $DEST",
        "cat < /dev/tcp/$H/80",
        'echo x > "$F"',
        "$CMD web",
        "eval $x",
        'sh -c "$x"',
        "HOSTALIASES=/tmp/a curl web",
        "GIT_SSH_COMMAND='ssh -J x' git fetch",
        "git -c core.sshCommand=/tmp/x fetch",
        "xargs ssh < list",
        "ssh 'not a host'",
        "if ssh web; then",
    ],
)
def test_a_host_that_is_not_known_shows_as_such(command: str) -> None:
    assert any(host.startswith("?") for host in hosts(command))


def test_text_too_large_to_judge_may_name_any_host() -> None:
    assert hosts("x " * 300_000) == ["?"]


def test_many_hosts_are_bounded() -> None:
    found = hosts("ping " + " ".join(f"web{n}" for n in range(2000)))
    assert len(found) == 256 and found[-1] == "?"


def test_an_argument_vector_and_an_environment_name_hosts() -> None:
    assert classify_argv(["ssh", "-J", "jump", "web"]).hosts() == ("web", "jump")
    args = {"command": "curl web", "env": {"http_proxy": "http://proxy:1"}}
    assert set(classify_call("shell_exec", args).hosts()) == {"web", "proxy"}
    script = {"script": "#!/bin/sh\nssh web\n"}
    assert classify_call("shell_script", script).hosts() == ("web",)
    assert classify_call("session_send", {"lines": ["ssh web"]}).hosts() == ("web",)
