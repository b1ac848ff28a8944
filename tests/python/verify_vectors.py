#!/usr/bin/env python3
"""Verifies tests/vectors/ with libraries that share no code with Scrutineer.

    verify_vectors.py [FOLDER]

sd-jwt checks signature and disclosures of every entry and resolves its claims; jwcrypto and
joserfc each check every signature; hashlib recomputes hashes, digests and the ledger's chain; and
from each draft, key and salts the entry is built anew, byte for byte. Ends with a line
`verified …`; the first thing that is not right ends it with a traceback.
"""

import base64
import copy
import hashlib
import json
import pathlib
import sys
import uuid
import warnings

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from joserfc import jws as joserfc_jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, OKPKey
from jwcrypto.common import JWException
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS
from sd_jwt.verifier import SDJWTVerifier

ALGORITHMS = ["EdDSA", "ES256"]
counts = {}

# RFC 9864 would have EdDSA called Ed25519; the platforms' key stores are not there yet.
warnings.simplefilter("ignore", SecurityWarning)


def count(what, number=1):
    counts[what] = counts.get(what, 0) + number


def check(condition, *what):
    if not condition:
        raise AssertionError(*what)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64(text):
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    check(b64(data) == text, "not the one spelling of base64url", text)
    return data


def sha256(data):
    return hashlib.sha256(data).digest()


def compact_json(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)


class Key:
    def __init__(self, vector):
        jwk, self.alg, self.secret = vector["jwk"], vector["alg"], unb64(vector["secret"])
        self.jwk = jwk
        self.jwcrypto = JWK(**jwk)
        self.joserfc = (ECKey if jwk["kty"] == "EC" else OKPKey).import_key(jwk)
        self.thumbprint = vector["thumbprint"]
        check(self.jwcrypto.thumbprint() == self.thumbprint, "thumbprint by jwcrypto")
        check(self.joserfc.thumbprint() == self.thumbprint, "thumbprint by joserfc")
        members = ("crv", "kty", "x", "y") if jwk["kty"] == "EC" else ("crv", "kty", "x")
        canonical = compact_json({name: jwk[name] for name in members})
        check(b64(sha256(canonical.encode())) == self.thumbprint, "thumbprint by hashlib")
        if self.alg == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.from_private_bytes(self.secret)
            check(b64(self.private.public_key().public_bytes_raw()) == jwk["x"], "public key")
        else:
            self.private = ec.derive_private_key(int.from_bytes(self.secret, "big"), ec.SECP256R1())
            numbers = self.private.public_key().public_numbers()
            check(b64(numbers.x.to_bytes(32, "big")) == jwk["x"], "public key")
            check(b64(numbers.y.to_bytes(32, "big")) == jwk["y"], "public key")
        count("keys")

    def sign(self, message):
        if self.alg == "EdDSA":
            return self.private.sign(message)
        # RFC 6979, so that it can be compared
        algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        r, s = utils.decode_dss_signature(self.private.sign(message, algorithm))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def verifies_with_jwcrypto(jws, key):
    token = JWS()
    try:
        token.deserialize(jws)
        token.verify(key.jwcrypto, alg=key.alg)
    except (JWException, ValueError):
        return False
    return True


def verifies_with_joserfc(jws, key):
    try:
        joserfc_jws.deserialize_compact(jws, key.joserfc, algorithms=[key.alg])
    except (JoseError, ValueError):
        return False
    return True


def verify_jws(jws, key, typ):
    check(verifies_with_jwcrypto(jws, key), "jwcrypto refuses", jws)
    check(verifies_with_joserfc(jws, key), "joserfc refuses", jws)
    count("signatures", 2)
    header = json.loads(unb64(jws.split(".")[0]))
    check(header["typ"] == typ and header["alg"] == key.alg, "header", header)
    check(header["kid"] == key.thumbprint, "kid", header)
    check("crit" not in header, "crit")


def claims(compact, key):
    """What sd-jwt reads, once it has checked signature and digests."""
    return SDJWTVerifier(compact, lambda _issuer, _header: key.jwcrypto).get_verified_payload()


def build(vector, key):
    """The entry from its draft, as docs/protocol.md describes it, by nothing but the standard
    library and a signature."""
    draft, salts = vector["draft"], iter(vector["salts"])
    disclosures = [compact_json([next(salts), "at", draft["at"]])]
    for name, value in draft["disclosed"]:
        disclosures.append(compact_json([next(salts), name, value]))
    digests = [b64(sha256(b64(text.encode()).encode())) for text in disclosures]
    body = dict(draft["clear"])
    if digests[1:]:
        body["_sd"] = sorted(digests[1:])
    payload = {"v": 1, "_sd": digests[:1], "_sd_alg": "sha-256", "body": body}
    for name in ("mission", "subject", "kind", "base"):
        payload[name] = draft[name]
    payload.update(draft["link"])
    payload = {name: value for name, value in payload.items() if value is not None}
    header = compact_json({"alg": key.alg, "kid": key.thumbprint, "typ": vector["typ"]})
    signed = f"{b64(header.encode())}.{b64(compact_json(payload).encode())}"
    jws = f"{signed}.{b64(key.sign(signed.encode()))}"
    return "~".join([jws, *(b64(text.encode()) for text in disclosures), ""])


