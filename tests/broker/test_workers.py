"""The table of workers, and the files by which a restarted broker knows them again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from relay_shell.broker import peer as kernel
from relay_shell.broker.peer import Peer
from relay_shell.broker.statefile import StateError
from relay_shell.broker.workers import Worker, Workers
from relay_shell.wire.errors import RelayError


def worker(directory: Path) -> tuple[Workers, Worker, str]:
    workers = Workers(str(directory))
    facts = kernel.facts(os.getpid())
    made = Worker("", "unix:a", "a", 1000, os.getpid(), facts.start, facts.unit, "scoped", "")
    return workers, made, workers.add(made)


def this_peer() -> Peer:
    facts = kernel.facts(os.getpid())
    return Peer(os.getpid(), 1000, 1000, (), facts)


def test_a_worker_is_known_again_by_secret_and_process(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    _, made, resume = worker(tmp_path)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600 and resume not in file.read_text()

    again = Workers(str(tmp_path))
    (found,), lost = again.restore()
    assert found.id == made.id and found.link is None and lost == []
    assert again.resume(made.id, resume, this_peer()) is found
    assert again.resume(made.id, resume, this_peer()) is found, "the secret lasts"
    for secret, peer in (
        ("x" * 43, this_peer()),
        (resume, this_peer()._replace(pid=1)),
        (resume, this_peer()._replace(facts=kernel.facts(1))),
        (resume, this_peer()._replace(facts=None)),
    ):
        with pytest.raises(RelayError, match="re-hello refused"):
            again.resume(made.id, secret, peer)
    again.remove(found)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RelayError, match="no such worker"):
        again.resume(made.id, resume, this_peer())


def test_a_worker_that_cannot_be_kept_is_not_entered(tmp_path: Path) -> None:
    workers = Workers(str(tmp_path / "gone"))
    with pytest.raises(OSError):
        workers.add(Worker("", "unix:a", "a", 1000, 1, 1, "", "scoped", ""))
    assert len(workers) == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"pid":', '"pid":"x","y":'),
        ('"conns":[]', '"conns":[1]'),
        ('"uid":1000', '"uid":true'),
        ('"version":1', '"version":1,"worker":{}'),
        ('{"version"', '["version"'),
    ],
)
def test_a_damaged_file_is_a_lost_worker(tmp_path: Path, old: str, new: str) -> None:
    tmp_path.chmod(0o700)
    _, made, _ = worker(tmp_path)
    (file,) = tmp_path.iterdir()
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    if old == '"version":1':
        file.write_text(text.replace('"worker":{', '"other":{'))
    (tmp_path / "unrelated").touch()
    found, lost = Workers(str(tmp_path)).restore()
    assert found == [] and lost[0][0] == made.id and "damaged" in lost[0][1]
    assert [path.name for path in tmp_path.iterdir()] == ["unrelated"]


def test_a_runtime_directory_of_others_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(StateError, match="writable by others"):
        Workers(str(tmp_path)).restore()
