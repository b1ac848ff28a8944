// What a coordinator waits for, in a real browser. Prints one line of JSON for the page at
// rest, then watches what comes in until told to stop, and prints when each row appeared.

import { launch, lines, signIn } from './stage.mjs';

const { ORIGIN, EMAIL, PASSWORD } = process.env;
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

const browser = await launch();
const context = await browser.newContext({ baseURL: ORIGIN, viewport: { width: 1366, height: 768 } });
context.setDefaultTimeout(60_000);
const page = await context.newPage();
await page.addInitScript(() => {
  const observer = new MutationObserver(() => {
    if (document.querySelector('[role=listbox] [role=option]')) {
      window.firstRow = performance.now();
      observer.disconnect();
    }
  });
  observer.observe(document, { childList: true, subtree: true });
});
await signIn(page, { email: EMAIL, password: PASSWORD, codes: [] });

// From asking for the page to the first row.
const first = [];
for (let turn = 0; turn < 7; turn += 1) {
  await page.reload();
  await page.waitForFunction(() => window.firstRow);
  first.push(await page.evaluate(() => window.firstRow));
}

// From the last key to a list that is the answer. The page waits 250 ms for another key.
async function search(words) {
  return page.evaluate(async (words) => {
    const answered = new Promise((done) => {
      const observer = new PerformanceObserver((list) => {
        if (list.getEntries().some((entry) => entry.name.includes('/v1/reports?'))) {
          observer.disconnect();
          done();
        }
      });
      observer.observe({ type: 'resource' });
    });
    const field = document.querySelector('input[type=search]');
    field.value = words;
    const start = performance.now();
    field.dispatchEvent(new Event('input', { bubbles: true }));
    await answered;
    // The frame that shows it.
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    return performance.now() - start;
  }, words);
}
const [rare, common, none] = [[], [], []];
for (let turn = 0; turn < 5; turn += 1) {
  rare.push(await search('carousel'));
  common.push(await search('ballot'));
  none.push(await search('zzzz nothing'));
}
await search('');

// From the key to the report.
const opened = [];
for (let turn = 0; turn < 30; turn += 1) {
  opened.push(
    await page.evaluate(async () => {
      const start = performance.now();
      window.dispatchEvent(new KeyboardEvent('keydown', { key: 'j' }));
      const before = document.querySelector('article');
      await new Promise((done) => {
        const look = () => {
          const now = document.querySelector('article');
          if (now && now !== before) done();
          else requestAnimationFrame(look);
        };
        look();
      });
      return performance.now() - start;
    }),
  );
}
await page.keyboard.press('Escape');

// Scrolling for five seconds, as fast as pages come.
const frames = await page.evaluate(async () => {
  const box = document.querySelector('[role=listbox]');
  const all = [];
  const end = performance.now() + 5_000;
  await new Promise((done) => {
    let last = performance.now();
    const step = (now) => {
      all.push(now - last);
      last = now;
      box.scrollTop += 240;
      if (now < end) requestAnimationFrame(step);
      else done();
    };
    requestAnimationFrame(step);
  });
  const sorted = all.toSorted((a, b) => a - b);
  const at = (share) => sorted[Math.floor((sorted.length - 1) * share)];
  return { frames: all.length, p50: at(0.5), p95: at(0.95), most: at(1), rows: box.scrollTop / 92 };
});
await page.evaluate(() => (document.querySelector('[role=listbox]').scrollTop = 0));

/** Opens a page again and again: from the click to what says that it is there, and what the
    server took of that for each of its answers. */
async function opens(name, there, paths) {
  const [shown, answers] = [[], paths.map(() => [])];
  for (let turn = 0; turn < 5; turn += 1) {
    await page.evaluate(() => performance.clearResourceTimings());
    const start = Date.now();
    await page.getByRole('link', { name, exact: true }).click();
    await there();
    shown.push(Date.now() - start);
    for (const [at, path] of paths.entries()) {
      const asked = (path) =>
        performance.getEntriesByType('resource').find((one) => new URL(one.name).pathname === path)?.duration;
      const took = await page.evaluate(asked, path);
      // What is kept from the last time is not asked for again.
      if (took !== undefined) answers[at].push(took);
    }
    await page.getByRole('link', { name: 'Desk', exact: true }).click();
    await page.getByRole('listbox', { name: 'Reports' }).waitFor();
  }
  return { shown: median(shown), answers: Object.fromEntries(paths.map((path, at) => [path, median(answers[at])])) };
}
// The server keeps the room's figures for some seconds: the longest wait was for new ones.
const figures = await page.evaluate(async () => {
  const all = [];
  for (let turn = 0; turn < 30; turn += 1) {
    const start = performance.now();
    await (await fetch('/v1/room')).arrayBuffer();
    all.push(performance.now() - start);
    await new Promise((done) => setTimeout(done, 500));
  }
  return Math.max(...all);
});
const map = await opens('Map', () => page.locator('button.cluster').first().waitFor(), [
  '/v1/map/reports',
  '/v1/map/stations',
]);
const room = await opens('Room', () => page.locator('h3').first().waitFor(), []);
room.answers = { '/v1/room': figures };

say({ first: median(first), rare: median(rare), common: median(common), none: median(none), opened: median(opened), frames, map, room });

// What comes in: when the row of a report was first there.
await page.evaluate(() => {
  window.seen = {};
  new MutationObserver(() => {
    const now = Date.now();
    for (const row of document.querySelectorAll('[role=listbox] [role=option]')) window.seen[row.id.slice(-36)] ??= now;
  }).observe(document.querySelector('[role=listbox]'), { childList: true, subtree: true, attributes: true });
});
say({ watching: true });
await lines.next();
say({ seen: await page.evaluate(() => window.seen) });
await browser.close();
process.exit(0);
