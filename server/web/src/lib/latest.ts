// Something that is read again and again: answers may overtake each other.

/** Passes on what the last call reads; an answer that a later call has overtaken is dropped. */
export function latest<T>(read: () => Promise<T>): () => Promise<T | undefined> {
  let turn = 0;
  return async () => {
    const mine = ++turn;
    try {
      const found = await read();
      return mine === turn ? found : undefined;
    } catch (error) {
      if (mine === turn) throw error;
      return undefined;
    }
  };
}
