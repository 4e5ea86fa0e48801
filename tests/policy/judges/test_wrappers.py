"""Programs that run another: what they run decides, and what they add."""

from __future__ import annotations

import pytest

from relay_shell.policy import classify_command


@pytest.mark.parametrize(
    "wrapper",
    [
        "env",
        "env -i LANG=C",
        "nice -n 5",
        "nice -10",
        "timeout -k 5 10",
        "stdbuf -oL",
        "ionice -c3",
        "time -p",
        "command",
        "exec",
        "busybox",
        "taskset 1",
        "chrt -b 0",
        "setarch x86_64",
        "numactl -N 0",
        "watch -n1",
        "xargs -n1",
        "env -S 'nice' --",
    ],
)
def test_a_wrapper_that_adds_nothing_has_the_tier_of_what_it_runs(wrapper: str) -> None:
    if not wrapper.startswith("env -S"):
        assert int(classify_command(f"{wrapper} id").tier) == 0
    assert int(classify_command(f"{wrapper} rm x").tier) == 3


@pytest.mark.parametrize(
    ("wrapper", "tier"),
    [
        ("sudo", 1),
        ("sudo -u bob --", 1),
        ("doas", 1),
        ("ssh host", 1),
        ("ssh -p 22 -o BatchMode=yes a@host", 1),
        ("nohup", 1),
        ("setsid", 1),
        ("flock /tmp/l", 1),
        ("strace", 1),
        ("systemd-run --wait", 2),
        ("nsenter -t 1 -m", 2),
        ("chroot /mnt", 2),
        ("unshare -r", 2),
        ("gosu bob", 2),
        ("docker exec -it web", 2),
        ("kubectl exec web -c app --", 2),
        ("ip netns exec blue", 2),
        ("ssh -o ProxyCommand=id host", 2),
        ("ssh -F cfg host", 2),
        ("sudo -R /mnt", 2),
    ],
)
def test_a_wrapper_with_an_effect_of_its_own_has_a_floor(wrapper: str, tier: int) -> None:
    assert int(classify_command(f"{wrapper} id").tier) == tier
    assert int(classify_command(f"{wrapper} rm x").tier) == 3


@pytest.mark.parametrize(
    ("text", "tier"),
    [
        ("sudo -l", 1),
        ("sudo -i", 2),
        ("sudo --version", 0),
        ("sudo LD_PRELOAD=x ls", 2),
        ("env", 0),
        ("env -S 'ls ${X}'", 2),
        ("xargs", 0),
        ("xargs sh -c 'rm $0'", 3),
        ("xargs -I{} sort {}", 2),
        ("xargs -I{} sort /etc/{}", 0),
        ("find . -exec sort {} \\;", 0),
        ("find / -exec sh -c 'rm {}' \\;", 3),
        ("find $x -name y", 2),
        ("parallel echo ::: a", 2),
        ("ssh host", 2),
        ("ssh -N -L 1:a:2 host", 2),
        ("ssh -G host", 1),
        ("ssh -V", 0),
        ("su", 2),
        ("su - bob -c id", 1),
        ("script -c id /dev/null", 0),
        ("script -c id out", 2),
        ("bash -n x.sh", 0),
        ("bash -c", 2),
        ("bash x.sh", 2),
        ("bash -i -c id", 2),
        ("bash --rcfile x -c id", 2),
        ("bash --frob -c id", 2),
    ],
)
def test_forms_of_wrappers(text: str, tier: int) -> None:
    assert int(classify_command(text).tier) == tier
