// Which report each colleague has open, and which this desk has. It locks nothing.

import { api } from '../api/client';
import type { components } from '../api/schema';
import { live } from './live.svelte';

export type Attention = components['schemas']['Attention'];

/** The server forgets a desk that has said nothing for a minute. */
const AGAIN = 20_000;

class Attentions {
  people = $state.raw<Attention[]>([]);
  #report: string | null = null;
  #deciding = false;

  constructor() {
    setInterval(() => {
      if (this.#report && document.visibilityState === 'visible') this.#say();
    }, AGAIN);
  }

  /** Who else is at a report. Without a line nobody knows. */
  others(report: string, me: string): Attention[] {
    if (!live.connected) return [];
    return this.people.filter((one) => one.report === report && one.user !== me);
  }

  /** This desk looks at a report, or at none. */
  look(report: string | null, deciding = false): void {
    if (report === this.#report && deciding === this.#deciding) return;
    this.#report = report;
    this.#deciding = deciding;
    this.#say();
  }

  #say(): void {
    const body = { report: this.#report, deciding: this.#deciding };
    // Colleagues see it a little later, with the next time that it is said.
    api.PUT('/v1/attention', { body }).catch(() => {});
  }
}

export const attention = new Attentions();
