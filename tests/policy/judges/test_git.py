"""git(1): what only shows, what changes, what is lost."""

from __future__ import annotations

import pytest

from relay_shell.policy import classify_argv


@pytest.mark.parametrize(
    ("words", "tier"),
    [
        ("status -sb", 0),
        ("log --oneline -S foo -- path", 0),
        ("diff HEAD~1 --stat", 0),
        ("-C /srv/x --no-pager log -1", 0),
        ("-c color.ui=never -c core.pager=cat log", 0),
        ("branch -a --contains abc", 0),
        ("branch --list x*", 0),
        ("tag -l v1.*", 0),
        ("config --get user.name", 0),
        ("config -f .gitmodules --list", 0),
        ("stash list", 0),
        ("remote -v", 0),
        ("reflog -n 3", 0),
        ("clean -nd", 0),
        ("archive HEAD", 0),
        ("--version", 0),
        ("", 0),
        ("ls-remote origin", 1),
        ("remote show origin", 1),
        ("help -w log", 1),
        ("-c core.pager=/tmp/x log", 2),
        ("-c alias.log=!x log", 2),
        ("--exec-path=/tmp log", 2),
        ("--config-env=core.pager=X log", 2),
        ("log --output=x", 2),
        ("diff --outp x", 2),
        ("diff --ext-diff", 2),
        ("grep -Oless x", 2),
        ("cat-file --filters HEAD:x", 2),
        ("archive --remote=h HEAD", 2),
        ("branch new", 2),
        ("branch -a new", 2),
        ("branch -d x", 2),
        ("tag v1", 2),
        ("config user.name x", 2),
        ("config --edit", 2),
        ("stash", 2),
        ("stash pop", 2),
        ("commit -m x", 2),
        ("push origin main", 2),
        ("fetch", 2),
        ("frobnicate", 2),
        ("push -f", 3),
        ("push origin +main", 3),
        ("push origin :x", 3),
        ("push --delete origin x", 3),
        ("push --force-with-lease", 3),
        ("reset --hard", 3),
        ("clean -fdx", 3),
        ("checkout -- .", 3),
        ("restore x", 3),
        ("branch -D x", 3),
        ("stash drop", 3),
        ("reflog expire --all", 3),
        ("gc --prune=now", 3),
        ("filter-branch x", 3),
    ],
)
def test_git(words: str, tier: int) -> None:
    assert int(classify_argv(["git", *words.split()]).tier) == tier


@pytest.mark.parametrize(
    ("words", "tier"),
    [
        ("gh pr list", 0),
        ("gh api repos/a/b", 0),
        ("gh pr view 1 --web", 1),
        ("gh auth token", 2),
        ("gh pr merge 1", 2),
        ("gh api -X POST x", 2),
        ("gh api -X DELETE x", 3),
        ("gh repo delete x", 3),
        ("svn log", 0),
        ("svn diff --diff-cmd x", 2),
        ("svn commit", 2),
        ("hg log", 0),
        ("hg --config x=y log", 2),
    ],
)
def test_forges_and_others(words: str, tier: int) -> None:
    assert int(classify_argv(words.split()).tier) == tier
