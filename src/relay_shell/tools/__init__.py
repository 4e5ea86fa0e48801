"""The tools that an agent may call: one file each, assembled in `registry`."""
