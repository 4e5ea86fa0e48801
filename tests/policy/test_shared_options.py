"""Options that mean one thing to one program and another to its neighbour.

Each group was a way to Tier 0: a letter that asks one program for its version, a list or a test
is, to another that was described beside it, verbose work, a log file, a limit or a copy.
"""

from __future__ import annotations

import pytest

from relay_shell.policy import Tier, classify_command

# `-v`, `-V`: the version of one program, verbose work or a value for another.
VERSION_OR_VERBOSE = [
    "gcc -v x.c",
    "ld -v a.o",
    "rustc -v x.rs",
    "bison -v f.y",
    "ninja -v",
    "rake -v",
    "just -v",
    "pytest -v",
    "prove -v",
    "autoreconf -v",
    "nsupdate -v changes",
    "dnssec-signzone -v 1 zone",
    "knotc -v zone-purge example.org",
    "unbound -v",
    "fsck -V /dev/sdb1",
    "sendmail -V id bob@example.org",
    "mutt -V x",
    "zip -v x.zip f",
    "host -v example.org",
    "drill -V 5 example.org",
    "hping3 -V 192.0.2.1",
    "lft -V 192.0.2.1",
    "hydra -V 192.0.2.1 ssh",
]
# `-l`, `-t`, `-s`, `-p`, `-n`, `-T`: list, test and show of one program.
LIST_OR_VALUE = [
    "mysqlimport -l app f.txt",
    "pg_ctl -l f start",
    "createuser -l bob",
    "createdb -l C app",
    "memcached -l 192.0.2.1",
    "fixfiles -l f restore",
    "chcat -l +c1 bob",
    "lz4 -l f",
    "pixz -t f",
    "pbzip2 -l f",
    "iptables-apply -t 20 f",
    "partprobe -s",
    "corosync-cmapctl -s key u8 1",
    "setquota -p alice bob 0 0 /",
    "edquota -p alice bob",
    "mkisofs -l d",
    "zip -T x.zip f",
    "upslog -l f",
    "pkill -l x",
    "tcpflow -r f.pcap",
]
# A program that was described as unable to write, and can.
CAN_WRITE = [
    "zdb -r tank/a f /srv/f",
    "zdb -x /srv/d tank",
    "zpool import -a",
    "aulast --extract",
    "ausearch -m avc --checkpoint f",
    "sa -s",
    "crm_mon --as-html=f",
    "crm_mon -E ./x",
    "crm_report",
    "calendar -a",
    "lxc-info -n web -o f",
    "virt-top --csv f",
    "dwarfdump -O file=f a",
    "md5deep -W f g",
    "rhash -o f g",
    "rhash -u sums f",
    "rhash --embed-crc f",
    "isoinfo -X -i x.iso",
    "rpm2archive x.rpm",
    "lsinitrd --unpack x",
    "enca -x UTF-8 f",
    "rdfind d",
    "yq -s .name f.yml",
    "chrt -p [0-9]*",
    "pg_waldump --save-fullpage=d f",
    "identify msl:f",
    "dasel put -f f x",
    "tailscale metrics write f",
    "zerotier-cli dump",
    "ipmitool fru read 0 f",
    "ipmitool sensor thresh fan lower 1 2 3",
    "ipmitool sel time set now",
    "chronyc manual on",
    "pcs config restore f",
    "pcs config backup f",
    "doveadm instance remove x",
    "doveadm stats reset",
    "pgbackrest check --stanza=a",
    "etcdctl check perf",
    "minikube logs --file=f",
    "iw dev wlan0 connect info",
    "go list -export ./...",
    "luarocks config variables.X y",
    "opam var x=y",
    "git remote -v remove origin",
    "ovs-vsctl show -- del-br br0",
    "s6-rc -a -d change",
    "az search service update",
    "heroku ps:restart",
]
# Without words of their own they read commands from standard input, or start.
READS_STANDARD_INPUT = [
    "virsh",
    "crm",
    "lvm",
    "supervisorctl",
    "aptitude",
    "debugfs /dev/sda1",
    "monit",
    "printf 'destroy web' | virsh",
]
# What is asked with the options runs code that an argument names.
RUNS_CODE = [
    "capsh --print -- -c 'touch f'",
    "capsh --print ==",
    "iptables -M ./x -L",
    "needrestart -b -c ./x.conf",
    "hg --debugger log",
    "bzr diff --using=./x",
    "fossil diff --command ./x",
    "darcs diff --diff-command=./x",
    "python3 -W error::module.Category -c 'print(1)'",
    "pylint x.py",
    "flake8 .",
    "exim -bt -be x",
    "ansible-inventory -i ./hosts --list",
    "ansible all -i./hosts --list-hosts",
    "ansible-playbook --syntax-check --vault-password-file ./x site.yml",
    "mysql --defaults-file=/srv/my.cnf -e 'SELECT 1'",
    "haproxy -c -f /srv/haproxy.cfg",
    "haproxy -c -f /etc/../srv/haproxy.cfg",
    "zabbix_agentd -c /srv/agent.conf -t key",
    "rsyslogd -N1 -f /srv/rsyslog.conf",
    "syslog-ng -s -f /srv/syslog-ng.conf",
    "lighttpd -t -f /srv/lighttpd.conf",
    "caddy validate --config /srv/Caddyfile",
    "caddy fmt --diff --overwrite f",
    "telegraf --test --config /srv/telegraf.conf",
    "gunicorn --check-config app",
    "mongosh --eval 'db.a.find({x: db.b.drop``})'",
]


