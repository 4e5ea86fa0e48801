"""The `relay-shell` command: one file a verb, found by name and imported when it is called for."""
