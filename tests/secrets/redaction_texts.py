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
