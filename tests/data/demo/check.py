#!/usr/bin/env python3
"""Checks the files of this folder against each other and prints counts."""
import collections
import csv
import json
import math
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
SOURCES = HERE.parent / "sources"
NEXT = {
    "received": {"in_review"},
    "in_review": {"verified", "not_verified", "dismissed", "needs_info"},
    "needs_info": {"in_review"},
}
SEVERITIES = {"low", "medium", "high", "critical"}


def read(path):
    with open(path, encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f))
    assert all(None not in r and None not in r.values() for r in rows), path
    return rows


for path in sorted(HERE.iterdir()):
    if path.is_file():
        data = path.read_bytes()
        data.decode("utf-8")
        assert not data.startswith(b"\xef\xbb\xbf") and b"\r" not in data and data.endswith(b"\n"), path

incidents = {r["id"]: r for r in read(SOURCES / "incidents.csv")}
source_categories = {r["code"]: r for r in read(SOURCES / "categories.csv")}
stations = {r["code"]: r for r in read(HERE / "stations.csv")}
assert len(stations) == len(read(HERE / "stations.csv")) == 6478
generated = [r for r in stations.values() if r["generated"] == "true"]
named = [r for r in stations.values() if r["generated"] == "false"]
assert len(generated) + len(named) == 6478
assert all(r["lat"] and r["lon"] and int(r["registered_voters"]) > 0 for r in generated)
assert not any(r["lat"] or r["lon"] or r["registered_voters"] for r in named)
for r in incidents.values():
    if r["station_no"]:
        assert stations[f"{r['constituency_no']}-{r['station_no']}"]["generated"] == "false", r
per = collections.Counter(int(r["constituency_no"]) for r in stations.values())
assert sorted(per) == list(range(1, 126))
for no, n in per.items():
    assert all(f"{no}-{i}" in stations for i in range(1, n + 1)), no
middle = {int(r["no"]): r for r in read(SOURCES / "constituencies.csv")}
far = 0.0
for r in generated:
    c = middle[int(r["constituency_no"])]
    if c["lat"]:
        dy = (float(r["lat"]) - float(c["lat"])) * 111.2
        dx = (float(r["lon"]) - float(c["lon"])) * 111.2 * math.cos(math.radians(float(c["lat"])))
        far = max(far, math.hypot(dx, dy))
assert far <= 15
sizes = [int(r["registered_voters"]) for r in generated]
print(f"stations {len(stations)} (named in the sources {len(named)}), per constituency "
      f"{min(per.values())} to {max(per.values())}, voters {sum(sizes)} "
      f"({min(sizes)} to {max(sizes)} a station), farthest {far:.1f} km")

categories = {r["code"]: r for r in read(HERE / "categories.csv")}
assert set(categories) == {k for k, r in source_categories.items() if r["stage"] != "commission"}
assert all(r["severity"] in SEVERITIES and r["label_en"] and r["label_az"] and r["label_ru"]
           for r in categories.values())
print("categories", len(categories), dict(collections.Counter(r["severity"] for r in categories.values())))

observers = {r["number"]: r for r in read(HERE / "accreditations.csv")}
for r in observers.values():
    assert r["kind"] in {"domestic", "international"} and re.fullmatch("[A-Z]{2}", r["country"])
    assert all(s in stations for s in r["stations"].split(";") if s), r
print("observers", len(observers), dict(collections.Counter(r["kind"] for r in observers.values())))

unlisted = 0
for mission in ("presidential", "parliamentary"):
    state, withdrawn, acts, who = {}, set(), collections.Counter(), set()
    open_question, geo, nowhere = set(), 0, 0
    for line in (HERE / f"{mission}.jsonl").read_text(encoding="utf-8").splitlines():
        a = json.loads(line)
        inc, act = a["incident"], a["act"]
        acts[act] += 1
        row = incidents[inc]
        assert row["election"] == f"az_2024_{mission}" and row["reporter_type"] != "election_commission"
        if act == "file":
            assert inc not in state
            state[inc] = "received"
            assert a["observer"] in observers and a["category"] in categories
            assert a.get("severity", "low") in SEVERITIES
            assert row["source_url"] in a["text"]
            who.add(a["observer"])
            nowhere += a["station"] is None
            if a["station"] is not None and a["station"] not in stations:
                unlisted += 1
                assert "sample" in a["text"].split("\n")[-1] and a["station"] in a["text"]
            assert a["at"] is None or re.fullmatch(r"2024-\d\d-\d\dT\d\d:\d\d:00\+04:00", a["at"])
            assert ("lat" in a) == ("lon" in a)
            geo += "lat" in a
            continue
        assert inc in state and inc not in withdrawn, a
        if act == "amend":
            assert state[inc] == "received" and "(sample amendment)" in a["text"]
        elif act == "withdraw":
            assert state[inc] == "received" and "(sample)" in a["reason"]
            withdrawn.add(inc)
        elif act == "answer":
            assert state[inc] == "needs_info" and a["text"]
            open_question.discard(inc)
        else:
            assert act == "decide" and a["to"] in NEXT[state[inc]], a
            assert inc not in open_question, a
            if a["to"] == "needs_info":
                assert a["question"]
                open_question.add(inc)
            elif a["to"] != "in_review":
                assert a["reason"].startswith("Sample decision")
            state[inc] = a["to"]
    wanted = {i for i, r in incidents.items() if r["election"] == f"az_2024_{mission}"
              and r["reporter_type"] != "election_commission" and r["category"] in categories}
    assert set(state) == wanted, set(state) ^ wanted
    assert len(who) >= 8 and not open_question
    final = collections.Counter("withdrawn" if i in withdrawn else s for i, s in state.items())
    print(f"{mission}: {sum(acts.values())} actions {dict(acts)}; ends {dict(final)}; "
          f"{len(who)} observers, {geo} with a position, {nowhere} without a station")
assert unlisted == 1
print("all checks passed")
