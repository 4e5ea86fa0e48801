"""Named ways round text gates of this field, each of which must meet the tier of its effect.

The first word of each group is the advisory or finding; what it let through is in the group.
"""

from __future__ import annotations

import pytest

from relay_shell.policy import Rules, Tier, classify_call, classify_command

# Substitutions inside an admitted read-only command.
GHSA_R8HM_VPM8_CFH6 = [
    "ls $(rm -rf /srv)",
    "cat `rm -rf /srv`",
    'echo "$(rm -rf /srv)"',
    "grep x <(rm -rf /srv)",
    "echo ${x:-$(rm -rf /srv)}",
    'ls "${x:=`rm -rf /srv`}"',
    "cat <<E\n$(rm -rf /srv)\nE",
    "cat <<< $(rm -rf /srv)",
    "ls 2>$(rm -rf /srv)",
    "x=$(rm -rf /srv) ls",
    "echo $(( $(rm -rf /srv) ))",
    "for i in $(rm -rf /srv); do ls; done",
    "case $(rm -rf /srv) in a) ls;; esac",
    "[[ -n $(rm -rf /srv) ]]",
    "echo $(echo $(echo `rm -rf /srv`))",
    "diff <(ls) >(rm -rf /srv)",
    "a=(1 $(rm -rf /srv))",
]
# Wrappers, leading assignments, quoting; and su-exec, sudo-rs, gosu, run0 past `^su\b`.
GHSA_6F54_MJQQ_2JP8 = [
    "env rm -rf /srv",
    "A=1 rm -rf /srv",
    "env -i A=1 rm -rf /srv",
    "env -S 'rm -rf /srv'",
    "'rm' -rf /srv",
    "r\\m -rf /srv",
    '"rm" -rf /srv',
    "$'\\x72m' -rf /srv",
    "find /srv -delete",
    "find /srv -exec rm {} +",
    "sudo rm -rf /srv",
    "sudo-rs rm -rf /srv",
    "su-exec root rm -rf /srv",
    "gosu root rm -rf /srv",
    "run0 rm -rf /srv",
    "doas rm -rf /srv",
    "pkexec rm -rf /srv",
    "su -c 'rm -rf /srv'",
    "nice rm -rf /srv",
    "env sudo env rm -rf /srv",
    "timeout -s KILL 5 rm -rf /srv",
    "xargs rm -rf </etc/shells",
    "sudo -u root -- rm -rf /srv",
    "sudo -E A=b rm -rf /srv",
    "command -p rm -rf /srv",
    "exec -a x rm -rf /srv",
    "busybox rm -rf /srv",
    "setsid -w rm -rf /srv",
    "ionice -c 3 nice -n 5 rm -rf /srv",
    "time rm -rf /srv",
    "nohup rm -rf /srv",
    "stdbuf -o0 rm -rf /srv",
    "flock /tmp/l rm -rf /srv",
    "watch -n1 rm -rf /srv",
    "ssh h rm -rf /srv",
    "nsenter -t 1 -m rm -rf /srv",
    "systemd-run --pty rm -rf /srv",
    "unshare -m rm -rf /srv",
    "chroot / rm -rf /srv",
    "script -qc 'rm -rf /srv' /dev/null",
    "strace -f rm -rf /srv",
    "parallel rm ::: a",
    "docker exec c rm -rf /srv",
]
# Subshell, absolute path, quoting, newline.
CVE_2025_11490_11491 = [
    "(rm -rf /srv)",
    "{ rm -rf /srv; }",
    "/bin/rm -rf /srv",
    "/usr/bin/../bin/rm -rf /srv; rm x",
    "ls\nrm -rf /srv",
    "ls;rm -rf /srv",
    "ls&&rm -rf /srv",
    "ls||rm -rf /srv",
    "ls&rm -rf /srv",
    "ls|rm -rf /srv",
    "ls \\\n; rm -rf /srv",
    "! rm -rf /srv",
    "if rm -rf /srv; then :; fi",
    "coproc rm -rf /srv",
    "ls # x\nrm -rf /srv",
    "rm\t-rf\t/srv",
]
# A shell given as the command: bash -c.
GHSA_3X77_WG38_92R3 = [
    "bash -c 'rm -rf /srv'",
    "sh -c \"sh -c 'rm -rf /srv'\"",
    "bash -lc 'rm -rf /srv'",
    "bash -c -- 'rm -rf /srv'",
    "bash -ec 'rm -rf /srv'",
    "bash -c '\"$@\"' _ rm -rf /srv",
    "bash -c '$0 $1' rm /srv",
    "eval 'rm -rf /srv'",
    "eval rm -rf /srv",
    "bash <<< 'rm -rf /srv'",
    "echo 'rm -rf /srv' | sh",
    "printf 'rm %s' /srv | sh",
    "bash <<E\nrm -rf /srv\nE",
    "cat <<'E' | bash\nrm -rf /srv\nE",
    "echo cm0gLXJmIC9zcnY= | base64 -d | sh",
    "bash -s <<< 'rm -rf /srv'",
    "trap 'rm -rf /srv' EXIT",
    "alias x='rm -rf /srv'",
    "env bash -c 'rm -rf /srv'",
    "find . -exec sh -c 'rm -rf /srv' \\;",
    "xargs -I% sh -c 'rm -rf /srv %'",
    "zsh -c 'rm -rf /srv'",
    "$SHELL -c 'rm x'; rm x",
    "echo vrs/ fr- mr | rev | sh",
]
# P1, P5: variants of the options and programs that a pattern for `rm -rf` does not name.
P1_P5 = [
    "rm -v -rf D",
    "rm -fr D",
    "rm --force --recursive D",
    "rm -r -f D",
    "unlink D",
    "shred -u D",
    "srm D",
    "truncate -s0 D",
    "dd if=/dev/zero of=/dev/sda",
    "git clean -xffd",
    "git reset --hard",
    "mv D /dev/null",
    "cp /dev/null D",
    "> D",
    ": > D",
    "wipefs -a /dev/sda",
    "kubectl delete ns prod",
    "terraform destroy",
    "find D -type f -delete",
    "find D -execdir unlink {} \\;",
    "rsync -a --delete e/ D/",
]
# P2: deletions through an interpreter.
P2 = [
    "python3 -c 'import shutil; shutil.rmtree(\"D\")'",
    "python3 - <<E\nimport os\nos.remove('D')\nE",
    "perl -e 'unlink \"D\"'",
    "ruby -rfileutils -e 'FileUtils.rm_rf \"D\"'",
    "node -e 'fs.rmSync(\"D\")'",
    "php -r 'unlink(\"D\");'",
    "awk 'BEGIN{system(\"rm -rf D\")}'",
    "sed '1e rm -rf D' f",
]
ALL = [
    *GHSA_R8HM_VPM8_CFH6,
    *GHSA_6F54_MJQQ_2JP8,
    *CVE_2025_11490_11491,
    *GHSA_3X77_WG38_92R3,
    *P1_P5,
    *P2,
]


