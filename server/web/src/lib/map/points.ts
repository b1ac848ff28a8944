// Reports and stations as the map has them, from the server's columns.

import type { components } from '../../api/schema';
import type { Report } from '../filter';
import { rankOf } from '../severity';

export type Station = components['schemas']['MapStation'];
type Columns = components['schemas']['MapReports'];

/** A report on the map, or in the list beside it. */
export interface Point {
  id: string;
  /** 0 for no severity, 4 for critical. */
  rank: number;
  status: string;
  category: string;
  station: string | undefined;
  /** Milliseconds since 1970. */
  received: number;
  /** Its own place, or else its station's. */
  place: [number, number] | undefined;
}

/** Where each station is. */
export type Places = ReadonlyMap<string, [number, number]>;

export function placesOf(stations: readonly Station[]): Places {
  return new Map(
    stations.flatMap(({ code, lon, lat }) =>
      lon == null || lat == null ? [] : [[code, [lon, lat]] as [string, [number, number]]],
    ),
  );
}

/** Newest first, as they came. */
export function pointsOf(columns: Columns, places: Places): Point[] {
  return columns.id.map((id, at) => {
    const station = columns.stations[columns.station[at] ?? -1];
    const [lon, lat] = [columns.lon[at], columns.lat[at]];
    return {
      id,
      rank: columns.severity[at] ?? 0,
      status: columns.statuses[columns.status[at] ?? -1] ?? '',
      category: columns.categories[columns.category[at] ?? -1] ?? '',
      station,
      received: (columns.received[at] ?? 0) * 1000,
      place: lon != null && lat != null ? [lon, lat] : station ? places.get(station) : undefined,
    };
  });
}

/** A report that came in live. */
export function pointOf(report: Report, places: Places): Point {
  const { id, status, category, place } = report;
  const station = report.station ?? undefined;
  return {
    id,
    rank: rankOf(report.severity),
    status,
    category,
    station,
    received: Date.parse(report.received_at),
    place: place ? [place.lon, place.lat] : station ? places.get(station) : undefined,
  };
}

/** A constituency: where its stations are on average, and what was reported from them. */
export interface Part {
  code: string;
  name: string | undefined;
  place: [number, number];
  reports: number;
  worst: number;
}

/** The data has no boundaries, so a constituency stands where its stations are. */
export function partsOf(stations: readonly Station[], names: ReadonlyMap<string, string>): Part[] {
  const sums = new Map<string, { lon: number; lat: number; of: number; reports: number; worst: number }>();
  for (const { constituency, lon, lat, reports, worst } of stations) {
    if (constituency == null || lon == null || lat == null) continue;
    const sum = sums.get(constituency) ?? { lon: 0, lat: 0, of: 0, reports: 0, worst: 0 };
    sum.lon += lon;
    sum.lat += lat;
    sum.of += 1;
    sum.reports += reports;
    sum.worst = Math.max(sum.worst, worst);
    sums.set(constituency, sum);
  }
  return [...sums].map(([code, { lon, lat, of, reports, worst }]) => ({
    code,
    name: names.get(code),
    place: [lon / of, lat / of],
    reports,
    worst,
  }));
}
