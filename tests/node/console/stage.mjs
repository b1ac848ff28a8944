// What every story has: a browser, people who sign in, and the stage behind them
// (tests/src/browser.rs), which runs phones and the server.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

export const origin = process.env.ORIGIN;
/** What the stage answers. */
export const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Has the stage do something, and answers what came of it. */
async function stage(what) {
  process.stdout.write(`${JSON.stringify(what)}\n`);
  const { value } = await lines.next();
  return JSON.parse(value);
}

export const server = {
  /** `kill -9`. */
  kill: () => stage({ do: 'kill' }),
  stop: () => stage({ do: 'stop' }),
  start: () => stage({ do: 'start' }),
  /** A setting, for the next start. */
  set: (name, value) => stage({ do: 'set', name, value }),
  /** A command of `scrutineer`. */
  run: (...args) => stage({ do: 'scrutineer', args }),
};

/** An observer's phone: files and synchronises. */
export function phone(name) {
  const run = (...args) => stage({ do: 'observe', as: name, args });
  return {
    run,
    /** Files a report and brings it in; answers its id. */
    async file(text, ...args) {
      const filed = await run('file', '--text', text, ...args);
      await run('sync');
      return filed.report;
    },
    sync: () => run('sync'),
    /** Binds a new phone with a link. */
    enrol: (url) => stage({ do: 'enrol', as: name, url }),
  };
}

/** The demo's acts: public claims, and what follows them. */
export const demo = {
  acts: (election) => stage({ do: 'acts', election }),
  /** An observer's act, on a phone of their own; answers the report's id. */
  play: (act) => stage({ do: 'act', act }),
};

/** Reads the files of an export (CSV, GeoJSON, JSON Lines) with a verifier that shares no
    code with the server; answers what was verified. */
export const verify = (...files) => stage({ do: 'verify', files });

/** The rows of a CSV, each by its columns' names. */
export function csv(text) {
  const rows = [[]];
  for (const [, quoted, plain, end] of text.replace(/^\ufeff/, '').matchAll(/(?:"((?:[^"]|"")*)"|([^,"\r\n]*))(,|\r\n|$)/g)) {
    rows.at(-1).push(quoted?.replaceAll('""', '"') ?? plain);
    if (end === '\r\n') rows.push([]);
    else if (end === '') break;
  }
  const [names, ...cells] = rows.filter((row) => row.length > 1);
  return cells.map((row) => Object.fromEntries(names.map((name, at) => [name, row[at]])));
}

/** A file on the stage's disk, from bytes; answers its path. */
export const put = (name, bytes) =>
  stage({ do: 'put', name, bytes: Buffer.from(bytes).toString('base64') });

/** A new account. */
export async function account(role) {
  return { ...(await stage({ do: 'account', role })), role, codes: [] };
}

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** A browser without a window, which asks nobody else for anything. */
export function launch() {
  return chromium.launch({
    executablePath: PLACES.find((place) => existsSync(place)),
    args: [
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      // Maps are drawn without a graphics card.
      '--use-angle=swiftshader',
      '--enable-unsafe-swiftshader',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** Runs a story in a browser of its own; whatever a page complains of fails it. */
export async function story(play) {
  const browser = await launch();
  const complaints = [];
  const pages = [];
  try {
    await play(async ({ elsewhere, ...options } = {}) => {
      const context = await browser.newContext({ locale: 'en-GB', baseURL: origin, ...options });
      context.setDefaultTimeout(60_000);
      pages.push(await watched(await context.newPage(), complaints, elsewhere));
      return pages.at(-1);
    });
  } catch (error) {
    // What a person would have seen.
    for (const [at, page] of pages.entries()) {
      if (page.isClosed()) continue;
      await page.screenshot({ path: `${process.env.SHOTS}-${at + 1}.png` });
    }
    console.error(`pictures: ${process.env.SHOTS}-*.png`, complaints);
    throw error;
  } finally {
    await browser.close();
  }
  assert.deepEqual(complaints, []);
  process.exit(0);
}

/** A page that notes mistakes, violations of its policy, and requests for elsewhere: for
    any other origin than the server's, and the one that this server names. */
async function watched(page, complaints, elsewhere) {
  const known = [origin, 'blob:', elsewhere].filter(Boolean);
  page.on('pageerror', (error) => complaints.push(String(error.stack ?? error)));
  // What a page or the map's library writes; a refused or cut request is a browser's own.
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
      complaints.push(message.text());
  });
  page.on('request', (request) => {
    if (!known.some((one) => request.url().startsWith(one)))
      complaints.push(`asked elsewhere: ${request.url()}`);
  });
  await page.exposeFunction('complain', (what) => complaints.push(what));
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) =>
      window.complain(`policy: ${event.violatedDirective} ${event.blockedURI}`),
    );
  });
  return page;
}

