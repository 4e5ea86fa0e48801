"""What the server tells a model about itself: the instructions and the prompt operating_guide."""

from __future__ import annotations

INSTRUCTIONS = """\
Runs commands on this host, under the operator's policy; every call is recorded before it runs.
- shell_exec for one command, shell_script for several lines, shell_spawn for anything long or
  interactive (then session_recv and session_send).
- A result begins with [exit N], [TIMEOUT after Ns], [DENIED tier N (NAME): reason] or
  [ERROR: Kind: message] (as JSON: exit, timeout, error); an error names the next step. Do what it
  says instead of retrying.
- ssh_exec and ssh_fanout run a command on the other hosts that ssh_hosts lists.
- Long output is shortened: page or search the rest with output_read.
- Sessions and kept outputs outlive the connection; session_list shows them.
- The prompt operating_guide explains more; server_info says who you are here and what you may do.
"""

PROMPT = "operating_guide"

PROMPT_TITLE = "How to work with this host"

PROMPT_DESCRIPTION = "How calls are decided and recorded, and which tool serves which job."

GUIDE = """\
You operate a real host through relay-shell. What you do here has effects that stay.

How a call is decided
- Each command gets a tier: 0 read-only, 1 reversible, 2 stateful, 3 irreversible.
- The operator's mode decides what runs: open (everything, recorded), guarded (tier 2 and above
  only where a rule allows it), readonly (only what the kernel can confine to reading; on other
  hosts only what is proven to read).
- Deny rules come first in every mode. policy_explain shows the verdict on a command without
  running it, with its reasons.
- A refusal is an answer: [DENIED tier N (NAME): reason]. Rewording a refused command does not
  change what it does. Say to your user what was refused and what the next step names.

How a call is recorded
- The intent is on disk before the command starts, the outcome after it ends, with the SHA-256 of
  the output. Arguments are recorded with secrets redacted. Nothing runs without a record.

Which tool
- shell_exec: one command to its end. No state is kept between calls: give cwd and env each time.
- shell_script: several lines for bash, sh, python3 or another interpreter.
- shell_spawn: long work, a prompt for a password, an editor, a REPL. Then session_recv with wait
  (an RE2 pattern) rather than polling, session_send to type, session_screen for full-screen
  programs, session_kill at the end.
- output_read: the rest of an output that was shortened, by the handle in the result.
- ssh_hosts, then ssh_exec or ssh_fanout: a command on other hosts. ssh_check says why one cannot be
  reached. Host keys, accounts and addresses are the operator's: ask for what is missing.

Good practice
- Look before you change: read the state, name what you will change, change it, check the result.
- Prefer dry-run options where a program has them; keep a copy of a file before you edit it.
- Set timeout for what may take long; a call that ends by timeout has killed all it started.
- Do not print secrets; refer to the file that holds them.
"""
