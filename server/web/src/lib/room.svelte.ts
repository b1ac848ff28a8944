// The room's figures on every page: the wall shows them, and alarms follow from them.
// Read every fifteen seconds, and soon after something changed.

import { api, ask } from '../api/client';
import type { components } from '../api/schema';
import { live } from './live.svelte';
import { ServerClock } from './server-clock';
import { sound } from './sound.svelte';

export type Figures = components['schemas']['Room'];

const EVERY = 15_000;
/** After a change, so that what comes in a burst is read once. */
const SOON = 700;
/** Between two readings at least. */
const GAP = 2_500;
/** From this age on figures are called old. */
const OLD = 45_000;
/** While an alarm stands, it sounds again. */
const RING_EVERY = 20_000;

/** Until when alarms have been taken note of at this desk, by the server's clock. */
interface Acknowledged {
  untouched: number;
  silent: number;
}

class Room {
  figures = $state.raw<Figures>();
  error = $state.raw<unknown>();
  /** By the server's clock; ticks. */
  now = $state(0);
  #clock = new ServerClock();
  #acknowledged = $state.raw<Acknowledged>({ untouched: 0, silent: 0 });
  #key = '';
  #soon: ReturnType<typeof setTimeout> | undefined;
  #readAt = -Infinity;
  #rangAt = -Infinity;

  /** How old the figures are, in milliseconds. */
  age = $derived(this.figures ? Math.max(0, this.now - Date.parse(this.figures.at)) : 0);
  old = $derived(this.age > OLD);
  /** Untouched critical reports beyond the limit of which somebody has to be told. */
  untouched = $derived(
    late(this.figures?.untouched.last_due_at, this.#acknowledged.untouched)
      ? (this.figures?.untouched.due ?? 0)
      : 0,
  );
  /** Silent observers, if any of them went silent since this desk was told last. */
  silent = $derived(
    late(this.figures?.observers.last_silent_at, this.#acknowledged.silent)
      ? (this.figures?.observers.silent ?? 0)
      : 0,
  );

  /** Reads until the answer is called. */
  start(mission: string): () => void {
    this.#key = `alarms ${mission}`;
    this.#acknowledged = kept(localStorage.getItem(this.#key));
    const soon = () => this.#later(SOON);
    const deaf = live.listen({ changes: soon, reset: soon, connected: soon });
    const every = setInterval(() => void this.read(), EVERY);
    const tick = setInterval(() => this.#tick(), 1_000);
    void this.read();
    return () => {
      deaf();
      clearInterval(every);
      clearInterval(tick);
      clearTimeout(this.#soon);
      this.#soon = undefined;
    };
  }

  async read(): Promise<void> {
    this.#readAt = performance.now();
    try {
      const figures = await ask(api.GET('/v1/room'));
      this.#clock.note(figures.at);
      this.figures = figures;
      this.error = undefined;
      this.#tick();
    } catch (error) {
      this.error = error;
    }
  }

  /** This desk has taken note of what stands. */
  acknowledge(): void {
    const at = this.figures ? Date.parse(this.figures.at) : 0;
    this.#acknowledged = { untouched: at, silent: at };
    localStorage.setItem(this.#key, JSON.stringify(this.#acknowledged));
  }

  #later(wait: number): void {
    if (this.#soon) return;
    const gap = GAP - (performance.now() - this.#readAt);
    this.#soon = setTimeout(() => {
      this.#soon = undefined;
      void this.read();
    }, Math.max(wait, gap));
  }

  #tick(): void {
    if (!this.figures) return;
    this.now = this.#clock.now();
    if (this.untouched + this.silent === 0) {
      this.#rangAt = -Infinity;
    } else if (performance.now() - this.#rangAt > RING_EVERY) {
      this.#rangAt = performance.now();
      sound.ring();
    }
  }
}

function late(time: string | null | undefined, since: number): boolean {
  return time != null && Date.parse(time) > since;
}

/** What another version of this page wrote, or somebody's hand, counts as nothing. */
function kept(text: string | null): Acknowledged {
  const none = { untouched: 0, silent: 0 };
  try {
    const read: unknown = JSON.parse(text ?? '');
    if (typeof read !== 'object' || read === null) return none;
    const { untouched, silent } = read as Partial<Acknowledged>;
    return typeof untouched === 'number' && typeof silent === 'number' ? { untouched, silent } : none;
  } catch {
    return none;
  }
}

export const room = new Room();
