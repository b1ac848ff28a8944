// A list of reports that stays as it is read: what is new joins at the top, what
// changed changes in place, and older ones are read as somebody scrolls to them.

import { api, ask } from '../api/client';
import { fits, parameters, type Filter, type Report } from './filter';
import type { Changes } from './live.svelte';

const PAGE = 200;

export class ReportList {
  filter = $state.raw<Filter>({});
  /** Newest first, by the number of their first entry. */
  reports = $state.raw<Report[]>([]);
  loading = $state(false);
  /** Whether there are older ones still. */
  more = $state(true);
  error = $state.raw<unknown>();
  #next: string | null = null;
  #turn = 0;
  #known = new Map<string, Report>();
  /** What came while a page was on its way: the page may be older. */
  #meanwhile = new Map<string, Report>();

  /** Another filter, or the same read anew. */
  async load(filter: Filter = this.filter): Promise<void> {
    const turn = ++this.#turn;
    this.filter = filter;
    this.#next = null;
    await this.#page(turn, []);
  }

  /** The next older ones. */
  async older(): Promise<void> {
    if (this.loading || !this.more || this.error) return;
    await this.#page(this.#turn, this.reports);
  }

  async #page(turn: number, before: Report[]): Promise<void> {
    this.loading = true;
    this.error = undefined;
    this.#meanwhile.clear();
    try {
      const query = {
        ...parameters(this.filter),
        limit: PAGE,
        ...(this.#next && { cursor: this.#next }),
      };
      const page = await ask(api.GET('/v1/reports', { params: { query } }));
      if (turn !== this.#turn) return;
      this.#next = page.next ?? null;
      this.more = this.#next !== null;
      const newer = (report: Report) => {
        const known = this.#meanwhile.get(report.id) ?? this.#known.get(report.id);
        return known && known.version > report.version ? known : report;
      };
      const held = new Set(before.map((report) => report.id));
      const read = page.reports.filter((one) => !held.has(one.id)).map(newer);
      if (before.length === 0) this.#known.clear();
      this.#set([...before, ...read]);
      if (before.length === 0) this.#join(this.#meanwhile.values());
    } catch (error) {
      if (turn === this.#turn) this.error = error;
    } finally {
      if (turn === this.#turn) this.loading = false;
    }
  }

  /** Takes what is new. */
  take(changes: Changes): void {
    if (this.loading) for (const report of changes.reports) this.#meanwhile.set(report.id, report);
    this.#join(changes.reports);
  }

  #join(reports: Iterable<Report>): void {
    const oldest = this.more ? (this.reports.at(-1)?.number ?? Infinity) : -Infinity;
    const changed = new Map<string, Report>();
    const fresh: Report[] = [];
    for (const report of reports) {
      const known = this.#known.get(report.id);
      if (known) {
        if (known.version <= report.version) changed.set(report.id, report);
      } else if (report.number > oldest && fits(this.filter, report) && !this.filter.evidence) {
        fresh.push(report);
      }
    }
    if (changed.size === 0 && fresh.length === 0) return;
    // What no longer fits stays until the list is read anew: nothing jumps away under
    // somebody's hand.
    const kept = this.reports.map((report) => changed.get(report.id) ?? report);
    const all = [...fresh, ...kept];
    if (fresh.length > 0) all.sort((a, b) => b.number - a.number);
    this.#set(all);
  }

  #set(reports: Report[]): void {
    this.reports = reports;
    for (const report of reports) this.#known.set(report.id, report);
  }
}
