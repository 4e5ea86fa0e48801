"""The record of what agents asked for, what was decided and what came of it.

`record` is the table of facts, `events` the table of events, `canonical` and `chain` give a line
its bytes and its place, `writer` puts it on disk, `journal` sends it to journald, `reader` and
`verify` read it back.
"""