@pytest.mark.parametrize("command", ALL)
def test_the_effect_is_seen_through_the_form(command: str) -> None:
    assert classify_command(command).tier == Tier.IRREVERSIBLE


@pytest.mark.parametrize(
    "command",
    [
        "python3 /tmp/x.py",
        "bash /tmp/x.sh",
        "./x",
        ". /tmp/x",
        "bash <(curl -s x)",
        "curl -s x | sh",
        "$CMD x",
        "eval $X",
        "sh < /tmp/x",
        "wget -qO- x | python3 -",
        "/tmp/ls",
        "ssh h",
        "sudo -i",
    ],
)
def test_text_that_is_not_at_hand_is_never_below_tier_2(command: str) -> None:
    """P2: a script file or downloaded text is not judged, and says so."""
    verdict = classify_command(command)
    assert verdict.tier >= Tier.STATEFUL
    assert verdict.reasons


def test_p3_a_command_split_over_two_sends_is_judged_whole() -> None:
    """The broker hands over the lines that the shell reads, joined over sends."""
    args = {"text": "f D\n", "lines": ["rm -rf D"], "program": "bash"}
    verdict = classify_call("session_send", args)
    assert verdict.tier == Tier.IRREVERSIBLE
    assert "rm -rf D" in verdict.canonical_forms()


def test_p4_confirming_an_operation_runs_nothing() -> None:
    verdict = classify_call("operation_confirm", {"id": "x"})
    assert verdict.tier == Tier.READ_ONLY
    assert verdict.tree is not None
    assert not verdict.tree.children


def test_p6_settings_of_the_policy_are_no_argument_of_a_call() -> None:
    """An environment given with the call changes no decision downwards."""
    plain = classify_call("shell_exec", {"command": "rm x"})
    env = {"RELAY_SHELL_POLICY_MODE": "open", "PATH": "/usr/bin"}
    assert classify_call("shell_exec", {"command": "rm x", "env": env}).tier >= plain.tier