/** What an authenticator app shows for a secret (RFC 6238, with SHA-1 and 30 seconds). */
export function code(secret, now = Date.now()) {
  const bits = [...secret.replace(/\s|=/g, '')]
    .map((char) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(char).toString(2).padStart(5, '0'))
    .join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(now / 30_000)));
  const mac = createHmac('sha1', key).update(step).digest();
  const at = mac[19] & 0xf;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

/** Signs somebody in: the first time with a second factor to set up, then with a recovery code. */
export async function signIn(page, who, again = false) {
  if (!again) await page.goto('/');
  if (!again) await page.getByLabel('E-mail address').fill(who.email);
  await page.getByLabel('Password').fill(who.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  if (who.codes.length > 0) {
    await page.getByLabel('Code', { exact: true }).fill(who.codes.pop());
    await page.getByRole('button', { name: 'Sign in' }).click();
  } else {
    await page.getByText('Or type this secret into the app').click();
    who.secret = await page.locator('details code').textContent();
    await page.getByLabel('Code from the app').fill(code(who.secret));
    await page.getByRole('button', { name: 'Turn it on' }).click();
    await page.getByRole('heading', { name: 'Keep these recovery codes' }).waitFor();
    who.codes = await page.locator('.codes code').allTextContents();
    await page.getByRole('button', { name: 'I have kept them' }).click();
  }
  if (who.role === 'operator') await page.getByRole('heading', { name: 'This server' }).waitFor();
  else await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
}

/** The list's rows that are in the page. */
export const rows = (page) => page.getByRole('listbox', { name: 'Reports' }).getByRole('option');

/** The row of a report in the list, by words of it. */
export const row = (page, words) => rows(page).filter({ hasText: words });

/** Whether something is wider than what shows it: the page, or a part that scrolls. */
export const overflows = (page) =>
  page.evaluate(() =>
    [document.documentElement, ...document.querySelectorAll('*')]
      .filter((one) => {
        const scrolls = one === document.documentElement || /auto|scroll/.test(getComputedStyle(one).overflowX);
        return scrolls && one.clientWidth > 0 && one.scrollWidth > one.clientWidth;
      })
      .map((one) => {
        const name = (element) => `${element.tagName.toLowerCase()}.${element.className}`;
        const edge = one.getBoundingClientRect().right;
        const beyond = [...one.querySelectorAll('*')].filter((part) => part.getBoundingClientRect().right > edge);
        return `${name(one)} by ${one.scrollWidth - one.clientWidth}: ${beyond.map(name).join(', ')}`;
      }),
  );

/** Has the server answer the next request for these addresses, and holds the answer back. */
export async function heldBack(page, addresses) {
  let [was, go] = [];
  const [asked, held] = [new Promise((done) => (was = done)), new Promise((done) => (go = done))];
  const came = new Promise((done) => {
    void page.route(
      addresses,
      async (route) => {
        const response = await route.fetch();
        was();
        await held;
        await route.fulfill({ response });
        done();
      },
      { times: 1 },
    );
  });
  return { asked, release: () => (go(), came) };
}

/** Waits until a check holds. */
export async function until(what, check) {
  const end = Date.now() + 60_000;
  for (;;) {
    if (await check()) return;
    if (Date.now() > end) assert.fail(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
