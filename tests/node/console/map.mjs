// The map: clusters come apart by hand and by key, one report is opened from it, what
// comes in shows, filters are the desk's, and without a map the list still serves. Tiles
// come from nowhere but where whoever runs the server said.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { account, heldBack, phone, row, server, signIn, story, until } from './stage.mjs';

/** A transparent picture of one pixel. */
const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==',
  'base64',
);

/** The list beside the map. */
const listed = (page) => page.getByRole('listbox', { name: 'Reports in sight' }).getByRole('option');
const map = (page) => page.getByRole('link', { name: 'Map', exact: true });
const cluster = (page, words) => page.getByRole('button', { name: words });

await story(async (open) => {
  const observer = phone('D-1');
  const file = (text, ...more) => observer.file(text, '--category', 'ballot_stuffing', ...more);
  for (const at of [1, 2]) await file(`Crowd ${at}`, '--station', '8-1', '--severity', 'low');
  await file('Bags at the urn', '--station', '8-1', '--severity', 'critical');
  await file('Ink is missing', '--station', '8-5', '--severity', 'medium');
  await file('Far from any place', '--severity', 'high');
  // In the middle of the constituency's stations, so in the middle of the map.
  const away = ['--station', '37-1', '--lat', '40.6825', '--lon', '46.3625'];
  const lonely = await file('A lonely ballot box', '--severity', 'high', ...away);
  const who = await account('lead');
  const page = await open({ viewport: { width: 1280, height: 800 } });
  await signIn(page, who);

  // Everything is there; two towns are far apart, so one is a cluster.
  await map(page).click();
  await page.getByText('5 of 6 reports are in sight.').waitFor();
  await page.getByText('1 has no place.').waitFor();
  const town = cluster(page, '4 reports, the worst: critical');
  await town.waitFor();

  // By key it opens; what stays together at its nearest is listed.
  await town.focus();
  await page.keyboard.press('Enter');
  const crowd = cluster(page, '3 reports, the worst: critical');
  await crowd.waitFor();
  await until('the cluster of one place being listed', async () => {
    if (await page.getByText('3 reports were chosen on the map.').isVisible()) return true;
    await crowd.click({ timeout: 1_000 }).catch(() => {});
    return false;
  });
  assert.equal(await listed(page).count(), 3);

  // One of them is read at the desk.
  await listed(page).filter({ hasText: 'critical' }).click();
  await page.getByRole('article').getByText('Bags at the urn').first().waitFor();
  await page.getByRole('img', { name: 'Map: the station that the report names' }).waitFor();

  // A constituency is chosen before the map is drawn, and a single report by its sign on it.
  let draw;
  const chosen = new Promise((resolve) => (draw = resolve));
  await page.route('**/v1/map', async (route) => {
    await chosen;
    await route.continue();
  });
  await map(page).click();
  await page.getByRole('combobox', { name: 'Constituency', exact: true }).selectOption('37');
  await page.getByText('1 of 1 reports are in sight.').waitFor();
  draw();
  const ground = page.locator('.maplibregl-canvas');
  await until('the report under the pointer', async () => {
    if (await page.getByText('1 report was chosen on the map.').isVisible()) return true;
    const { width, height } = await ground.boundingBox();
    await ground.click({ position: { x: width / 2, y: height / 2 }, timeout: 1_000 }).catch(() => {});
    return false;
  });
  await listed(page).first().focus();
  await page.getByRole('listbox', { name: 'Reports in sight' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('article').getByText('A lonely ballot box').first().waitFor();
  await page.getByRole('img', { name: 'where the report was filed, and its station' }).waitFor();
  await page.getByText(/from the station/).waitFor();

  // The desk has the map's filter, and the other way round.
  await page.getByRole('button', { name: 'constituency 37' }).click();
  await row(page, 'Ink is missing').waitFor();
  await page.getByRole('combobox', { name: 'Severity', exact: true }).selectOption('critical');
  await map(page).click();
  // The map stays where it was looked at last.
  await page.getByText('0 of 1 reports are in sight.').waitFor();
  await page.getByRole('button', { name: 'Show everything' }).click();
  await page.getByText('1 of 1 reports are in sight.').waitFor();
  assert.equal(await page.getByRole('combobox', { name: 'Severity', exact: true }).inputValue(), 'critical');
  await page.getByRole('combobox', { name: 'Severity', exact: true }).selectOption('');
  await page.getByText('5 of 6 reports are in sight.').waitFor();

  // What comes in shows, also after the server was away; what is withdrawn says so.
  await file('Somebody shouts', '--station', '8-1', '--severity', 'low');
  await page.getByText('6 of 7 reports are in sight.').waitFor();
  await cluster(page, '5 reports, the worst: critical').waitFor();

  // What comes in while an answer is on its way, which is older, is kept.
  const severity = page.getByRole('combobox', { name: 'Severity', exact: true });
  const late = await heldBack(page, '**/v1/map/reports*');
  await severity.selectOption('low');
  await late.asked;
  await file('While the reports were on their way', '--station', '8-1', '--severity', 'low');
  await page.getByText('7 of 8 reports are in sight.').waitFor();
  await late.release();
  await page.getByText('4 of 4 reports are in sight.').waitFor();
  await severity.selectOption('');
  await page.getByText('7 of 8 reports are in sight.').waitFor();

  await server.kill();
  await page.getByText('No line to the server').waitFor();
  await server.start();
  await observer.run('amend', lonely, '--severity', 'critical');
  await observer.sync();
  await page.getByRole('status').filter({ hasText: /^Live/ }).waitFor();
  await until('the amendment on the map', async () =>
    (await listed(page).filter({ hasText: 'critical' }).count()) === 2,
  );

  // By a constituency's name, too.
  await page.getByRole('button', { name: /^Constituency Nizami: 1 report\b/ }).click();
  await page.getByText('1 of 1 reports are in sight.').waitFor();

  // Without WebGL the list holds everything.
  const bare = await open();
  await bare.addInitScript(() => {
    const whole = HTMLCanvasElement.prototype.getContext;
    HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
      return kind.startsWith('webgl') ? null : whole.call(this, kind, ...more);
    };
  });
  await signIn(bare, await account('analyst'));
  await map(bare).click();
  await bare.getByText('This browser cannot draw the map').waitFor();
  await bare.getByText('8 of 8 reports are in sight.').waitFor();
  await listed(bare).filter({ hasText: 'No station' }).click();
  await bare.getByRole('article').getByText('Far from any place').first().waitFor();

  // As many as one answer holds, and one more that comes in live.
  const many = 100_000;
  const column = (of) => Array.from({ length: many }, (_, at) => of(at));
  const crowded = await open({ viewport: { width: 1280, height: 800 } });
  await crowded.route('**/v1/map/reports*', async (route) => {
    const { cursor } = await (await route.fetch()).json();
    await route.fulfill({
      json: {
        cursor,
        more: false,
        id: column((at) => `00000000-0000-4000-8000-${String(at).padStart(12, '0')}`),
        lon: column((at) => 45 + (at % 317) / 60),
        lat: column((at) => 39 + (at % 293) / 100),
        severity: column((at) => at % 5),
        status: column(() => 0),
        category: column(() => 0),
        station: column(() => null),
        received: column((at) => 1_700_000_000 - at),
        statuses: ['received'],
        categories: ['ballot_stuffing'],
        stations: [],
      },
    });
  });
  await signIn(crowded, await account('analyst'));
  await map(crowded).click();
  await crowded.getByText(/of 100000 reports are in sight/).waitFor();
  await cluster(crowded, /^\d{3,} reports, the worst: critical/).first().waitFor();
  await file('One more', '--station', '8-1', '--severity', 'low');
  await crowded.getByText(/of 100001 reports are in sight/).waitFor();
  await crowded.context().close();

  // Tiles of whoever runs the server, from their address and no other.
  const asked = [];
  const tiles = createServer((request, response) => {
    asked.push(request.url);
    response.writeHead(200, { 'content-type': 'image/png', 'access-control-allow-origin': '*' });
    response.end(PIXEL);
  });
  await new Promise((ready) => tiles.listen(0, '127.0.0.1', ready));
  const address = `http://127.0.0.1:${tiles.address().port}`;
  await server.stop();
  await server.set('map_tiles', `${address}/{z}/{x}/{y}.png`);
  await server.set('map_attribution', '© A neighbour <b>who draws</b>');
  await server.start();
  const tiled = await open({ elsewhere: address });
  await signIn(tiled, await account('auditor'));
  await map(tiled).click();
  await tiled.getByText('© A neighbour <b>who draws</b>').waitFor();
  await until('a tile', () => asked.some((path) => /^\/\d+\/\d+\/\d+\.png$/.test(path)));
  await tiled.context().close();
  tiles.close();
});
