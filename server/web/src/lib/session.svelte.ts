// Who is signed in, until when, and the clock that both ends agree on.

import { api, ask, ended, Refusal, type Session } from '../api/client';
import { attention } from './attention.svelte';

/** Milliseconds between two looks at whether somebody works here. */
const RENEW_EVERY = 60_000;
/** Seconds before the end from which the page says so. */
export const WARN_SECONDS = 120;

class Desk {
  /** The session; `null` once it is known that there is none. */
  session = $state<Session | null | undefined>(undefined);
  /** Whether it ended while somebody worked: the page stays, and asks. */
  lapsed = $state(false);
  /** Seconds until it ends. */
  left = $state(0);
  #ahead = 0;
  #touchedAt = 0;
  #renewedAt = 0;

  /** Milliseconds since 1970 by the server's clock. */
  now(): number {
    return Date.now() + this.#ahead;
  }

  /** Asks who is signed in, and watches from then on. */
  async start(): Promise<void> {
    ended.call = () => this.#end();
    for (const event of ['pointerdown', 'keydown'] as const) {
      window.addEventListener(event, () => (this.#touchedAt = Date.now()), { passive: true });
    }
    setInterval(() => this.#tick(), 1000);
    try {
      this.take(await ask(api.GET('/v1/session')));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.session = null;
      this.lapsed = false;
    }
  }

  /** A session as the server described it just now. */
  take(session: Session): void {
    this.session = session;
    this.lapsed = false;
    this.#ahead = Date.parse(session.server_time) - Date.now();
    this.#renewedAt = Date.now();
    this.#count();
  }

  /** Keeps the session. */
  async renew(): Promise<void> {
    this.#renewedAt = Date.now();
    this.take(await ask(api.POST('/v1/session/renewal')));
  }

  /** Signs out. */
  async leave(): Promise<void> {
    attention.look(null);
    await ask(api.DELETE('/v1/session'));
    this.session = null;
    this.lapsed = false;
  }

  #count(): void {
    if (this.session) {
      this.left = Math.max(0, Math.round((Date.parse(this.session.ends_at) - this.now()) / 1000));
    }
  }

  #tick(): void {
    if (!this.session || this.lapsed) return;
    this.#count();
    if (this.left === 0) return this.#end();
    const worked = this.#touchedAt > this.#renewedAt;
    // Near its end only a deliberate word keeps it: the dialog's.
    if (worked && this.left > WARN_SECONDS && Date.now() - this.#renewedAt > RENEW_EVERY) {
      this.renew().catch(() => {});
    }
  }

  #end(): void {
    if (this.session) this.lapsed = true;
    else this.session = null;
  }
}

export const desk = new Desk();
