"""Shell, SSH-fleet and diagnostics access for AI agents, under systemd."""

__version__ = "0.1.0"
