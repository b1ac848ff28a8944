// The line on which the server tells what is new. A browser comes back by itself from
// where it was; an answer that is no stream (busy, away) ends that, so this tries again.

import type { components } from '../api/schema';

type Attention = components['schemas']['Attention'];
export type Changes = components['schemas']['Changes'];

const FIRST_WAIT = 1_000;
const LAST_WAIT = 30_000;

interface Listener {
  changes(changes: Changes): void;
  /** So much changed, or the line was away for so long, that all is to be read anew. */
  reset(): void;
  /** Who looks at what has changed. */
  attention?(people: Attention[]): void;
  /** The line is there, for the first time or again. */
  connected?(): void;
}

class Live {
  /** Whether news come in now. */
  connected = $state(false);
  #source: EventSource | undefined;
  #cursor: string | undefined;
  #wait = FIRST_WAIT;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #listeners = new Set<Listener>();

  /** How far in the ledger the line has told. */
  get number(): number | undefined {
    return this.#cursor === undefined ? undefined : Number(this.#cursor);
  }

  /** Listens until the answer is called. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    if (!this.#source && !this.#timer) this.#open();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#close();
    };
  }

  /** Tries at once: somebody signed in again, or the network is back. */
  retry(): void {
    if (this.#listeners.size === 0 || this.connected) return;
    this.#close();
    this.#open();
  }

  #open(): void {
    // Without a number the line begins where the ledger ends by then: what came between a
    // list that was read before and that end is told by nobody, so lists are read anew.
    let blind = this.#cursor === undefined;
    const from = blind ? '' : `?cursor=${this.#cursor}`;
    const source = new EventSource(`/v1/events${from}`);
    this.#source = source;
    const on = (name: string, then: (event: MessageEvent<string>) => void) =>
      source.addEventListener(name, (event) => {
        if (event.lastEventId) this.#cursor = event.lastEventId;
        then(event);
      });
    on('hello', () => {
      this.connected = true;
      this.#wait = FIRST_WAIT;
      for (const listener of this.#listeners) listener.connected?.();
      if (blind) for (const listener of this.#listeners) listener.reset();
      blind = false;
    });
    on('changes', (event) => {
      const changes = JSON.parse(event.data) as Changes;
      for (const listener of this.#listeners) listener.changes(changes);
    });
    on('reset', () => {
      for (const listener of this.#listeners) listener.reset();
    });
    on('attention', (event) => {
      const { people } = JSON.parse(event.data) as { people: Attention[] };
      for (const listener of this.#listeners) listener.attention?.(people);
    });
    on('ended', () => this.#again());
    source.onerror = () => {
      this.connected = false;
      if (source.readyState === EventSource.CLOSED) this.#again();
    };
  }

  #close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#source?.close();
    this.#source = undefined;
    this.connected = false;
  }

  #again(): void {
    this.#close();
    const wait = this.#wait * (0.5 + Math.random());
    this.#wait = Math.min(this.#wait * 2, LAST_WAIT);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#open();
    }, wait);
  }
}

export const live = new Live();
window.addEventListener('online', () => live.retry());
