// The last act that can be taken back, where the rules allow it. The ledger keeps both.

interface Offer {
  /** What was done. */
  what: string;
  /** Takes it back. */
  run: () => void;
}

class Undo {
  offer = $state.raw<Offer>();
  /** A decision that is to be made next on a report: to take the last one back. */
  wanted = $state.raw<{ report: string; to: string }>();

  say(what: string, run: () => void): void {
    this.offer = { what, run };
  }

  take(): void {
    const offer = this.offer;
    this.offer = undefined;
    offer?.run();
  }

  forget(): void {
    this.offer = undefined;
  }
}

export const undo = new Undo();
