"""The instructions in a bundle: what it proves, and how to check that with common tools."""

from __future__ import annotations

VERIFY = r"""THIS IS A BUNDLE OF EVIDENCE FROM RELAY-SHELL

records.jsonl holds records of what agents asked for on a host, what was decided, and what came of
it. MANIFEST.json says of which host, and what was asked for.

What can be proven, and with what:

  * Nothing in it was changed since it was made: MANIFEST.sha256, whose digest the broker recorded
    and signed (seal.jsonl).
  * Each record is as the broker wrote it, before the checkpoint that follows it: the lines in
    chain/ lead from the record to a checkpoint, which is signed.
  * If MANIFEST.json says "mode": "whole", nothing between the first and the last line in chain/ was
    left out. In the mode "inclusion" there may be more records that were not chosen.

It takes the public key of the host, from a source that is not this bundle: who makes a bundle up
puts a key into it as well. `relay-shell audit key` prints the key on the host. Whoever was root on
the host could use the private key; what had reached another host before then shows it
(docs/off-host.md).

WITH RELAY-SHELL

    relay-shell evidence verify BUNDLE --key evidence.pub

Its exit status is 0 if all of the above holds; relay-shell(1) lists the others.

WITHOUT IT

Unpack the bundle, go to its directory, and let KEY name the file with the host's public key. This
takes sha256sum, python3 and openssl (3.0 or later). Do not run a script from a bundle: these steps
are in the documentation of relay-shell too, with which this text can be compared.

1. The members. No line may say anything but OK:

    sha256sum --check --strict MANIFEST.sha256

   Only these are in it, and the seal:

    find . -type f ! -name MANIFEST.sha256 ! -name seal.jsonl ! -path './check/*' | sed 's,^./,,' \
      | sort > "${TMPDIR:-/tmp}/evidence-members.$$"
    sed 's/^[0-9a-f]*  //' MANIFEST.sha256 | sort | cmp - "${TMPDIR:-/tmp}/evidence-members.$$"
    rm -f "${TMPDIR:-/tmp}/evidence-members.$$"

2. The chain. It says how many records it has followed, or stops at the first that does not fit. In
   check/ it leaves what the checkpoints say, and their signatures:

    python3 - "$KEY" <<'END'
    import base64, hashlib, json, os, re, sys

    def need(condition, what):
        if not condition:
            sys.exit(f"BAD: {what}")

    os.makedirs("check")
    for pem in re.findall(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----",
                          open(sys.argv[1]).read(), re.S):
        raw = base64.b64decode("".join(pem.splitlines()[1:-1]))[-32:]
        name = hashlib.sha256(raw).hexdigest()[:16]
        open(f"check/{name}.pem", "w").write(pem + "\n")

    manifest = json.load(open("MANIFEST.json"))
    held, followed = set(), 0
    for name in [row["file"] for row in manifest["chain"]] + ["seal.jsonl"]:
        need(re.fullmatch(r"chain/[0-9]+-[0-9]+\.jsonl|seal\.jsonl", name), "MANIFEST.json")
        if name == "seal.jsonl" and not os.path.exists(name):
            print("there is no record of this export")
            continue
        last, sealed = None, False
        for line in open(name, "rb"):
            record = json.loads(line)
            where = f"{name}, record {record['seq']}"
            end = f',"chain":"{record["chain"]}"}}\n'.encode()
            need(line.endswith(end), where)
            body = record["prev"].encode() + line[:-len(end)] + b"}"
            need(hashlib.sha256(body).hexdigest() == record["chain"], f"{where} was changed")
            if last is not None:
                need(record["prev"] == last["chain"] and record["seq"] == last["seq"] + 1,
                     f"{where} does not follow the one before it")
            sealed = record["event"] == "checkpoint"
            if sealed:
                facts = record["facts"]
                need(facts["seq"] == record["seq"] - 1 and facts["chain"] == record["prev"],
                     f"{where} seals another record")
                need(re.fullmatch("[0-9a-f]{16}", facts["key"]), f"{where} has no key")
                stem = f"check/{int(record['seq'])}.{facts['key']}"
                text = "relay-shell checkpoint v1\n{key}\n{seq}\n{chain}\n{count}\n"
                open(f"{stem}.said", "w").write(text.format(**facts))
                open(f"{stem}.sig", "wb").write(base64.b64decode(facts["signature"]))
            held.add(hashlib.sha256(line).digest())
            last, followed = record, followed + 1
            if record["event"] == "export" and name == "seal.jsonl":
                sums = hashlib.sha256(open("MANIFEST.sha256", "rb").read()).hexdigest()
                need(record["facts"]["manifest"] == sums, f"{where} is of another bundle")
        need(sealed, f"{name} does not end with a checkpoint")
    chosen = 0
    for line in open("records.jsonl", "rb"):
        need(hashlib.sha256(line).digest() in held, "a record of records.jsonl is not in chain/")
        chosen += 1
    print(f"{followed} records follow each other, {chosen} of them chosen")
    END

3. The signatures. Each line must say that it was verified successfully; a key that is not there is
   not the host's:

    for said in check/*.said; do
      stem=${said%.said}
      openssl pkeyutl -verify -pubin -inkey "check/${stem##*.}.pem" -rawin -in "$said" \
        -sigfile "$stem.sig" || echo "BAD: $said"
    done
"""
