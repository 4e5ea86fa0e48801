"""Which environment variables can change what a program does.

Names that are not known to be harmless count as able to: loaders, interpreters, pagers and
editors read hundreds of them.
"""

from __future__ import annotations

import re

from .model import Tier
from .values import UNKNOWN, Arg, Scope

_HARMLESS = re.compile(
    r"LC_[A-Z]+|LANG|LANGUAGE|TZ|COLUMNS|LINES|TERM|NO_COLOR|CLICOLOR|CLICOLOR_FORCE|FORCE_COLOR"
    r"|COLORTERM|POSIXLY_CORRECT|BLOCKSIZE|(?:DU_|DF_|LS_)?BLOCK_SIZE|TIME_STYLE|QUOTING_STYLE"
    r"|LS_COLORS|GREP_COLORS?|TIMEFORMAT|HISTTIMEFORMAT|PS_FORMAT|PS_PERSONALITY|MANWIDTH"
    r"|MAN_KEEP_FORMATTING|SYSTEMD_(?:COLORS|LOG_LEVEL|URLIFY)|DEBIAN_FRONTEND"
    r"|APT_LISTCHANGES_FRONTEND|APT_LISTBUGS_FRONTEND|NEEDRESTART_MODE"
    r"|PG(?:HOST|PORT|USER|DATABASE|PASSWORD|CONNECT_TIMEOUT|TZ|CLIENTENCODING|SSLMODE|APPNAME)"
    r"|MYSQL_PWD|MYSQL_HOST|MYSQL_TCP_PORT|REDISCLI_AUTH|ETCDCTL_API|AWS_PROFILE|AWS_REGION"
    r"|AWS_DEFAULT_(?:REGION|PROFILE|OUTPUT)|AWS_MAX_ATTEMPTS|GIT_TERMINAL_PROMPT"
    r"|GIT_OPTIONAL_LOCKS|GIT_LITERAL_PATHSPECS|DOCKER_CLI_HINTS|COMPOSE_PROJECT_NAME"
    r"|PYTHONIOENCODING|PYTHONUNBUFFERED|PYTHONUTF8|PYTHONDONTWRITEBYTECODE|RUST_BACKTRACE"
    r"|RUST_LOG|SUDO_PROMPT|TF_CLI_ARGS_NONE|TF_IN_AUTOMATION|CHECKPOINT_DISABLE|NODE_NO_WARNINGS"
)
_PAGERS = re.compile(r"(?:GIT_|SYSTEMD_|MAN|AWS_|BAT_|PSQL_|DELTA_|GH_|)PAGER")
_QUIET_PAGERS = frozenset(("", "cat", "/bin/cat", "/usr/bin/cat", "less", "more"))
# Set in most environments or read by the shell itself, so that assigning them without
# `export` already takes effect.
_LIVE = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|MAIL|EDITOR|VISUAL|ENV|BASH_ENV|BASH_.*|SHELLOPTS|BASHOPTS"
    r"|PROMPT_COMMAND|PS[0-4]|CDPATH|GLOBIGNORE|HIST(?:FILE|CONTROL|IGNORE|SIZE|FILESIZE)|TMPDIR|TMP|TEMP"
    r"|LD_.*|GLIBC_.*|MALLOC_.*|LESS.*|GIT_.*|PYTHON.*|PERL.*|RUBY.*|NODE_.*|NPM_.*|JAVA_.*|_JAVA.*"
    r"|JDK_.*|CLASSPATH|GCONV_PATH|LOCPATH|NLSPATH|HOSTALIASES|RES_OPTIONS|LOCALDOMAIN|SSH_.*"
    r"|DISPLAY|XAUTHORITY|XDG_.*|DBUS_.*|KUBECONFIG|DOCKER_.*|SUDO_.*|BROWSER|FCEDIT|INPUTRC"
    r"|TERMINFO.*|TERMCAP|MANPATH|MANOPT|SYSTEMD_.*|PSQL.*|PGSERVICE.*|PGPASSFILE|MYSQL_.*"
    r"|OPENSSL_.*|SSL_.*|CURL_.*|WGETRC|RSYNC_.*|TAR_OPTIONS|GREP_OPTIONS|GZIP|BZIP2?|XZ_.*|ZIPOPT"
    r"|ANSIBLE_.*|TF_.*|VAULT_.*|AWS_.*|GOOGLE_.*|CLOUDSDK_.*|AZURE_.*|[a-zA-Z]+_proxy|[A-Z]+_PROXY"
    r"|COLUMNS_FILE|TMOUT|FIGNORE|EXECIGNORE|FUNCNEST|COMP_.*|auto_resume|histchars|command_oriented.*"
)
_PROXY = re.compile(r"[a-z]+_proxy|.*_PROXY")


def assigned(name: str, value: Arg, *, exported: bool) -> tuple[Tier, str]:
    """The tier and reason of giving a variable a value.

    `exported` tells whether a program started by the text receives it.
    """
    if name.startswith("BASH_FUNC_"):
        return Tier.STATEFUL, f"{name} defines a shell function through the environment"
    if name == "PATH" or name.startswith("LD_"):
        return Tier.STATEFUL, f"{name} decides which program or library is loaded"
    if _PAGERS.fullmatch(name):
        if value.exact and value.text in _QUIET_PAGERS:
            return Tier.READ_ONLY, ""
        return Tier.STATEFUL, f"{name} names a program that is run on the output"
    if _HARMLESS.fullmatch(name):
        return Tier.READ_ONLY, ""
    if name == "IFS":
        # Splitting is unknown from here on, which the expander takes into account.
        return Tier.READ_ONLY, ""
    if _LIVE.fullmatch(name):
        return Tier.STATEFUL, f"{name} can change what programs do or run"
    if not exported or (name.islower() and not _PROXY.fullmatch(name)):
        return Tier.READ_ONLY, ""
    return Tier.STATEFUL, f"the effect of the environment variable {name} is not known"


def changed(scope: Scope, name: str, value: Arg = UNKNOWN) -> tuple[Tier, str]:
    """The tier and reason of giving a variable of this shell a value, in whatever way."""
    exported = name in scope.exported or "*" in scope.exported
    return assigned(name, value, exported=exported)
