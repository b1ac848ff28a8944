"""A second client, written from docs/protocol.md alone: it shares no code with ours
and knows nothing that the page does not say. tests/tests/it/stranger.rs drives it.

    client.py HOME enrol LINK
    client.py HOME file --category C [--severity S] [--station S] --text T
    client.py HOME amend REPORT --text T [--severity S]
    client.py HOME answer REPORT --text T
    client.py HOME attach REPORT FILE --media-type M
    client.py HOME sync
    client.py HOME show
    client.py HOME fetch SHA256 FILE

Prints one JSON value. Exit status 0: done; 1: not done, everything is kept; 2: usage.
"""

import argparse
import base64
import datetime
import gzip
import hashlib
import http.client
import json
import os
import pathlib
import secrets
import sqlite3
import ssl
import sys
import time
import urllib.parse
import uuid

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

ENTRY, DECISION = "scrutineer-entry+sd-jwt", "scrutineer-decision+sd-jwt"
RECEIPT, PROOF, ASSERTION = "scrutineer-receipt+jwt", "scrutineer-enrolment+jwt", "scrutineer-assertion+jwt"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
BATCH = 100
CHUNK = 256 * 1024
DELIVERED = ("stored", "already_stored", "held", "quarantined")


class NotNow(Exception):
    """Nothing is lost; another time."""


class Problem(Exception):
    """The server's own refusal (section 14)."""

    def __init__(self, status: int, body: dict, retry_after: str | None):
        super().__init__(f"{status} {body.get('code')}: {body.get('detail') or body.get('title')}")
        self.status, self.code, self.retry_after = status, body.get("code"), retry_after


# -- section 2: keys and signatures ------------------------------------------------


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if b64(data) != text:
        raise ValueError("not strict base64url")
    return data


def compact(value) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def thumbprint(jwk: dict) -> str:
    """RFC 7638, with exactly the members that it names."""
    members = {"OKP": ("crv", "kty", "x"), "EC": ("crv", "kty", "x", "y")}[jwk["kty"]]
    return b64(hashlib.sha256(compact({name: jwk[name] for name in members}).encode()).digest())


class DeviceKey:
    def __init__(self, secret: bytes):
        self.key = Ed25519PrivateKey.from_private_bytes(secret)
        x = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.jwk = {"crv": "Ed25519", "kty": "OKP", "x": b64(x)}
        self.kid = thumbprint(self.jwk)

    def header(self, typ: str) -> str:
        return compact({"alg": "EdDSA", "kid": self.kid, "typ": typ})

    def sign(self, header: str, payload: str) -> tuple[str, str]:
        """The signing input and the signature."""
        signed = f"{b64(header.encode())}.{b64(payload.encode())}"
        return signed, b64(self.key.sign(signed.encode()))

    def jws(self, typ: str, claims: dict) -> str:
        return ".".join(self.sign(self.header(typ), compact(claims)))


def verify(jwk: dict, typ: str, signed: str, signature: str) -> dict:
    """The payload of a JWS under this key, or an error."""
    header, payload = (json.loads(unb64(part)) for part in signed.split("."))
    if "crit" in header or header["typ"] != typ or header["alg"] != "EdDSA" or header["kid"] != thumbprint(jwk):
        raise ValueError("a header of another use")
    try:
        Ed25519PublicKey.from_public_bytes(unb64(jwk["x"])).verify(unb64(signature), signed.encode())
    except InvalidSignature as error:
        raise ValueError("the signature does not verify") from error
    return payload


# -- section 3: entries ------------------------------------------------------------


def signing_input(wire: dict) -> str:
    return f"{b64(wire['header'].encode())}.{b64(wire['payload'].encode())}"


def hash_of(wire: dict) -> str:
    return b64(hashlib.sha256(signing_input(wire).encode()).digest())


