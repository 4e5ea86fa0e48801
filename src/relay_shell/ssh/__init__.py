"""Hosts reached through SSH: which there are, and how they are spoken to."""
