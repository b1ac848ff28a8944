// A file sent to the server. `fetch` does not say how far it is; this does.

import { ended, Refusal, UNREACHABLE, type Problem } from '../api/client';

/** Sends a file as CSV; hears how many of its bytes are sent. */
export function sendFile<T>(url: string, file: File, sent: (bytes: number) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', url);
    request.setRequestHeader('content-type', 'text/csv');
    request.upload.onprogress = (event) => sent(event.loaded);
    request.onerror = () => reject(new Refusal(UNREACHABLE, 0));
    request.onabort = request.onerror;
    request.onload = () => {
      const answer = read(request.responseText);
      if (request.status === 200 && answer) return resolve(answer as T);
      const problem = (answer ?? {}) as Problem;
      if (problem.code === 'session_ended' || problem.code === 'token_missing') ended.call();
      reject(new Refusal(problem.code ?? UNREACHABLE, request.status, problem));
    };
    request.send(file);
  });
}

function read(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
