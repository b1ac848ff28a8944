#!/usr/bin/env python3
"""Writes stations.csv, categories.csv, presidential.jsonl and parliamentary.jsonl.

Reads ../sources/*.csv and, beside this file, labels.csv and script.csv.
Standard library only. The same input gives the same bytes.

Only random.random() is used, as its sequence for a seed does not change
between Python versions.
"""
import csv
import io
import json
import math
import pathlib
import random

HERE = pathlib.Path(__file__).resolve().parent
SOURCES = HERE.parent / "sources"

STATIONS = 6478      # figures.csv: polling stations, 1 September 2024
VOTERS = 6421960     # figures.csv: registered voters, 1 September 2024
# figures.csv: station counts that were published for single constituencies,
# and 210 stations in the six constituencies of Sumgait.
COUNTS = {22: 38, 80: 127, 122: 16, **{no: 35 for no in range(42, 48)}}
# Registered voters that were published for these constituencies.
VOTERS_OF = {(80,): 46822, (122,): 6693, tuple(range(42, 48)): 273698}
# Stations that incidents.csv names only in the text of a summary.
NAMED_IN_TEXT = {
    "INC-0014": [(71, 13)],
    "INC-0066": [(82, 41), (82, 42), (82, 44), (82, 45)],
    "INC-0087": [(7, n) for n in range(11, 16)],
    "INC-0109": [(6, 3)],
    "INC-0114": [(27, 5)],
}
# Coarse outlines (lon, lat), drawn a little inside the border and the coast,
# only to keep generated places on land.
LAND = [
    [(48.55, 41.80), (48.70, 41.72), (48.80, 41.45), (49.00, 41.22),
     (49.14, 41.07), (49.32, 40.87), (49.50, 40.70), (49.68, 40.62),
     (49.69, 40.57), (49.80, 40.53), (50.02, 40.56), (50.15, 40.51),
     (50.30, 40.38), (50.30, 40.33), (50.20, 40.36), (50.05, 40.36),
     (49.97, 40.35), (49.90, 40.37), (49.86, 40.373), (49.845, 40.35),
     (49.83, 40.325), (49.80, 40.31), (49.70, 40.33), (49.48, 40.20),
     (49.38, 39.98), (49.36, 39.60), (49.36, 39.37), (49.26, 39.34),
     (49.10, 39.30), (48.95, 39.22), (48.86, 38.90), (48.855, 38.74),
     (48.84, 38.48), (48.60, 38.46), (48.32, 38.62), (48.08, 38.85),
     (48.20, 39.20), (48.36, 39.40), (48.02, 39.68), (47.75, 39.60),
     (47.38, 39.47), (47.08, 39.28), (46.95, 39.19), (46.72, 39.05),
     (46.56, 38.93), (46.56, 39.20), (46.46, 39.45), (46.25, 39.62),
     (46.00, 39.90), (45.95, 40.08), (46.02, 40.27), (45.90, 40.40),
     (45.68, 40.55), (45.50, 40.78), (45.42, 40.98), (45.20, 41.10),
     (45.10, 41.22), (45.30, 41.32), (45.65, 41.20), (45.95, 41.15),
     (46.45, 41.08), (46.70, 41.25), (46.60, 41.40), (46.38, 41.60),
     (46.35, 41.78), (46.60, 41.78), (46.85, 41.70), (47.10, 41.52),
     (47.30, 41.28), (47.75, 41.16), (47.95, 41.20), (48.10, 41.45),
     (48.40, 41.53), (48.50, 41.65)],
    [(44.85, 39.70), (44.95, 39.52), (45.12, 39.36), (45.32, 39.18),
     (45.44, 39.11), (45.60, 38.95), (45.85, 38.90), (46.05, 38.89),
     (46.12, 39.00), (45.95, 39.22), (45.78, 39.40), (45.55, 39.50),
     (45.30, 39.48), (45.12, 39.62), (44.95, 39.72)],
]


