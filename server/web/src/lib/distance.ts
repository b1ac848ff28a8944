// Distances as people say them.

/** 350 m, 1.2 km. */
export function distance(metres: number, language: string): string {
  const far = metres >= 1000;
  return new Intl.NumberFormat(language, {
    style: 'unit',
    unit: far ? 'kilometer' : 'meter',
    unitDisplay: 'short',
    maximumFractionDigits: far ? 1 : 0,
  }).format(far ? metres / 1000 : metres);
}
