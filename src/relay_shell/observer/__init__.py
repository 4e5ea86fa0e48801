"""What the processes of calls execute, as the kernel sees it: eBPF programs, and who reads them.

The observer is a service of its own. No command runs in it, and no worker talks to it.
"""