def read(path):
    with open(path, encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


def write(name, text):
    (HERE / name).write_bytes(text.encode("utf-8"))


def to_csv(header, rows):
    out = io.StringIO()
    w = csv.writer(out, lineterminator="\n")
    w.writerow(header)
    w.writerows(rows)
    return out.getvalue()


def on_land(lat, lon):
    for ring in LAND:
        inside = False
        for (x1, y1), (x2, y2) in zip(ring, ring[1:] + ring[:1]):
            if (y1 > lat) != (y2 > lat) and lon < (x2 - x1) * (lat - y1) / (y2 - y1) + x1:
                inside = not inside
        if inside:
            return True
    return False


def share(total, weights):
    """Whole numbers in proportion to the weights that add up to total."""
    whole = sum(weights)
    exact = [total * w / whole for w in weights]
    parts = [int(e) for e in exact]
    by_rest = sorted(range(len(weights)), key=lambda i: (parts[i] - exact[i], i))
    for i in by_rest[: total - sum(parts)]:
        parts[i] += 1
    return parts


def named_stations(incidents):
    named = set()
    for row in incidents:
        if row["constituency_no"] and row["station_no"]:
            named.add((int(row["constituency_no"]), int(row["station_no"])))
        for place in NAMED_IN_TEXT.get(row["id"], []):
            named.add(place)
    return named


def centres(constituencies):
    """Constituency number -> (lat, lon, radius in km)."""
    known = {}
    for c in constituencies:
        if c["lat"] and c["lon"]:
            radius = 3.0 if c["coord_precision"] == "city_district" else 12.0
            known[int(c["no"])] = (float(c["lat"]), float(c["lon"]), radius)
    result = dict(known)
    for c in constituencies:
        no = int(c["no"])
        if no in known:
            continue
        low = max(k for k in known if k < no)
        high = min(k for k in known if k > no)
        (lat1, lon1, r1), (lat2, lon2, r2) = known[low], known[high]
        wanted = (no - low) / (high - low)
        # Some straight lines leave the country: take the nearest point that does not.
        for t in sorted((i / 20 for i in range(21)), key=lambda t: (abs(t - wanted), t)):
            lat, lon = lat1 + (lat2 - lat1) * t, lon1 + (lon2 - lon1) * t
            if on_land(lat, lon):
                break
        result[no] = (lat, lon, max(r1, r2))
    for no, (lat, lon, _) in result.items():
        assert on_land(lat, lon), (no, lat, lon)
    return result


def stations(incidents, constituencies):
    named = named_stations(incidents)
    numbers = [int(c["no"]) for c in constituencies]
    rng = random.Random(20240901)
    free = [no for no in numbers if no not in COUNTS]
    counts = dict(COUNTS)
    left = STATIONS - sum(COUNTS.values())
    # At least 30 each and at least up to the highest named number, the rest
    # shared out unevenly.
    least = {no: max([30] + [n for c, n in named if c == no]) for no in free}
    extra = share(left - sum(least.values()), [0.3 + rng.random() for _ in free])
    counts.update({no: least[no] + e for no, e in zip(free, extra)})
    assert all(n <= counts[no] for no, n in named)
    places = [(no, n) for no in numbers for n in range(1, counts[no] + 1)]
    assert len(places) == STATIONS

    voters = {}
    groups = dict(VOTERS_OF)
    special = {no for g in VOTERS_OF for no in g}
    groups[tuple(no for no in numbers if no not in special)] = VOTERS - sum(VOTERS_OF.values())
    rng = random.Random(6421960)
    for group, total in groups.items():
        own = [p for p in places if p[0] in group and p not in named]
        spread = min(0.4, 1480 / (total / len(own)) - 1)   # about 1,500 voters at most
        weights = [1 + spread * (2 * rng.random() - 1) for _ in own]
        voters.update(zip(own, share(total, weights)))

    middle = centres(constituencies)
    rows = []
    for c in constituencies:
        no = int(c["no"])
        lat0, lon0, radius = middle[no]
        rng = random.Random(1000 + no)
        for n in range(1, counts[no] + 1):
            if c["name_en"]:
                constituency = c["name_en"]
                name = f"{c['name_az']}, {n} saylı məntəqə"
            else:
                constituency = f"Constituency {no}"
                name = f"{constituency}, {n} saylı məntəqə"
            row = [f"{no}-{n}", name, no, constituency]
            if (no, n) in named:
                row += ["", "", "", "false"]
            else:
                while True:
                    dx, dy = 2 * rng.random() - 1, 2 * rng.random() - 1
                    lat = round(lat0 + dy * radius / 111.2, 5)
                    lon = round(lon0 + dx * radius / (111.2 * math.cos(math.radians(lat0))), 5)
                    if dx * dx + dy * dy <= 1 and on_land(lat, lon):
                        break
                row += [f"{lat:.5f}", f"{lon:.5f}", voters[no, n], "true"]
            rows.append(row)
    write("stations.csv", to_csv(
        ["code", "name", "constituency_no", "constituency_name", "lat", "lon",
         "registered_voters", "generated"], rows))


def categories():
    labels = {r["code"]: r for r in read(HERE / "labels.csv")}
    rows = []
    for c in read(SOURCES / "categories.csv"):
        if c["stage"] == "commission":     # statements of the commission, not observers' reports
            continue
        row = labels.pop(c["code"])
        rows.append([c["stage"], c["code"], c["definition"], row["severity"],
                     row["label_en"], row["label_az"], row["label_ru"]])
    assert not labels, labels
    write("categories.csv", to_csv(
        ["stage", "code", "definition", "severity", "label_en", "label_az", "label_ru"], rows))


def scenario(mission, incidents):
    by_id = {r["id"]: r for r in incidents}
    lines = []
    for step in read(HERE / "script.csv"):
        if step["mission"] != mission:
            continue
        act, row = step["act"], by_id[step["incident"]]
        assert row["election"] == f"az_2024_{mission}", step
        source = f"Source: {row['source_url']} (public claim, sample data)"
        out = {"act": act, "incident": step["incident"]}
        if act == "file":
            out["observer"] = step["observer"]
            out["category"] = row["category"]
            if step["severity"]:
                out["severity"] = step["severity"]
            station = step["station"]
            if not station and row["station_no"]:
                station = f"{row['constituency_no']}-{row['station_no']}"
            out["station"] = station or None
            parts = [row["summary"], source] + ([step["text"]] if step["text"] else [])
            out["text"] = "\n".join(parts)
            out["at"] = f"{row['date']}T{row['local_time']}:00+04:00" if row["local_time"] else None
            for key in ("lat", "lon", "accuracy"):
                if step[key]:
                    out[key] = float(step[key])
        elif act == "amend":               # the whole new text, source address kept
            out["text"] = f"{row['summary']}\n{step['text']}\n{source}"
        elif act == "withdraw":
            out["reason"] = step["text"]
        elif act == "answer":
            out["text"] = step["text"]
        elif act == "decide":
            out["to"] = step["to"]
            if step["to"] == "needs_info":
                out["question"] = step["text"]
            elif step["to"] != "in_review":
                out["reason"] = step["text"]
        else:
            raise ValueError(act)
        lines.append(json.dumps(out, ensure_ascii=False))
    write(f"{mission}.jsonl", "\n".join(lines) + "\n")


def main():
    incidents = read(SOURCES / "incidents.csv")
    stations(incidents, read(SOURCES / "constituencies.csv"))
    categories()
    for mission in ("presidential", "parliamentary"):
        scenario(mission, incidents)


if __name__ == "__main__":
    main()
