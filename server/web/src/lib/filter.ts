// Which reports a list shows: the parameters of GET /v1/reports, and the same rules
// here for what comes in live.

import type { components } from '../api/schema';
import { fold } from './fold';

export type Report = components['schemas']['Report'];

export interface Filter {
  status?: string[];
  severity?: string[];
  category?: string[];
  station?: string[];
  constituency?: string[];
  flag?: string[];
  /** Accounts, or `none`. */
  assignee?: string[];
  text?: string;
  withdrawn?: boolean;
  evidence?: boolean;
  /** What was merged into another report: left out unless asked for. */
  merged?: 'true' | 'any';
}

/** The filter as query parameters. */
export function parameters(filter: Filter): Record<string, string> {
  const out: Record<string, string> = {};
  for (const [name, value] of Object.entries(filter)) {
    if (value === undefined || value === '' || (Array.isArray(value) && value.length === 0)) continue;
    out[name] = Array.isArray(value) ? value.join(',') : String(value);
  }
  return out;
}

/** Whether a report fits. `evidence` cannot be told from a report: the server said so. */
export function fits(filter: Filter, report: Report): boolean {
  const among = (values: string[] | undefined, value: string | null | undefined) =>
    !values?.length || (value != null && values.includes(value));
  return (
    among(filter.status, report.status) &&
    among(filter.severity, report.severity ?? 'none') &&
    among(filter.category, report.category) &&
    among(filter.station, report.station) &&
    among(filter.constituency, report.constituency) &&
    among(filter.assignee, report.assignee ?? 'none') &&
    (!filter.flag?.length || filter.flag.some((flag) => report.flags.includes(flag))) &&
    (!filter.text || fold(report.text ?? '').includes(fold(filter.text))) &&
    (filter.merged === 'any' || (filter.merged === 'true') === (report.telephone?.merged_into != null)) &&
    (filter.withdrawn === undefined || filter.withdrawn === report.withdrawn)
  );
}
