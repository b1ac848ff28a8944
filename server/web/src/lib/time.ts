// Times as people at the desk need them: how long ago, and the mission's own clock.

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
];

/** "3 minutes ago", in a language. */
export function ago(time: string, now: number, language: string): string {
  const seconds = Math.round((Date.parse(time) - now) / 1000);
  const format = new Intl.RelativeTimeFormat(language, { numeric: 'auto', style: 'short' });
  for (const [unit, length] of UNITS) {
    if (Math.abs(seconds) >= length || unit === 'second') {
      return format.format(Math.trunc(seconds / length), unit);
    }
  }
  return '';
}

/** Date and time of day in the mission's zone. */
export function local(time: string, zone: string | undefined, language: string): string {
  return new Intl.DateTimeFormat(language, {
    hourCycle: 'h23',
    dateStyle: 'medium',
    timeStyle: 'medium',
    ...(zone && { timeZone: zone }),
  }).format(new Date(time));
}

/** Hours and minutes in the mission's zone. */
export function clock(time: number, zone: string | undefined, language: string): string {
  return new Intl.DateTimeFormat(language, {
    hourCycle: 'h23',
    hour: '2-digit',
    minute: '2-digit',
    ...(zone && { timeZone: zone }),
  }).format(new Date(time));
}

/** Minutes and seconds: 1:05. */
export function countdown(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
