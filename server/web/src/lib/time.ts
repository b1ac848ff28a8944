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
  // Chromium has no names for Azerbaijani months ("M12"); in figures both languages write
  // day, month, year with points.
  const figures = language === 'az';
  return new Intl.DateTimeFormat(figures ? 'ru' : language, {
    hourCycle: 'h23',
    dateStyle: figures ? 'short' : 'medium',
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

/** Minutes and seconds: 1:05; with hours, 2:01:05. */
export function countdown(seconds: number): string {
  const two = (number: number) => String(number).padStart(2, '0');
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const short = `${hours > 0 ? two(minutes) : minutes}:${two(seconds % 60)}`;
  return hours > 0 ? `${hours}:${short}` : short;
}

/** "10 minutes", in a language; what is less than one of the unit in the next smaller. */
export function amount(value: number, language: string, unit: 'hour' | 'minute'): string {
  if (value > 0 && value < 1) {
    return unit === 'hour' ? amount(value * 60, language, 'minute') : amountOf(Math.round(value * 60), language, 'second');
  }
  return amountOf(value, language, unit);
}

function amountOf(value: number, language: string, unit: string): string {
  const format = new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'long', maximumFractionDigits: 1 });
  return format.format(value);
}
