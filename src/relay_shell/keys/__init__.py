"""Private keys for SSH: which files of a directory are keys, and an ssh-agent that has them."""