def without_digests(value):
    if isinstance(value, dict):
        return {name: without_digests(inner) for name, inner in value.items() if not name.startswith("_sd")}
    return value


def verify_entry(vector, key):
    compact, wire = vector["compact"], vector["wire"]
    jws, *disclosures, end = compact.split("~")
    check(end == "", "an entry ends with ~")
    verify_jws(jws, key, vector["typ"])
    header, payload, signature = jws.split(".")

    # the wire form is the same texts
    check(unb64(header).decode() == wire["header"])
    check(unb64(payload).decode() == wire["payload"])
    check(signature == wire["signature"])
    check([unb64(text).decode() for text in disclosures] == wire["disclosures"])

    # the hash covers what is signed
    check(b64(sha256(f"{header}.{payload}".encode())) == vector["hash"], "hash")

    # built anew from the draft
    check(build(vector, key) == compact, "built otherwise", vector["name"])
    count("entries built anew")

    # sd-jwt resolves the same claims
    read = claims(compact, key)
    check(read["body"] == vector["body"], "body", vector["name"])
    check(read["at"] == vector["at"], "at", vector["name"])
    draft = vector["draft"]
    check(read["body"] == {**draft["clear"], **dict(draft["disclosed"])}, "draft", vector["name"])
    for name in ("mission", "subject", "kind"):
        check(read[name] == draft[name], name)

    # withheld: the signature stands, the hash is the same, the words are gone
    redacted = vector["redacted"]["compact"]
    jws_redacted, *kept, _ = redacted.split("~")
    check(jws_redacted == jws, "withholding changed what is signed")
    less = claims(redacted, key)
    check("at" not in less)
    shown = {name: value for name, value in draft["disclosed"] if name == "station"}
    check(less["body"] == {**draft["clear"], **shown}, "redacted", vector["name"])
    check(len(disclosures) - len(kept) == vector["redacted"]["withheld"])
    nothing = claims(f"{jws}~", key)
    check(nothing == without_digests(json.loads(unb64(payload))), "all withheld")
    count("entries with words withheld", 2)

    count("flipped bits", flip(vector, key, read))
    count("entries")


def flip(vector, key, read):
    """One bit of each byte of header, payload, signature and disclosures."""
    jws, *disclosures, _ = vector["compact"].split("~")
    parts = [unb64(part) for part in jws.split(".")]
    flipped = 0
    for which, part in enumerate(parts):
        for at in range(len(part)):
            changed = bytearray(part)
            changed[at] ^= 1 << (at % 8)
            texts = [b64(bytes(changed) if n == which else other) for n, other in enumerate(parts)]
            other = ".".join(texts)
            check(not verifies_with_jwcrypto(other, key), "jwcrypto accepts", vector["name"], which, at)
            # joserfc is slower; it looks at a sample
            if at % 8 == 0:
                check(not verifies_with_joserfc(other, key), "joserfc accepts", vector["name"], which, at)
            flipped += 1
    # a changed disclosure has no digest any more: its claim is gone, and no other comes
    for which, text in enumerate(disclosures):
        data = unb64(text)
        for at in range(0, len(data), 7):
            changed = bytearray(data)
            changed[at] ^= 1
            texts = [b64(bytes(changed)) if n == which else other for n, other in enumerate(disclosures)]
            name = json.loads(data)[1]
            expected = copy.deepcopy(read)
            (expected if which == 0 else expected["body"]).pop(name)
            try:
                found = claims("~".join([jws, *texts, ""]), key)
            except (ValueError, UnicodeDecodeError):
                found = expected
            check(found == expected, "a changed disclosure was read", vector["name"], name, at)
            flipped += 1
    return flipped


def verify_journals(entries):
    """seq without gaps, prev the hash before, base an entry on the same subject."""
    heads, by_hash = {}, {}
    for vector in entries:
        payload = json.loads(vector["wire"]["payload"])
        by_hash[vector["hash"]] = payload
        if "base" in payload:
            check(by_hash[payload["base"]]["subject"] == payload["subject"], "base")
        if "journal" not in payload:
            check("actor" in payload and "seq" not in payload and "prev" not in payload)
            continue
        seq, prev = heads.get(payload["journal"], (0, None))
        check(payload["seq"] == seq + 1 and payload.get("prev") == prev, "journal", vector["name"])
        heads[payload["journal"]] = (payload["seq"], vector["hash"])
        count("journal links")


