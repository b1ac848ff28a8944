// The server's time, from the times that it writes on what it sends. The clock of this
// machine may be wrong, or be put right meanwhile; only its steady count is used.

/** Answers that are remembered: a server whose clock was put back is believed after these. */
const REMEMBERED = 12;

export class ServerClock {
  #ahead: number[] = [];

  /** Something came that the server wrote at this time. */
  note(time: string): void {
    this.#ahead.push(Date.parse(time) - performance.now());
    if (this.#ahead.length > REMEMBERED) this.#ahead.shift();
  }

  /** Milliseconds since 1970. What came was written earlier, so the latest counts. */
  now(): number {
    return performance.now() + Math.max(...this.#ahead);
  }
}
