"""What `relay-shell doctor` looks at: one file a domain, each a generator of findings."""
