// Writes src/api/schema.d.ts, the types of the server's interface. They come from the
// snapshot of /openapi.json that the server's own tests keep true.

import { readFile, writeFile } from 'node:fs/promises';
import openapi, { astToString } from 'openapi-typescript';

const at = (path) => new URL(`../${path}`, import.meta.url);
const snapshot = await readFile(
  at('../src/api/snapshots/scrutineer__api__openapi__tests__openapi.snap'),
  'utf8',
);
// Behind the snapshot's own head, which ends with its second line of dashes.
const document = JSON.parse(snapshot.slice(snapshot.indexOf('\n---\n') + 5));
await writeFile(at('src/api/schema.d.ts'), astToString(await openapi(document)));
