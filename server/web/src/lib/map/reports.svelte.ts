// The reports of the map: read once for a filter, then kept up to date by what comes in.

import { api, ask } from '../../api/client';
import { fits, parameters, type Filter, type Report } from '../filter';
import { live, type Changes } from '../live.svelte';
import { placesOf, pointOf, pointsOf, type Places, type Point, type Station } from './points';

/** Stations change with every report; their numbers are read anew after a while. */
const STATIONS_AFTER = 10_000;

export class MapReports {
  points = $state.raw<Point[]>([]);
  stations = $state.raw<Station[]>([]);
  /** Names of constituencies by code. */
  names = $state.raw<ReadonlyMap<string, string>>(new Map());
  loading = $state(true);
  /** Whether the newest are all that came: there are more than one answer holds. */
  more = $state(false);
  error = $state.raw<unknown>();
  #filter: Filter = {};
  #places: Places = new Map();
  #turn = 0;
  /** What came while the reports were on their way: they may be older. */
  #meanwhile: Report[] = [];
  #soon: ReturnType<typeof setTimeout> | undefined;

  async start(filter: Filter): Promise<void> {
    await this.#readStations();
    await this.load(filter);
  }

  stop(): void {
    this.#turn += 1;
    clearTimeout(this.#soon);
  }

  /** Another filter, or the same read anew. */
  async load(filter: Filter = this.#filter): Promise<void> {
    const turn = ++this.#turn;
    this.#filter = filter;
    this.loading = true;
    this.error = undefined;
    this.#meanwhile = [];
    try {
      // The line may have told of more than an answer that the server keeps for a moment.
      const query = { ...parameters(filter), ...(live.number !== undefined && { least: live.number }) };
      const columns = await ask(api.GET('/v1/map/reports', { params: { query } }));
      if (turn !== this.#turn) return;
      this.points = pointsOf(columns, this.#places);
      this.more = columns.more;
      this.#join(this.#meanwhile);
    } catch (error) {
      if (turn === this.#turn) this.error = error;
    } finally {
      if (turn === this.#turn) this.loading = false;
    }
  }

  /** Takes what is new. What no longer fits goes. */
  take(changes: Changes): void {
    if (changes.kinds.some((kind) => ['file', 'amend', 'withdraw', 'check_in', 'erase'].includes(kind))) {
      this.#soon ??= setTimeout(() => {
        this.#soon = undefined;
        void this.#readStations();
      }, STATIONS_AFTER);
    }
    if (this.loading) this.#meanwhile.push(...changes.reports);
    this.#join(changes.reports);
  }

  #join(reports: readonly Report[]): void {
    if (reports.length === 0) return;
    const changed = new Map(reports.map((report) => [report.id, report]));
    const kept = this.points.flatMap((point) => {
      const report = changed.get(point.id);
      if (!report) return [point];
      changed.delete(point.id);
      return fits(this.#filter, report) ? [pointOf(report, this.#places)] : [];
    });
    const fresh = [...changed.values()]
      .filter((report) => fits(this.#filter, report))
      .sort((a, b) => b.number - a.number)
      .map((report) => pointOf(report, this.#places));
    this.points = [...fresh, ...kept];
  }

  async #readStations(): Promise<void> {
    try {
      const { stations, constituencies } = await ask(api.GET('/v1/map/stations'));
      this.stations = stations;
      this.names = new Map(constituencies.map(({ code, name }) => [code, name]));
      this.#places = placesOf(stations);
    } catch (error) {
      this.error = error;
    }
  }
}
