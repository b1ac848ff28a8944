// Days of a mission as moments.

/** How far a zone is ahead of UTC at a moment, in milliseconds. */
function ahead(time: number, zone: string): number {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  const part = Object.fromEntries(format.formatToParts(time).map(({ type, value }) => [type, Number(value)]));
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = part;
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(time / 1000) * 1000;
}

/** When a day (`2024-09-01`) begins in a zone, so many days later. */
export function dayBegins(day: string, zone: string, later = 0): string {
  const midnight = Date.parse(`${day}T00:00:00Z`) + later * 86_400_000;
  // Asked twice: the clocks may change between the two moments.
  const guess = midnight - ahead(midnight, zone);
  return new Date(midnight - ahead(guess, zone)).toISOString();
}
