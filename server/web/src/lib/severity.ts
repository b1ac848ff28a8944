// Severities as the map and the wall draw them: each has a shape of its own beside its
// colour, so that neither is needed to tell them apart.

export const SEVERITIES = ['none', 'low', 'medium', 'high', 'critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** The severity of a number as the server's map has it: 0 for none, 4 for critical. */
export function severityOf(rank: number): Severity {
  return SEVERITIES[rank] ?? 'none';
}

export function rankOf(severity: string | null | undefined): number {
  return Math.max(0, SEVERITIES.indexOf((severity ?? 'none') as Severity));
}

/** SVG paths in a box of 20 by 20: ring, circle, square, triangle, star of eight points. */
export const SHAPES: Record<Severity, string> = {
  none: 'M10 4a6 6 0 1 0 0 12a6 6 0 1 0 0-12M10 7.5a2.5 2.5 0 1 1 0 5a2.5 2.5 0 1 1 0-5',
  low: 'M10 4a6 6 0 1 0 0 12a6 6 0 1 0 0-12',
  medium: 'M4.5 4.5h11v11h-11z',
  high: 'M10 2.5L18 16.5H2z',
  critical: 'M10 0.5l2.4 4 4.3-1.2-1.2 4.3 4 2.4-4 2.4 1.2 4.3-4.3-1.2-2.4 4-2.4-4-4.3 1.2 1.2-4.3-4-2.4 4-2.4-1.2-4.3 4.3 1.2z',
};

/** The variable that holds its colour. */
export const COLOURS: Record<Severity, string> = {
  none: '--soft',
  low: '--low',
  medium: '--medium',
  high: '--high',
  critical: '--critical',
};
