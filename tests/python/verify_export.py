#!/usr/bin/env python3
"""Reads an export with programs that share no code with Scrutineer.

    verify_export.py CSV GEOJSON JSONL

pandas reads the CSV, json the GeoJSON and the JSON Lines; joserfc and sd-jwt each verify every
entry, hashlib its hash. All three files must tell of the same reports. Ends with a line
`verified …`; the first thing that is not right ends it with a traceback.
"""

import base64
import hashlib
import json
import math
import pathlib
import sys
import warnings

import pandas
from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, OKPKey
from jwcrypto.jwk import JWK
from sd_jwt.verifier import SDJWTVerifier

warnings.simplefilter("ignore", SecurityWarning)
TYPES = {"scrutineer-entry+sd-jwt", "scrutineer-decision+sd-jwt"}
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def check(condition, *what):
    if not condition:
        raise AssertionError(*what)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verify(entry):
    sd_jwt, signer = entry["sd_jwt"], entry["signer"]
    key = (ECKey if signer["jwk"]["kty"] == "EC" else OKPKey).import_key(signer["jwk"])
    check(key.thumbprint() == signer["kid"], "kid", entry)
    token = sd_jwt.split("~")[0]
    signed = jws.deserialize_compact(token, key, algorithms=["EdDSA", "ES256"])
    header = signed.headers()
    check(header["typ"] in TYPES and header["kid"] == signer["kid"], "header", header)
    check(b64(hashlib.sha256(token.rsplit(".", 1)[0].encode()).digest()) == entry["hash"], "hash")
    # One bit more, and it must not verify.
    broken = token[:-3] + ("A" if token[-3] != "A" else "B") + token[-2:]
    try:
        jws.deserialize_compact(broken, key, algorithms=["EdDSA", "ES256"])
    except (JoseError, ValueError):
        pass
    else:
        raise AssertionError("a changed signature verifies", entry)
    claims = SDJWTVerifier(sd_jwt, lambda *_: JWK(**signer["jwk"])).get_verified_payload()
    check(claims["kind"] == entry["kind"], "kind", claims)
    return claims


def text_of(claims):
    return claims["body"].get("text")


def main():
    csv, geojson, jsonl = map(pathlib.Path, sys.argv[1:])
    lines = [json.loads(line) for line in jsonl.read_text(encoding="utf-8").split("\n") if line]
    by_id = {line["report"]: line for line in lines}
    check(lines and len(by_id) == len(lines), "reports stand once")
    numbers = [line["number"] for line in lines]
    check(numbers == sorted(numbers), "order")
    entries = 0
    for line in lines:
        text = None
        for entry in line["entries"]:
            claims = verify(entry)
            entries += 1
            check(claims["subject"] == line["report"] and claims["mission"] == line["mission"], "subject")
            if entry["standing"] == "applied" and entry["kind"] in ("file", "amend"):
                text = text_of(claims) if text_of(claims) is not None else text
        if not line["erased"]:
            check(line["text"] == (text.replace("\0", "\ufffd") if text is not None else None), "text", line["text"], text)

    frame = pandas.read_csv(csv, dtype=str, keep_default_na=False, encoding="utf-8")
    check(list(frame["report"]) == [line["report"] for line in lines], "the CSV's rows")
    for row in frame.to_dict("records"):
        for name, cell in row.items():
            numeric = name in ("lat", "lon", "accuracy_m")
            check(numeric or not cell.startswith(FORMULA), "a formula", name, cell)
        check(row["status"] == by_id[row["report"]]["status"], "status", row)
    for name in ("received_at", "updated_at"):
        pandas.to_datetime(frame[name], utc=True, format="ISO8601")
    plain = frame[frame["text"].str.match(r"^[A-Za-z]")]
    for row in plain.to_dict("records"):
        words = (by_id[row["report"]]["text"] or "").replace("\r\n", "\n")
        check(row["text"].replace("\r\n", "\n") == words, "text", row["text"], words)

    collection = json.loads(geojson.read_text(encoding="utf-8"))
    check(collection["type"] == "FeatureCollection", "GeoJSON")
    places = 0
    for feature in collection["features"]:
        line = by_id[feature["id"]]
        if feature["geometry"] is None:
            continue
        places += 1
        lon, lat = feature["geometry"]["coordinates"]
        check(math.isclose(lon, line["lon"]) and math.isclose(lat, line["lat"]), "place", feature)
    check(len(collection["features"]) == len(lines), "every report is a feature")
    print(f"verified {len(lines)} reports, {entries} entries, {places} places")


if __name__ == "__main__":
    main()