def chain_of(mission, numbered):
    value = sha256(b"scrutineer-ledger-v1" + uuid.UUID(mission).bytes)
    yield 0, value
    for number, entry in numbered:
        value = sha256(value + number.to_bytes(8, "big") + unb64(entry))
        yield number, value


def verify_ledger(ledger):
    rows = ledger["rows"]
    found = chain_of(ledger["mission"], [(row["number"], row["entry"]) for row in rows])
    check(next(found)[1] == unb64(ledger["genesis"]), "genesis")
    for row, (number, value) in zip(rows, found, strict=True):
        check(row["number"] == number and unb64(row["chain"]) == value, "chain", number)
        count("chain values")


def verify_signed(vector, key):
    verify_jws(vector["compact"], key, vector["typ"])
    check(json.loads(unb64(vector["compact"].split(".")[1])) == vector["claims"], vector["name"])
    if vector["name"] == "receipt":
        receipt = vector["claims"]
        numbered = [(held["number"], held["hash"]) for held in receipt["entries"]]
        *_, (number, value) = chain_of(receipt["mission"], numbered)
        check(receipt["head"] == {"number": number, "chain": b64(value)}, "the receipt's head")
    if vector["name"] == "assertion":
        check(vector["claims"]["iss"] == vector["claims"]["sub"] == key.thumbprint)


def verify_messages(messages, keys):
    link = messages["link"]
    url = f"{link['origin']}/enrol#code={link['code']}&mission={link['mission']}&key={link['key']}"
    check(link["url"] == url, "link")
    check(link["key"] == keys["server"].thumbprint, "the link names the receipt key")
    request = messages["enrolment_request"]
    check(JWK(**request["key"]).thumbprint() == keys["device-eddsa"].thumbprint)
    verify_jws(request["proof"], keys["device-eddsa"], "scrutineer-enrolment+jwt")
    proof = json.loads(unb64(request["proof"].split(".")[1]))
    check(proof == {"code": link["code"], "aud": link["key"]}, "proof")
    check(JWK(**messages["enrolment_response"]["receipt_key"]).thumbprint() == link["key"])
    response = messages["exchange_response"]
    verify_jws(response["receipt"], keys["server"], "scrutineer-receipt+jwt")
    receipt = json.loads(unb64(response["receipt"].split(".")[1]))
    held = {entry["hash"]: entry["number"] for entry in receipt["entries"]}
    by_kid = {key.thumbprint: key for key in keys.values()}
    for wire in [*messages["exchange_request"]["entries"], *(item["entry"] for item in response["items"])]:
        signed = f"{b64(wire['header'].encode())}.{b64(wire['payload'].encode())}"
        header = json.loads(wire["header"])
        verify_jws(f"{signed}.{wire['signature']}", by_kid[header["kid"]], header["typ"])
        count("entries of an exchange")
    for wire in messages["exchange_request"]["entries"]:
        signed = f"{b64(wire['header'].encode())}.{b64(wire['payload'].encode())}"
        check(b64(sha256(signed.encode())) in held, "the receipt answers the request")
    for outcome in response["outcomes"]:
        check(held[outcome["hash"]] == outcome["number"], "outcome and receipt agree")


def verify_refused(vector, key):
    """What must fail before the disclosures are looked at, fails here too."""
    if vector["fails"] == "read":
        return
    jws = vector["compact"].split("~")[0]
    header = json.loads(base64.urlsafe_b64decode(jws.split(".")[0].rstrip("=") + "=="))
    ours = header["typ"] == vector["typ"] and header["alg"] == key.alg and "crit" not in header
    ends = vector["compact"].endswith("~") and "=" not in jws
    good = ends and ours and verifies_with_jwcrypto(jws, key) and verifies_with_joserfc(jws, key)
    check(not good, "accepted", vector["name"])
    count("refused entries")


def main():
    here = pathlib.Path(__file__).resolve().parent
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here.parent / "vectors"

    def load(name):
        return json.loads((folder / name).read_text(encoding="utf-8"))

    keys = {vector["name"]: Key(vector) for vector in load("keys.json")}
    entries = load("entries.json")
    for vector in entries:
        verify_entry(vector, keys[vector["key"]])
    verify_journals(entries)
    verify_ledger(load("ledger.json"))
    for vector in load("signed.json"):
        verify_signed(vector, keys[vector["key"]])
    verify_messages(load("messages.json"), keys)
    for vector in load("refused.json"):
        verify_refused(vector, keys[vector["key"]])
    check(counts["entries"] == 32 and {key.alg for key in keys.values()} == set(ALGORITHMS))
    print("verified " + ", ".join(f"{number} {what}" for what, number in counts.items()))


main()
