// Something that somebody does with the server's help: whether it runs, and what went wrong.

export class Act {
  busy = $state(false);
  error = $state.raw<unknown>();

  /** Does it; answers whether it was done. */
  async run(work: () => Promise<unknown>): Promise<boolean> {
    this.busy = true;
    this.error = undefined;
    try {
      await work();
      return true;
    } catch (error) {
      this.error = error;
      return false;
    } finally {
      this.busy = false;
    }
  }
}