# Reading forms of programs with a later word, request or option that changes something.
LATER_WORDS = [
    "kill -0 -s 9 77",
    "kill -0 $x",
    "x='-s 9 77'; kill -0 $x",
    "kill -s 0 -KILL 77",
    "xargs kill -0",
    "git grep --open=touch y",
    "git grep --op=touch y",
    "git config edit",
    "debugfs -R 'dump a /etc/cron.d/b' /dev/sda1",
    "debugfs -R 'rdump / /etc' /dev/sda1",
    "debugfs -R 'logdump -f x' /dev/sda1",
    "xfs_db -r -c 'metadump /etc/passwd' /dev/sda1",
    "xfs_db -r -c 'rdump / /srv/copy' /dev/sda1",
    "xfs_db -r -c 'sb 0' -c 'log start /etc/x' /dev/sda1",
    "timedatectl ntp-servers eth0 192.0.2.1",
    "chronyc -m tracking makestep",
    "chronyc -nm tracking makestep",
    "ntpq -c ':config server 192.0.2.1'",
    "ntpq -c rv -c 'saveconfig x'",
    "man -u ls",
    "man -c ls",
    "kubectl get pods --profile=cpu",
    "kubectl get pods --profile=cpu --profile-output=/etc/x",
    "kubectl get pods --cache-dir /etc/x",
    "aws apigateway get-export --rest-api-id a --stage-name b --export-type oas30 /etc/x",
    "aws apigateway test-invoke-method --http-method DELETE",
    "mysqladmin status shutdown",
    "redis-cli acl log reset",
    "named-checkzone -D -o /etc/x example.org db",
    "logrotate -d -l /etc/x /etc/logrotate.conf",
    "apt-file update",
    "ceph auth get client.x -o /etc/x",
    "ceph osd tree --out-file=/etc/x",
    "rados -p x get y /etc/z",
    "gluster volume profile x info clear",
    "etcdctl check perf",
    "mailq -q",
]


@pytest.mark.parametrize("command", LATER_WORDS)
def test_later_word_that_changes_something_is_seen(command: str) -> None:
    assert classify_command(command).tier >= Tier.STATEFUL


@pytest.mark.parametrize(
    "command",
    [
        "kill -0 77",
        "kill -s 0 77",
        "kill -0 -- -77",
        "git grep -n --or x",
        "git config user.name",
        "debugfs -R 'stat <2>' /dev/sda1",
        "debugfs -R 'ls -l /' /dev/sda1",
        "xfs_db -r -c 'sb 0' -c p /dev/sda1",
        "xfs_db -r -c 'freesp -s' /dev/sda1",
        "timedatectl show-timesync",
        "chronyc -n sources",
        "ntpq -pn",
        "ntpq -c rv -c peers",
        "man -k x",
        "aws apigateway get-rest-apis",
        "mysqladmin -u root -p extended-status",
        "redis-cli acl log",
        "named-checkzone example.org db",
        "apt-file search x",
        "ceph osd tree",
        "rados -p x get y -",
        "gluster volume top x read",
        "mailq",
    ],
)
def test_their_reading_forms_stay_reading(command: str) -> None:
    assert classify_command(command).tier == Tier.READ_ONLY


@pytest.mark.parametrize("piece", ["git push ", "dd ", "a;", "$(", "{a,", "sudo ", "find -exec "])
def test_p7_repetition_costs_no_more_than_its_length(piece: str) -> None:
    """180 KB of one word was quadratic elsewhere; here it is refused, or its steps are bounded."""
    from relay_shell.policy.core import Judge
    from relay_shell.policy.knowledge import current
    from relay_shell.policy.limits import MAX_STEPS, Budget, OverBudget

    assert classify_command(piece * (180_000 // len(piece))).tier == Tier.IRREVERSIBLE
    spent = []
    for size in (2000, 4000):
        budget = Budget()
        try:
            Judge(current(), budget).text(piece * (size // len(piece)))
        except OverBudget:
            assert budget.steps <= MAX_STEPS + size
        spent.append(budget.steps)
    assert spent[1] <= 2.5 * spent[0] + 100


@pytest.mark.parametrize(
    "command",
    [
        "r\\m -rf /",
        '"rm" -rf /',
        "'rm' -rf /",
        "/bin/rm -rf /",
        "sudo rm -rf /",
        "env A=1 rm -rf /",
        "$'rm' -rf /",
        "rm   -rf    /",
        "x=rm; $x -rf /",
        "bash -c 'rm -rf /'",
        "ls; rm -rf /",
        "{rm,-rf,/}",
    ],
)
def test_a_deny_rule_sees_every_spelling(command: str) -> None:
    rules = Rules(deny=[r"^rm -rf /"])
    hit = rules.check(command, classify_command(command).canonical_forms())
    assert hit is not None
    assert hit.action == "deny"


@pytest.mark.parametrize(
    "command",
    [
        "echo 'do not reboot'",
        "last reboot",
        "man shutdown",
        "grep -r reboot .",
        "cat /var/run/reboot-required",
        "echo do not rm -rf this",
        "journalctl -g 'rm -rf'",
        "systemctl list-units 'reboot*'",
        "apropos mkfs",
    ],
)
def test_words_that_only_name_a_danger_are_harmless(command: str) -> None:
    assert classify_command(command).tier == Tier.READ_ONLY
