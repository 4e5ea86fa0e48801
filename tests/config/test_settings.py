"""What each process is told, and what a reload changes."""

from __future__ import annotations

import json

import pytest

from relay_shell.config.settings import Settings


def test_each_process_is_told_what_it_needs_and_no_more() -> None:
    settings = Settings({"policy.deny": ("secret-project",)})
    for audience in ("front", "worker"):
        told = settings.subset(audience)
        assert not [name for name in told if name.startswith(("policy.", "evidence."))]
        assert "paths.state" not in told and "paths.audit" not in told
        assert json.loads(json.dumps(told)) == told
    assert settings.subset("front")["limits.message"] == 4194304
    assert settings.subset("worker")["worker.shell"] == "/bin/bash"
    assert settings.subset("broker")["policy.deny"] == ["secret-project"]


def test_a_reload_keeps_what_needs_a_restart() -> None:
    old = Settings()
    new = Settings(
        {"policy.mode": "readonly", "worker.landlock": "off", "paths.audit": "/x"},
        {"policy.mode": "a:1", "worker.landlock": "a:2", "paths.audit": "a:3"},
    )
    assert old.changed(new) == (["policy.mode"], ["worker.landlock", "paths.audit"])
    merged = old.reloaded(new)
    assert merged["policy.mode"] == "readonly" and merged.source("policy.mode") == "a:1"
    assert merged["worker.landlock"] == "require"
    assert merged.source("paths.audit") == "default"
    assert new.reloaded(old)["paths.audit"] == "/x"


def test_it_is_a_closed_mapping() -> None:
    settings = Settings()
    with pytest.raises(KeyError):
        settings["policy.mood"]
    with pytest.raises(KeyError):
        settings.source("policy.mood")
    with pytest.raises(KeyError):
        Settings({"policy.mood": "open"})
    with pytest.raises(TypeError):
        settings["policy.mode"] = "open"  # type: ignore[index]
