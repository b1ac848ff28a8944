// Asks before somebody leaves what would be lost with its page, and cannot be kept in the
// browser: codes are as good as keys.

class Leaving {
  /** Whether something would be lost. */
  held = $state(false);
  /** What was to be done, and waits for a word. */
  wanted = $state.raw<() => void>();

  /** Does it at once if nothing would be lost. */
  ask(go: () => void): void {
    if (this.held) this.wanted = go;
    else go();
  }

  stay(): void {
    this.wanted = undefined;
  }
}

export const leaving = new Leaving();
