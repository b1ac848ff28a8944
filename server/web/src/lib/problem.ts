// What went wrong, in the page's language.

import { Refusal } from '../api/client';
import type { Messages } from '../i18n/en';

/** A sentence for a person. What is no refusal is a mistake of the page's own. */
export function sentence(error: unknown, t: Messages): string {
  if (!(error instanceof Refusal)) throw error;
  const known =
    t.problems[error.code as keyof Messages['problems']] ??
    t.mission.problems[error.code as keyof Messages['mission']['problems']];
  if (error.code === 'too_many_attempts') {
    const wait = /\d+/.exec(String(error.problem.detail ?? ''))?.[0];
    return t.problems.too_many_attempts(Number(wait ?? 60));
  }
  return typeof known === 'string' ? known : t.problems.other(error.code);
}
