"""The front: speaks MCP with clients, asks the broker who they are, hands calls to workers.

It holds no authority and starts no program. `lines` and `channel` carry bytes, `jsonrpc` and
`session` the protocol (on the kernel of the official SDK), `catalogue` and `calls` the tools,
`broker` and `workers` the links to the other processes, `app` all of it together.
"""
