"""Questions about processes, mounts and accounts, of which an enforced command sees too little.

Landlock keeps it from looking at other processes (what lsof, pmap and netstat -p read), and a root
worker's command has mounts of its own, all read-only, and an account that setuid programs and
crontab(1) do not know. Refused, these programs run confined: their answer may lack something, but
they change nothing.
"""

from __future__ import annotations

from .question import Query, words

HOST: dict[str, Query] = {
    "lsof": Query(
        None,
        words("-a -b -h -l -n -N -O -P -R -t -U -v -V -w"),
        words("-c -d -p -u"),
        (),
        optional=words("-F -g -i -L -o -s -S -T"),
        words="[/:@].*",
    ),
    # Not -K (kills), -D and -F (files), -N (another namespace).
    "ss": Query(
        None,
        words(
            """-h --help -V --version -H --no-header -n --numeric -r --resolve -a --all -l
            --listening -o --options -e --extended -m --memory -p --processes -i --info -s --summary
            -4 --ipv4 -6 --ipv6 -0 --packet -t --tcp -u --udp -d --dccp -w --raw -x --unix
            -S --sctp --tipc --vsock -Z --context -z --contexts -b --bpf -O --oneline -T --threads
            --tos --cgroup -B --bound-inactive -M --mptcp"""
        ),
        words("-f --family -A --query --socket"),
        (),
    ),
    # Not -c, which does not end.
    "netstat": Query(
        frozenset(("",)),
        words(
            """-r --route -g --groups -i --interfaces -s --statistics -v --verbose -W --wide
            -n --numeric --numeric-hosts --numeric-ports --numeric-users -e --extend -p --programs
            --program -l --listening -a --all -o --timers -t --tcp -u --udp -w --raw -x --unix
            -S --sctp -4 --inet -6 --inet6 -V --version -h --help"""
        ),
        words("-A"),
        (),
    ),
    # Not -k, -i and signals.
    "fuser": Query(
        None,
        words("-a -c -f -m -M -s -u -v -w -4 -6 -V -h --all --mount --verbose --user --silent"),
        words("-n --namespace"),
        (),
        words="/.*|[0-9]+(?:,[0-9]*){0,2}(?:/(?:tcp|udp))?",
    ),
    # Not -c, -C, -n and -N, which go by files or make them.
    "pmap": Query(
        None,
        words("-d -p -q -V -h -x -X --device --show-path --quiet --extended --version --help"),
        words("-A --range"),
        (),
        words="[0-9]+",
    ),
    "pwdx": Query(None, words("-V -h --version --help"), frozenset(), (), words="[0-9]+"),
    # A word would be a command to run, and what follows a resource's option a value to set.
    "prlimit": Query(
        frozenset(("",)),
        words(
            """-c --core -d --data -e --nice -f --fsize -i --sigpending -l --memlock -m --rss
            -n --nofile -q --msgqueue -r --rtprio -s --stack -t --cpu -u --nproc -v --as -x --locks
            -y --rttime --noheadings --raw --verbose -V --version -h --help"""
        ),
        words("-p --pid -o --output"),
        (),
    ),
    # A word would be something to mount.
    "mount": Query(
        frozenset(("",)),
        words("-l --show-labels -v --verbose -V --version -h --help"),
        words("-t --types"),
        (),
    ),
    # Not -F (a file), -N (another's mounts), --poll, which does not end, nor what resolves tags
    # (LABEL=, -e, and -s and -x in some cases): libblkid(3) then writes its cache.
    "findmnt": Query(
        None,
        words(
            """-m --mtab -k --kernel -A --all -a --ascii -b --bytes -C --nocanonicalize
            -c --canonicalize -D --df -f --first-only -i --invert -J --json -l --list
            -n --noheadings --output-all -P --pairs --pseudo --shadow -R --submounts -r --raw --real
            -U --uniq -u --notruncate -v --nofsroot -y --shell --tree --verbose --vfs-all -V
            --version -h --help"""
        ),
        words("-d --direction -M --mountpoint -O --options -o --output -T --target -t --types"),
        (),
        located=words("-M --mountpoint -T --target"),
        words="/.*",
    ),
    "lsns": Query(
        None,
        words(
            """-J --json -l --list -n --noheadings -P --persistent -r --raw -u --notruncate
            -W --nowrap -T --tree --output-all -V --version -h --help"""
        ),
        words("-o --output -p --task -t --type"),
        (),
        words="[0-9]+",
    ),
    "lslocks": Query(
        frozenset(("",)),
        words(
            """-b --bytes -i --noinaccessible -J --json -n --noheadings --output-all -r --raw
            -u --notruncate -V --version -h --help"""
        ),
        words("-o --output -p --pid"),
        (),
    ),
    # Without -l it installs what it reads.
    "crontab": Query(frozenset(("",)), words("-l"), words("-u"), (), needs=words("-l")),
    "passwd": Query(
        None,
        words("-S --status -a --all"),
        frozenset(),
        (),
        needs=words("-S --status"),
        words="[a-z_][a-z0-9_.-]*",
    ),
    "chage": Query(
        None,
        words("-l --list -i --iso8601"),
        frozenset(),
        (),
        needs=words("-l --list"),
        words="[a-z_][a-z0-9_.-]*",
    ),
}

OPTIONAL = ("lsof", "netstat", "fuser", "crontab")
"""Programs that a machine may lack: each has a directory of its own (`querydesk.DIRECTORIES`)."""
