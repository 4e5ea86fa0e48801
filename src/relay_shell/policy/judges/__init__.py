"""Judges of programs whose arguments are a language of their own."""
