// What the palette offers: what every page has, and before it what the page that is open adds.

export interface Command {
  does: string;
  key?: string;
  run: () => void;
}

class Palette {
  #page = $state.raw<() => Command[]>(() => []);

  /** What the page that is open can do. */
  get page(): Command[] {
    return this.#page();
  }

  /** Adds a page's commands; answers how they go. */
  offer(commands: () => Command[]): () => void {
    this.#page = commands;
    return () => {
      if (this.#page === commands) this.#page = () => [];
    };
  }
}

export const palette = new Palette();
