"""The process that decides and records: identity, admission, freeze, and the operators' desk.

It runs no command, opens no network connection and trusts no claim: who a peer is, the kernel
says (`peer`); what a peer may do follows from that (`principals`).
"""