def news_of(answer: dict) -> str:
    """Section 7: what a receipt calls the items and the cursor that came with it."""
    digest = hashlib.sha256()
    for item in answer.get("items", []):
        digest.update(item["number"].to_bytes(8, "big"))
        wire = item["entry"]
        text = "~".join([f"{signing_input(wire)}.{wire['signature']}", *map(lambda one: b64(one.encode()), wire["disclosures"]), ""])
        digest.update(hashlib.sha256(text.encode()).digest())
    digest.update((answer.get("cursor") or "").encode())
    return b64(digest.digest())


def disclose(name: str, value) -> tuple[str, str]:
    """A disclosure's text and its digest."""
    text = compact([b64(secrets.token_bytes(16)), name, value])
    return text, b64(hashlib.sha256(b64(text.encode()).encode()).digest())


def read_decision(jwk: dict, wire: dict) -> dict:
    """The payload of a decision with the disclosed members of its body in place."""
    payload = verify(jwk, DECISION, signing_input(wire), wire["signature"])
    body = payload["body"]
    withheld = set(body.pop("_sd", []))
    top = set(payload.get("_sd", []))
    for text in wire["disclosures"]:
        digest = b64(hashlib.sha256(b64(text.encode()).encode()).digest())
        _, name, value = json.loads(text)
        if digest in withheld and name not in body and name not in ("_sd", "..."):
            body[name] = value
            withheld.remove(digest)
        elif digest in top:
            top.remove(digest)
        else:
            raise ValueError("a disclosure that nobody signed")
    return payload


def clocks() -> dict:
    wall = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return {"boot": boot, "uptime": int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000), "wall": wall}


# -- the phone's own disk ----------------------------------------------------------

SCHEMA = """
CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS entries (at INTEGER PRIMARY KEY, hash TEXT UNIQUE NOT NULL, journal TEXT NOT NULL,
    seq INTEGER NOT NULL, subject TEXT NOT NULL, kind TEXT NOT NULL, wire TEXT NOT NULL, UNIQUE (journal, seq));
CREATE TABLE IF NOT EXISTS delivered (hash TEXT, epoch TEXT, number INTEGER, outcome TEXT, PRIMARY KEY (hash, epoch));
CREATE TABLE IF NOT EXISTS items (at INTEGER PRIMARY KEY, hash TEXT UNIQUE NOT NULL, epoch TEXT NOT NULL,
    number INTEGER NOT NULL, subject TEXT NOT NULL, wire TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS receipts (compact TEXT PRIMARY KEY, epoch TEXT, number INTEGER, chain TEXT);
CREATE TABLE IF NOT EXISTS files (sha256 TEXT, entry TEXT, path TEXT NOT NULL, size INTEGER NOT NULL,
    complete TEXT, durable INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (sha256, entry));
"""


