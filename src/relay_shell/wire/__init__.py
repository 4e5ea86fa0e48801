"""Typed messages between relay-shell's own processes.

`messages` is the one table of what may be said, `frame` puts it into packets and takes it out
again, `link` is a connection that speaks it, `errors` the closed vocabulary of failures.
"""
