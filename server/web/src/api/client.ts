// The server's interface, as /openapi.json describes it. Errors are RFC 9457
// problems; what is not one (no network, a proxy's page) becomes a problem of its own.

import createClient from 'openapi-fetch';
import type { components, paths } from './schema';

export type Problem = components['schemas']['Problem'];
export type Session = components['schemas']['Session'];

/** An answer that says no. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    readonly status: number,
    readonly problem: Partial<Problem> & Record<string, unknown> = {},
  ) {
    super(code);
  }
}

/** What this page calls an answer that never came, or was not the server's. */
export const UNREACHABLE = 'unreachable';

const client = createClient<paths>({ baseUrl: '', credentials: 'same-origin' });

/** Called when the server says that the session is over. */
export const ended: { call: () => void } = { call: () => {} };

type Answer<T> = { data?: T; error?: unknown; response: Response };

/** The body of a good answer; a {@link Refusal} otherwise. */
export async function ask<T>(request: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await request;
  } catch {
    throw new Refusal(UNREACHABLE, 0);
  }
  const { data, error, response } = answer;
  if (response.ok) return data as T;
  const problem = (error ?? {}) as Problem;
  if (typeof problem.code !== 'string') throw new Refusal(UNREACHABLE, response.status);
  if (problem.code === 'session_ended' || problem.code === 'token_missing') ended.call();
  throw new Refusal(problem.code, response.status, problem);
}

export const api = client;