@pytest.mark.parametrize(
    "command",
    VERSION_OR_VERBOSE + LIST_OR_VALUE + CAN_WRITE + READS_STANDARD_INPUT + RUNS_CODE,
)
def test_a_neighbours_option_is_not_read_only(command: str) -> None:
    assert classify_command(command).tier > Tier.READ_ONLY


def test_copying_over_a_device_is_irreversible() -> None:
    command = "partclone.ext4 -b -s /dev/sda1 -o /dev/sdb1"
    assert classify_command(command).tier == Tier.IRREVERSIBLE


@pytest.mark.parametrize(
    "command",
    [
        "gcc -v",
        "make -v",
        "named -v",
        "unbound -V",
        "pg_ctl -D /var/lib/postgresql/15/main status",
        "pg_restore -l f.dump",
        "zip -T x.zip",
        "zip -sf x.zip",
        "unsquashfs -ll x.squashfs",
        "crm_mon -1",
        "ausearch -m avc -ts today",
        "rhash --sha256 f",
        "haproxy -c -f /etc/haproxy/haproxy.cfg",
        "mysql --defaults-file=/etc/mysql/debian.cnf -e 'SHOW DATABASES'",
        "ansible all -i web1,web2 --list-hosts",
        "ansible-inventory --list",
        "python3 -W ignore::DeprecationWarning -c 'print(1)'",
        "ipmitool sensor list",
        "ipmitool sel time get",
        "chronyc manual list",
        "pcs config",
        "iw dev wlan0 link",
        "git remote -v show -n origin",
        "debugfs -R 'stat <2>' /dev/sda1",
        "corosync-cmapctl",
        "capsh --print",
        "heroku ps",
    ],
)
def test_the_questions_beside_them_still_are(command: str) -> None:
    assert classify_command(command).tier == Tier.READ_ONLY


@pytest.mark.parametrize(
    "command",
    [
        "resize2fs -M /dev/sdb1",
        "resize2fs /dev/vg0/data 5G",
        "ntfsresize -s 10G /dev/sdb1",
        "ntfsclone --overwrite /dev/sdb1 /dev/sda1",
        "tune2fs -O ^has_journal /dev/sda1",
        "bcachefs format /dev/sdb",
        "pvcreate -ff /dev/sdb",
        "e2image -ra /dev/sda1 /dev/sdb1",
        "ddrescue -f /dev/sda /dev/sdb map",
        "pg_resetwal -f d",
        "pg_restore --clean -d app f",
        "mongorestore --drop d",
        "zkCli.sh deleteall /x",
        "tmpreaper 1h /srv",
        "borg prune --keep-daily 7 r",
        "keytool -delete -alias x -keystore k",
        "pdnsutil delete-zone example.org",
        "flux uninstall",
        "cargo yank --version 1.0.0 x",
    ],
)
def test_what_shrinks_replaces_or_prunes_is_irreversible(command: str) -> None:
    assert classify_command(command).tier == Tier.IRREVERSIBLE


def test_listing_a_file_system_does_not_excuse_changing_it() -> None:
    assert classify_command("tune2fs -l -j /dev/sda1").tier > Tier.READ_ONLY
