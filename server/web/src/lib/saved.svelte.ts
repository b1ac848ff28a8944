// Filters that somebody has given a name, kept in this browser for each mission.

import type { Filter } from './filter';

export interface Saved {
  name: string;
  filter: Filter;
}

export class SavedFilters {
  all = $state.raw<Saved[]>([]);
  #key: string;

  constructor(mission: string) {
    this.#key = `filters ${mission}`;
    this.all = read(localStorage.getItem(this.#key));
  }

  /** Keeps a filter; one of the same name goes. */
  keep(name: string, filter: Filter): void {
    const others = this.all.filter((one) => one.name !== name);
    this.#write([...others, { name, filter }].sort((a, b) => a.name.localeCompare(b.name)));
  }

  forget(name: string): void {
    this.#write(this.all.filter((one) => one.name !== name));
  }

  #write(all: Saved[]): void {
    this.all = all;
    localStorage.setItem(this.#key, JSON.stringify(all));
  }
}

/** What another version of this page wrote, or somebody's hand, counts as nothing. */
function read(text: string | null): Saved[] {
  try {
    const all: unknown = JSON.parse(text ?? '[]');
    return Array.isArray(all) ? all.filter((one) => typeof one?.name === 'string' && one.filter) : [];
  } catch {
    return [];
  }
}