class Client:
    def __init__(self, home: pathlib.Path):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.db = sqlite3.connect(home / "phone.sqlite", isolation_level=None)
        self.db.execute("PRAGMA synchronous = FULL")
        self.db.executescript(SCHEMA)
        self.told = {"stored": 0, "already_stored": 0, "held": 0, "quarantined": 0, "refused": 0, "items": 0,
                     "files": 0, "bytes": 0, "new_epoch": False, "warnings": []}
        self.hand_in = None  # a receipt for the next exchange
        self.heard = None  # (the server's time, our monotonic clock then)
        secret = self.get("key")
        if secret is None:
            raw = Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
            self.put("key", secret := b64(raw))
        self.key = DeviceKey(unb64(secret))

    def get(self, name: str) -> str | None:
        row = self.db.execute("SELECT value FROM kept WHERE name = ?", (name,)).fetchone()
        return row and row[0]

    def put(self, name: str, value: str | None) -> None:
        if value is None:
            self.db.execute("DELETE FROM kept WHERE name = ?", (name,))
        else:
            self.db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (name, value))

    def link(self) -> dict:
        link = self.get("link") or fail("not enrolled")
        url = urllib.parse.urlsplit(link)
        if url.scheme != "https" and url.hostname not in ("127.0.0.1", "::1", "localhost"):
            fail("plain HTTP to another machine")
        before = url.path.removesuffix("/enrol")
        return dict(urllib.parse.parse_qsl(url.fragment)) | {"origin": (url.scheme, url.netloc, before)}

    # -- section 5: the journal

    def sign(self, kind: str, subject: str, base: str | None, clear: dict, disclosed: dict, file=None) -> dict:
        at, at_digest = disclose("at", clocks())
        texts, digests = [at], []
        for name, value in disclosed.items():
            text, digest = disclose(name, value)
            texts.append(text)
            digests.append(digest)
        self.db.execute("BEGIN IMMEDIATE")
        journal = self.get("journal")
        if journal is None:
            self.put("journal", journal := str(uuid.uuid4()))
        last = self.db.execute(
            "SELECT seq, hash FROM entries WHERE journal = ? ORDER BY seq DESC LIMIT 1", (journal,)).fetchone()
        payload = {
            "v": 1, "mission": self.link()["mission"], "journal": journal, "seq": last[0] + 1 if last else 1,
            "subject": subject, "kind": kind, "_sd_alg": "sha-256", "_sd": [at_digest],
            "body": clear | ({"_sd": sorted(digests)} if digests else {}),
        }
        payload |= ({"prev": last[1]} if last else {}) | ({"base": base} if base else {})
        header, text = self.key.header(ENTRY), compact(payload)
        _, signature = self.key.sign(header, text)
        wire = {"header": header, "payload": text, "signature": signature, "disclosures": texts}
        name = hash_of(wire)
        self.db.execute("INSERT INTO entries (hash, journal, seq, subject, kind, wire) VALUES (?, ?, ?, ?, ?, ?)",
                        (name, journal, payload["seq"], subject, kind, compact(wire)))
        if file:
            self.db.execute("INSERT INTO files (sha256, entry, path, size) VALUES (?, ?, ?, ?)",
                            (file["sha256"], name, file["path"], file["size"]))
        self.db.execute("COMMIT")
        return {"report": subject, "entry": name}

    def newest(self, report: str) -> str:
        row = self.db.execute("SELECT hash FROM entries WHERE subject = ? ORDER BY at DESC LIMIT 1", (report,)).fetchone()
        return row[0] if row else fail("no such report here")

    # -- HTTP

    def call(self, method: str, path: str, body: bytes | None, headers: dict) -> tuple[int, http.client.HTTPMessage, bytes]:
        scheme, place, before = self.link()["origin"]
        if scheme == "https":
            connection = http.client.HTTPSConnection(place, timeout=60, context=ssl.create_default_context())
        else:
            connection = http.client.HTTPConnection(place, timeout=60)
        try:
            connection.request(method, before + path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise NotNow(f"no answer: {error!r}") from error
        finally:
            connection.close()

    def ask(self, path: str, body: bytes, headers: dict) -> dict:
        """A request that is answered with JSON. Whatever is not the server's own answer is a network failure."""
        status, headers, answer = self.call("POST", path, body, {"Accept-Encoding": "gzip"} | headers)
        kind = headers.get_content_type()
        try:
            if headers.get("Content-Encoding") == "gzip":
                answer = gzip.decompress(answer)
            value = json.loads(answer)
            if status == 200 and kind == "application/json" and isinstance(value, dict):
                return value
            if status >= 400 and kind == "application/problem+json" and isinstance(value, dict) and "code" in value:
                raise Problem(status, value, headers.get("Retry-After"))
        except (ValueError, OSError, EOFError) as error:
            raise NotNow(f"not this server's answer: {error}") from error
        raise NotNow(f"not this server's answer: {status} {kind}")

    # -- section 8: enrolment

    def enrol(self) -> None:
        link = self.link()
        proof = self.key.jws(PROOF, {"code": link["code"], "aud": link["key"]})
        asked = compact({"code": link["code"], "key": self.key.jwk, "proof": proof})
        answer = self.ask("/v1/enrolments", asked.encode(), {"Content-Type": "application/json"})
        if thumbprint(answer["receipt_key"]) != link["key"] or answer["mission"]["id"] != link["mission"]:
            fail("another server than the link's answered")
        self.hear(answer["server_time"])
        self.db.execute("BEGIN IMMEDIATE")
        self.put("enrolment", compact(answer))
        self.put("epoch", answer["epoch"])
        self.db.execute("COMMIT")

    def receipt_key(self) -> dict:
        return json.loads(self.get("enrolment"))["receipt_key"]

    def hear(self, text: str) -> None:
        self.heard = (datetime.datetime.fromisoformat(text).timestamp(), time.monotonic())

    # -- section 6: exchange

    def exchange(self, entries: list[dict], returned: list[dict], token: str | None) -> dict:
        epoch = self.get("epoch")
        former = [
            {"hash": hash_of(wire), "epoch": then, "number": number}
            for wire in entries + returned
            for then, number in self.numbers(hash_of(wire), epoch)
        ]
        waiting = self.undelivered(set(map(hash_of, entries)))
        heads = self.db.execute("SELECT journal, max(seq) FROM entries GROUP BY journal").fetchall()
        request = {
            "protocol": 1, "app": "stranger/1", "clock": clocks(), "entries": entries,
            "journals": [{"journal": journal, "head": head, "pending": sum(row[1] == journal for row in waiting)}
                         for journal, head in heads],
        }
        highest = self.highest(epoch)
        request |= {"cursor": self.get("cursor")} if self.get("cursor") else {}
        request |= {"seen": {"epoch": epoch, "number": highest[1], "chain": highest[2]}} if highest else {}
        request |= {"receipt": self.hand_in} if self.hand_in else {}
        request |= ({"returned": returned} if returned else {}) | ({"former": former} if former else {})
        critical = any('"severity":"critical"' in wire["payload"] for wire in entries)
        lane = "critical" if critical else "text" if entries or returned else "news"
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip", "Scrutineer-Lane": lane}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        answer = self.ask("/v1/exchange", gzip.compress(compact(request).encode()), headers)
        if answer.get("protocol") != 1:
            raise NotNow("not this server's answer: no protocol")
        self.take(answer)
        return answer

    def numbers(self, name: str, epoch: str | None) -> list:
        """The numbers that an entry had in histories that ended."""
        return self.db.execute(
            "SELECT epoch, number FROM (SELECT hash, epoch, number FROM delivered WHERE number IS NOT NULL"
            " UNION SELECT hash, epoch, number FROM items) WHERE hash = ? AND epoch <> ?", (name, epoch)).fetchall()

    def highest(self, epoch: str | None):
        return self.db.execute("SELECT compact, number, chain FROM receipts WHERE epoch = ?"
                               " ORDER BY number DESC LIMIT 1", (epoch,)).fetchone()

    def take(self, answer: dict) -> None:
        """All that an answer brings, in one transaction."""
        self.hear(answer["server_time"])
        self.hand_in = None
        epoch, before = answer["epoch"], self.get("epoch")
        named = self.read_receipt(answer)
        self.db.execute("BEGIN IMMEDIATE")
        if epoch != before:
            last = self.highest(epoch) or self.highest(before)
            self.hand_in = last and last[0]
            self.put("epoch", epoch)
            self.put("cursor", None)
            self.told["new_epoch"] = True
        elif answer.get("receipt_wanted"):
            last = self.highest(epoch)
            self.hand_in = last and last[0]
        if named is not None:
            self.keep_receipt(answer["receipt"], epoch, named["head"])
        proved = {one["hash"]: one["number"] for one in named["entries"]} if named else {}
        for outcome in answer["outcomes"]:
            name, what = outcome["hash"], outcome["outcome"]
            if what in DELIVERED and name not in proved:
                self.told["warnings"].append(f"{name} is called {what} without a receipt")
                continue
            self.told[what] = self.told.get(what, 0) + 1
            self.db.execute("INSERT OR REPLACE INTO delivered VALUES (?, ?, ?, ?)",
                            (name, epoch, proved.get(name), outcome.get("code") or what))
            if outcome.get("fork"):
                self.put("journal", str(uuid.uuid4()))
        if named is not None and named.get("news", news_of(answer)) != news_of(answer):
            self.told["warnings"].append("items or cursor are not what the receipt names")
            answer = answer | {"items": [], "cursor": None, "more": False}
        for item in answer.get("items", []):
            try:
                decision = read_decision(self.receipt_key(), item["entry"])
            except (ValueError, KeyError, TypeError) as error:
                self.told["warnings"].append(f"an item that proves nothing: {error}")
                continue
            name = hash_of(item["entry"])
            new = self.db.execute("SELECT 1 FROM items WHERE hash = ?", (name,)).fetchone() is None
            self.told["items"] += new
            self.db.execute("INSERT INTO items (hash, epoch, number, subject, wire) VALUES (?, ?, ?, ?, ?)"
                            " ON CONFLICT (hash) DO UPDATE SET epoch = excluded.epoch, number = excluded.number",
                            (name, epoch, item["number"], decision["subject"], compact(item["entry"])))
        if answer.get("cursor"):
            self.put("cursor", answer["cursor"])
        self.db.execute("COMMIT")

    def read_receipt(self, answer: dict) -> dict | None:
        """Section 7: what the server signed, if it proves anything."""
        if not answer.get("receipt"):
            return None
        try:
            signed, signature = answer["receipt"].rsplit(".", 1)
            receipt = verify(self.receipt_key(), RECEIPT, signed, signature)
            if (receipt["v"], receipt["mission"], receipt["epoch"]) != (1, self.link()["mission"], answer["epoch"]):
                raise ValueError("a receipt of something else")
            return receipt
        except (ValueError, KeyError, TypeError) as error:
            self.told["warnings"].append(f"a receipt that proves nothing: {error}")
            return None

    def keep_receipt(self, text: str, epoch: str, head: dict) -> None:
        highest = self.highest(epoch)
        if highest and (head["number"] < highest[1] or (head["number"] == highest[1] and head["chain"] != highest[2])):
            self.told["warnings"].append(f"the ledger went back from {highest[1]} to {head['number']}, or changed")
        self.db.execute("INSERT OR IGNORE INTO receipts VALUES (?, ?, ?, ?)", (text, epoch, head["number"], head["chain"]))

    def undelivered(self, skip: set) -> list:
        """(hash, journal, wire) of what the present history lacks, critical reports first."""
        rows = self.db.execute(
            "SELECT e.hash, e.journal, e.wire, e.subject IN (SELECT subject FROM entries"
            " WHERE wire LIKE '%\\\"severity\\\":\\\"critical\\\"%') AS critical FROM entries e"
            " LEFT JOIN delivered d ON d.hash = e.hash AND d.epoch = ? AND d.number IS NOT NULL"
            " WHERE d.hash IS NULL ORDER BY critical DESC, e.at", (self.get("epoch"),)).fetchall()
        return [row[:3] for row in rows if row[0] not in skip]

    def to_return(self, skip: set) -> list[dict]:
        """What the server signed in histories that ended: the enrolment first."""
        epoch, enrolment = self.get("epoch"), json.loads(self.get("enrolment"))
        wires = [enrolment["entry"]] if enrolment["epoch"] != epoch else []
        wires += [json.loads(row[0]) for row in self.db.execute("SELECT wire FROM items WHERE epoch <> ? ORDER BY number", (epoch,))]
        there = {row[0] for row in self.db.execute(
            "SELECT hash FROM delivered WHERE epoch = ? AND number IS NOT NULL", (epoch,))}
        return [wire for wire in wires if hash_of(wire) not in there | skip]

    def send_entries(self) -> None:
        tried, size, first, offered_to = set(), BATCH, True, self.get("epoch")
        while True:
            batch = [json.loads(wire) for _, _, wire in self.undelivered(tried)][:size]
            returned = self.to_return(tried)[:BATCH]
            if not (batch or returned or self.hand_in or first):
                return
            try:
                answer = self.exchange(batch, returned, None)
                first = False
                # In a new history all is offered anew; otherwise each once in a run.
                if answer["epoch"] != offered_to:
                    tried, offered_to = set(), answer["epoch"]
                else:
                    tried |= {one["hash"] for one in answer["outcomes"]}
            except Problem as problem:
                blames = problem.status in (400, 413) or problem.status == 500
                if not blames or not batch:
                    raise
                if len(batch) == 1:
                    tried.add(hash_of(batch[0]))
                    self.told["warnings"].append(f"{hash_of(batch[0])} is kept and not taken: {problem}")
                size = max(1, len(batch) // 2)

    # -- section 9: tokens

    def fresh_token(self) -> str:
        server, then = self.heard
        now = int(server + time.monotonic() - then)
        claims = {
            "iss": self.key.kid, "sub": self.key.kid, "aud": f"urn:scrutineer:server:{self.link()['key']}",
            "iat": now, "exp": now + 120, "jti": b64(secrets.token_bytes(16)),
        }
        form = urllib.parse.urlencode({"grant_type": GRANT, "assertion": self.key.jws(ASSERTION, claims)})
        return self.ask("/v1/token", form.encode(), {"Content-Type": "application/x-www-form-urlencoded"})["access_token"]

    # -- section 10: evidence

    def upload_of(self, method: str, sha256: str, token: str, body: bytes | None = None, **more: str):
        headers = {"Authorization": f"Bearer {token}", "Tus-Resumable": "1.0.0", "Scrutineer-Lane": "files"}
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        status, answer, text = self.call(method, f"/v1/evidence/{sha256}", body, headers)
        if answer.get("Tus-Resumable") != "1.0.0":
            if answer.get_content_type() == "application/problem+json":
                raise Problem(status, json.loads(text or b"{}"), answer.get("Retry-After"))
            raise NotNow(f"not this server's answer: {status}")
        return status, answer, text

    def send_file(self, row: tuple, token: str) -> None:
        sha256, path, size = row
        failures, rehashed = 0, False
        while True:
            try:
                status, answer, _ = self.upload_of("HEAD", sha256, token)
                if status != 200:
                    self.told["warnings"].append(f"{path} waits: {status}")
                    return
                offset = int(answer["Upload-Offset"])
                while offset < int(answer["Upload-Length"]):
                    with open(path, "rb") as file:
                        file.seek(offset)
                        part = file.read(CHUNK)
                    status, sent, text = self.upload_of(
                        "PATCH", sha256, token, part, Upload_Offset=str(offset),
                        Content_Type="application/offset+octet-stream")
                    if status == 460 and not rehashed:
                        rehashed = True
                        if hash_file(path)[0] != sha256:
                            self.told["warnings"].append(f"{path} has changed since it was attached")
                            return
                    elif status not in (204, 409):
                        raise Problem(status, json.loads(text or b"{}"), sent.get("Retry-After"))
                    if status == 204:
                        self.told["bytes"] += int(sent["Upload-Offset"]) - offset
                        answer.replace_header("Evidence-Durable", sent.get("Evidence-Durable", "false"))
                        failures = 0
                    offset = int(sent["Upload-Offset"])
                break
            except NotNow:
                failures += 1
                if failures == 3:
                    raise
        self.told["files"] += 1
        self.db.execute("UPDATE files SET complete = ?, durable = ? WHERE sha256 = ?",
                        (self.get("epoch"), answer["Evidence-Durable"] == "true", sha256))

    def sync(self) -> None:
        if self.get("enrolment") is None:
            self.enrol()
        self.send_entries()
        token = self.fresh_token()
        while True:
            before = self.get("cursor")
            answer = self.exchange([], [], token)
            if answer.get("token"):
                raise NotNow(f"the token was not taken: {answer['token']}")
            if self.hand_in or self.to_return(set()):
                self.send_entries()
            if not answer.get("more") or self.get("cursor") == before:
                break
        epoch = self.get("epoch")
        for row in self.db.execute(
                "SELECT DISTINCT f.sha256, f.path, f.size FROM files f JOIN delivered d ON d.hash = f.entry"
                " AND d.epoch = ? AND d.number IS NOT NULL WHERE f.complete IS NULL OR f.complete <> ?",
                (epoch, epoch)).fetchall():
            self.send_file(row, token)

    def show(self) -> list:
        reports = {}
        for name, subject, kind in self.db.execute("SELECT hash, subject, kind FROM entries ORDER BY at"):
            report = reports.setdefault(subject, {"report": subject, "status": "waiting", "entries": [], "questions": []})
            row = self.db.execute("SELECT number, outcome FROM delivered WHERE hash = ? AND epoch = ?",
                                  (name, self.get("epoch"))).fetchone()
            report["entries"].append({"entry": name, "kind": kind, "number": row and row[0], "outcome": row and row[1]})
            if kind == "file" and row and row[0]:
                report["status"] = "received"
        for name, subject, wire in self.db.execute("SELECT hash, subject, wire FROM items ORDER BY number"):
            decision = read_decision(self.receipt_key(), json.loads(wire))
            if decision["kind"] == "decide" and subject in reports:
                reports[subject]["status"] = decision["body"]["to"]
                if decision["body"].get("question"):
                    reports[subject]["questions"].append({"entry": name, "text": decision["body"]["question"]})
        return list(reports.values())

    def question(self, report: str) -> str:
        asked = [one["questions"] for one in self.show() if one["report"] == report]
        return asked[0][-1]["entry"] if asked and asked[0] else fail("nobody asked")


def hash_file(path: str) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
            size += len(part)
    return b64(digest.digest()), size


def fail(words: str):
    print(json.dumps({"error": words}), file=sys.stderr)
    sys.exit(1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=pathlib.Path)
    commands = parser.add_subparsers(dest="command", required=True)
    shapes = {
        "enrol": ["link"], "file": ["--category", "--severity", "--station", "--text"],
        "amend": ["report", "--text", "--severity"], "answer": ["report", "--text"],
        "attach": ["report", "path", "--media-type"], "sync": [], "show": [], "fetch": ["sha256", "path"],
    }
    for name, members in shapes.items():
        command = commands.add_parser(name)
        for member in members:
            command.add_argument(member)
    return parser.parse_args()


def run(client: Client, wanted: argparse.Namespace):
    given = {name: value for name, value in vars(wanted).items() if value is not None}

    def some(*names: str) -> dict:
        return {name: given[name] for name in names if name in given}

    match wanted.command:
        case "enrol":
            client.put("link", wanted.link)
            client.enrol()
            return {"enrolled": json.loads(client.get("enrolment"))["accreditation"]}
        case "file":
            return client.sign("file", str(uuid.uuid4()), None, some("category", "severity"), some("text", "station"))
        case "amend":
            return client.sign("amend", wanted.report, client.newest(wanted.report), some("severity"), some("text"))
        case "answer":
            return client.sign("answer", wanted.report, client.newest(wanted.report),
                               {"question": client.question(wanted.report)}, some("text"))
        case "attach":
            path = os.path.realpath(wanted.path)
            sha256, size = hash_file(path)
            file = {"sha256": sha256, "size": size, "media_type": wanted.media_type}
            said = client.sign("attach", wanted.report, client.newest(wanted.report), {"file": file}, {},
                               {"sha256": sha256, "size": size, "path": path})
            return said | {"sha256": sha256}
        case "sync":
            client.sync()
            return client.told | {"pending": len(client.undelivered(set()))}
        case "show":
            return client.show()
        case "fetch":
            client.exchange([], [], None)
            status, _, body = client.call("GET", f"/v1/evidence/{wanted.sha256}", None,
                                          {"Authorization": f"Bearer {client.fresh_token()}"})
            if status != 200 or b64(hashlib.sha256(body).digest()) != wanted.sha256:
                fail(f"not the file: {status}")
            pathlib.Path(wanted.path).write_bytes(body)
            return {"size": len(body)}


def main() -> None:
    wanted = arguments()
    client = Client(wanted.home)
    try:
        print(json.dumps(run(client, wanted), ensure_ascii=False))
    except (NotNow, Problem) as error:
        print(json.dumps({"error": str(error)} | client.told), file=sys.stderr)
        sys.exit(1)


main()
