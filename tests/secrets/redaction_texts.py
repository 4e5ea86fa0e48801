"""Texts for property tests: pieces of secrets, shell syntax and noise in any order."""

from __future__ import annotations

from hypothesis import strategies as st

from relay_shell.secrets.rules import shipped

EXAMPLES = [rule.synthetic() for rule in shipped()]

WORDS = """password TOKEN secret --token -p -u authorization Bearer Basic Digest api_key auth pw
pass key x1y2z3 hunter2 AKIA ghp_ eyJ sk- $6$abc$ MIIEowIBAAKCAQEA [REDACTED:jwt] [REDACTED: ]
user:pa@host https:// response= value:""".split()
WORDS += [
    " -p",
    "Authorization: ",
    "Bearer ",
    "Basic ",
    "Digest ",
    "cookie: ",
    "Set-Cookie: ",
    "mysql ",
    "curl ",
    "docker login",
    "-----BEGIN RSA PRIVATE KEY-----",
    "-----END RSA PRIVATE KEY-----",
    "name: DB_PASSWORD",
    "value: ",
    "\\n",
    "login a password b",
    "machine h ",
    "Private-Lines: 2\n",
    "touch F",
    "rm -rf /",
]
GLUE = [*" \t\n=:;|&<>(){}$`'\"\\,@/.-_%#", "$(", "${", "&&", "||", ">>", ": ", " = ", "\x1f"]

fragments = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(GLUE),
    st.sampled_from(EXAMPLES),
    st.text(alphabet="aB3 =:/@.$;\n\"'", max_size=6),
)
texts = st.lists(fragments, max_size=14).map("".join)

# Runs about the size of the window, where a secret is cut and swallowed piecewise.
LONG = [
    unit * (size // len(unit))
    for unit in ("x1", "Ab9+", "a_", "=", " ", "\n")
    for size in (250, 500, 900, 1010, 1023, 1024, 1025, 1100, 2100)
]
long_texts = st.lists(st.one_of(fragments, st.sampled_from(LONG)), max_size=8).map("".join)
