// A word for a code of the server's. A code that a later server made stands as it is.

export function words(table: Record<string, string>, code: string): string {
  return table[code] ?? code;
}
