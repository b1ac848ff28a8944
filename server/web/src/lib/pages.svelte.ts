// A list that the server gives out page by page.

interface Answer<T> {
  items: T[];
  next: string | null;
}

export class Pages<T> {
  items = $state.raw<T[]>([]);
  loading = $state(false);
  more = $state(false);
  error = $state.raw<unknown>();
  #read: (cursor: string | null) => Promise<Answer<T>>;
  #next: string | null = null;
  #turn = 0;

  constructor(read: (cursor: string | null) => Promise<Answer<T>>) {
    this.#read = read;
  }

  /** From the beginning. */
  async load(): Promise<void> {
    this.#next = null;
    await this.#page(++this.#turn, []);
  }

  async further(): Promise<void> {
    await this.#page(this.#turn, this.items);
  }

  async #page(turn: number, before: T[]): Promise<void> {
    this.loading = true;
    this.error = undefined;
    try {
      const { items, next } = await this.#read(this.#next);
      if (turn !== this.#turn) return;
      this.items = [...before, ...items];
      this.#next = next;
      this.more = next !== null;
    } catch (error) {
      if (turn === this.#turn) this.error = error;
    } finally {
      if (turn === this.#turn) this.loading = false;
    }
  }
}
