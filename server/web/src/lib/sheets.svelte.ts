// Enrolment codes for many, made one after another. The server tells each only once, so
// what was made stays here whatever becomes of the next.

import { api, ask } from '../api/client';
import type { components } from '../api/schema';

export type Accreditation = components['schemas']['Accreditation'];
type Page = components['schemas']['AccreditationPage'];
export type Code = components['schemas']['EnrolmentCode'] & { number: string; name: string };

/** Which accreditations, as the server takes it. */
export interface Which {
  like?: string;
  institution?: string;
  enrolled?: boolean;
}

/** Sheets made at once, at most. */
export const MOST = 500;
/** Accreditations that one answer holds, at most. */
const PER_ANSWER = 200;

/** Those that fit and are not revoked; some more than {@link MOST} if there are more. */
export async function everyone(which: Which): Promise<Accreditation[]> {
  const found: Accreditation[] = [];
  let cursor: string | null = null;
  do {
    const query: object = { ...which, revoked: false, limit: PER_ANSWER, ...(cursor && { cursor }) };
    const page: Page = await ask(api.GET('/v1/accreditations', { params: { query } }));
    found.push(...page.accreditations);
    cursor = page.next ?? null;
  } while (cursor && found.length <= MOST);
  return found;
}

export class Sheets {
  made = $state.raw<Code[]>([]);
  /** Who has none yet, in order. */
  waiting = $state.raw<Accreditation[]>([]);
  /** How many were asked for together. */
  asked = $state(0);
  running = $state(false);
  /** Why there is none for the first who waits. */
  error = $state.raw<unknown>();
  /** How many of those made were printed. */
  #printed = $state(0);
  #stop = false;
  #turn = 0;

  unprinted = $derived(this.made.length > this.#printed);
  done = $derived(this.asked - this.waiting.length);

  /** A code for one. */
  async one(accreditation: Accreditation): Promise<void> {
    const turn = this.#turn;
    const body = { accreditation: accreditation.number };
    const code = await ask(api.POST('/v1/enrolment-codes', { body }));
    if (turn !== this.#turn) return;
    const { number, name, observer } = accreditation;
    this.made = [...this.made, { ...code, number, name: name ?? observer }];
  }

  /** Codes for all of these. */
  async all(accreditations: Accreditation[]): Promise<void> {
    this.waiting = accreditations;
    this.asked = accreditations.length;
    await this.goOn();
  }

  /** Goes on with the first who waits. */
  async goOn(): Promise<void> {
    const turn = this.#turn;
    this.running = true;
    this.#stop = false;
    this.error = undefined;
    try {
      for (let next = this.waiting[0]; next && !this.#stop; next = this.waiting[0]) {
        await this.one(next);
        if (turn !== this.#turn) return;
        this.waiting = this.waiting.slice(1);
      }
    } catch (error) {
      if (turn === this.#turn) this.error = error;
    } finally {
      if (turn === this.#turn) this.running = false;
    }
  }

  /** Goes on without the one that failed. */
  async skip(): Promise<void> {
    this.waiting = this.waiting.slice(1);
    this.asked -= 1;
    await this.goOn();
  }

  /** No further one; the one on its way is still taken. */
  stop(): void {
    this.#stop = true;
  }

  /** Makes none for those who wait. */
  leaveRest(): void {
    this.waiting = [];
    this.error = undefined;
  }

  wasPrinted(): void {
    this.#printed = this.made.length;
  }

  /** Forgets every code. */
  putAway(): void {
    this.#turn += 1;
    this.made = this.waiting = [];
    this.asked = this.#printed = 0;
    this.running = false;
    this.error = undefined;
  }
}
