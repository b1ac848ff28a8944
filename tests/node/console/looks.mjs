// Every page, in both colours, three widths and each language: axe finds nothing
// (WCAG 2.2 A and AA), nothing is wider than the page, and no text is cut off unseen.
// The pictures are kept, to be looked at.

import assert from 'node:assert/strict';
import AxeBuilder from '@axe-core/playwright';
import { account, code, overflows, phone, put, row, server, signIn, story, until } from './stage.mjs';

const WIDTHS = [360, 1024, 1920];
/** The room's wall. */
const WALL = [360, 1024, 1920, 3840];
const HEIGHTS = { 360: 720, 1920: 1080, 3840: 2160 };
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** Looks at what the page shows now. */
async function look(page, name, widths = WIDTHS) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    const { violations } = await new AxeBuilder({ page }).withTags(TAGS).analyze();
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target).join(' ')}`);
    assert.deepEqual(found, [], `${name}, ${colorScheme}`);
    for (const width of widths) {
      await page.setViewportSize({ width, height: HEIGHTS[width] ?? 900 });
      await page.screenshot({ path: `${process.env.SHOTS}-${name}-${width}-${colorScheme}.png` });
      assert.deepEqual(await overflows(page), [], `${name} at ${width}`);
    }
    await page.setViewportSize({ width: 1024, height: 900 });
  }
}

/** The parts of the mission's page, each with something to see. */
async function missionPages(page, report) {
  const asked = await page.evaluate(async (address) => {
    const body = JSON.stringify({ reason: 'The family asked for it' });
    return (await fetch(address, { method: 'POST', headers: { 'content-type': 'application/json' }, body })).status;
  }, `/v1/reports/${report}/erasure`);
  assert.equal(asked, 201);
  await page.getByRole('link', { name: 'Mission', exact: true }).click();
  for (const name of ['Stations', 'Categories', 'Accounts', 'Imports', 'Erasures', 'Audit trail']) {
    await page.getByRole('link', { name, exact: true }).click();
    await page.getByRole('heading', { level: 2, name }).waitFor();
    if (name === 'Accounts') {
      await page.getByLabel('E-mail address').fill('nigar@example.org');
      await page.getByRole('button', { name: 'Add somebody' }).click();
      await page.getByRole('button', { name: 'Roles', exact: true }).click();
      await look(page, 'mission-roles');
      await page.keyboard.press('Escape');
    } else if (name === 'Imports') {
      const buffer = Buffer.from(
        'code,name,constituency_no\n8-1,Binagadi 1 (new hall),8\n' +
          `99-1,${'Averyverylongname'.repeat(20)},8\n`,
      );
      await page.getByLabel('CSV file').setInputFiles({ name: 'a.csv', mimeType: 'text/csv', buffer });
      await page.getByRole('button', { name: 'See what would change' }).click();
      await page.getByRole('heading', { name: 'What would change' }).waitFor();
    } else {
      await page.locator('.cards > li').first().waitFor();
    }
    await look(page, `mission-${name.split(' ')[0].toLowerCase()}`);
  }
  await page.setViewportSize({ width: 360, height: 720 });
  await page.getByRole('button', { name: 'Pages: Mission' }).click();
  await page.screenshot({ path: `${process.env.SHOTS}-pages-360.png` });
  assert.deepEqual(await overflows(page), []);
  await page.keyboard.press('Escape');
  await page.setViewportSize({ width: 1024, height: 900 });
}

await story(async (open) => {
  const observer = phone('D-1');
  await observer.file('Long queue', '--category', 'accessibility');
  const report = await observer.file(
    'Several people put bundles of ballots into the urn while the chairman looked away.',
    '--category', 'ballot_stuffing', '--severity', 'critical', '--station', '8-1',
    '--lat', '40.4705', '--lon', '49.8402',
  );
  await observer.run('check-in', '--station', '8-1');
  const other = phone('D-2');
  await other.run('check-in', '--station', '37-2');
  for (const [station, severity, category] of [
    ['8-2', 'high', 'violence'], ['8-3', 'medium', 'ink_check_omitted'], ['8-3', 'low', 'accessibility'],
    ['37-1', 'medium', 'ballot_box_defect'], ['37-4', 'critical', 'violence'], ['37-4', 'high', 'ballot_stuffing'],
  ]) {
    await other.run('file', '--text', 'Seen', '--category', category, '--severity', severity, '--station', station);
  }
  await other.sync();
  await observer.run('attach', report, await put('note.txt', 'what was seen'));
  await observer.sync();
  await observer.sync();
  const there = ['--station', '8-1'];
  await phone('D-3').file('A bundle of ballots was thrown in', '--category', 'ballot_stuffing', ...there);
  await phone('D-5').file('No violation was seen here', '--category', 'positive_no_issue', ...there);
  await phone('D-4').file('The ramp is too steep', '--category', 'accessibility', ...there);
  const who = await account('lead');
  const page = await open({ viewport: { width: 1024, height: 900 } });

  await page.goto('/');
  await page.getByLabel('E-mail address').waitFor();
  const picture = await page.screenshot({ type: 'jpeg' });
  await observer.run('attach', report, await put('urn.jpg', picture), await put('bad.jpg', picture.subarray(0, 300)));
  await until('all files with the server', async () => (await observer.sync()).files_pending === 0);
  await look(page, 'sign-in');
  await page.getByLabel('E-mail address').fill(who.email);
  await page.getByLabel('Password').fill('wrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('alert').getByText('is wrong').waitFor();
  await look(page, 'sign-in-refused');
  await page.getByLabel('Password').fill(who.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('Or type this secret into the app').click();
  await look(page, 'second-factor');
  await page.getByLabel('Code from the app').fill(code(await page.locator('details code').textContent()));
  await page.getByRole('button', { name: 'Turn it on' }).click();
  await page.getByRole('heading', { name: 'Keep these recovery codes' }).waitFor();
  await look(page, 'recovery-codes');
  await page.getByRole('button', { name: 'I have kept them' }).click();
  await row(page, 'put bundles of ballots').waitFor();
  await look(page, 'desk');
  await row(page, 'bundles of ballots').click();
  await page.getByRole('article').getByText('bundles of ballots').first().waitFor();
  await page.keyboard.press('r');
  await page.getByRole('dialog').getByRole('button', { name: 'Take into review' }).click();
  await page.getByRole('button', { name: /^Verify/ }).waitFor();
  await look(page, 'report');
  const together = page.getByRole('region', { name: 'The same event' });
  const told = (words) => together.getByRole('article').filter({ hasText: words });
  await told('thrown in').getByRole('button', { name: 'The same event' }).click();
  await told('No violation').getByRole('button', { name: 'Contradicts' }).click();
  await together.getByText('1 observer contradicts').waitFor();
  await together.getByText('Find another report of it').click();
  await together.getByLabel('Words of the other report').fill('ramp');
  await together.getByRole('button', { name: 'Find', exact: true }).click();
  await told('too steep').last().waitFor();
  await page.keyboard.press('c');
  await look(page, 'case');
  await page.getByRole('heading', { name: '3 files' }).scrollIntoViewIfNeeded();
  await page.getByRole('button', { name: 'Show it all the same' }).waitFor();
  await look(page, 'evidence');
  await page.keyboard.press('n');
  await page.getByRole('dialog').getByLabel('Reason').waitFor();
  await look(page, 'decide');
  await page.keyboard.press('Escape');
  await page.keyboard.press('?');
  await look(page, 'keys');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+k');
  await look(page, 'palette');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Saved filters' }).click();
  await look(page, 'filters');
  await page.keyboard.press('Escape');
  for (const name of ['Cases', 'Quarantine', 'Observers', 'Messages', 'Exports']) {
    await page.getByRole('link', { name, exact: true }).click();
    await page.getByRole('heading', { level: 2, name: name === 'Messages' ? 'Messages to observers' : name }).waitFor();
    if (name === 'Observers') {
      await page.getByRole('button', { name: 'Sheets for all of these' }).click();
      await page.getByRole('button', { name: 'Make them' }).waitFor();
      await look(page, 'sheets-asked');
      await page.route('**/v1/enrolment-codes', (route) => route.abort());
      await page.getByRole('button', { name: 'Make them' }).click();
      await page.getByRole('alert').filter({ hasText: 'There is no code for D-1.' }).waitFor();
      await look(page, 'sheets-failed');
      await page.unroute('**/v1/enrolment-codes');
      await page.getByRole('button', { name: 'Go on', exact: true }).click();
      await page.getByRole('status').getByText('5 sheets are made.').waitFor();
      await page.getByRole('button', { name: 'Phones' }).first().click();
      await page.getByText(/^Enrolled /).waitFor();
    }
    if (name === 'Messages') await page.getByText('To whom').click();
    await look(page, name.toLowerCase());
    if (name === 'Observers') {
      await page.getByRole('button', { name: 'Put them away' }).click();
      await page.getByRole('button', { name: 'Leave without them' }).waitFor();
      await look(page, 'sheets-leaving');
      await page.getByRole('button', { name: 'Leave without them' }).click();
      await page.getByRole('article', { name: 'Enrolment sheet' }).first().waitFor({ state: 'detached' });
    }
  }
  await missionPages(page, report);
  await page.getByRole('link', { name: 'Map', exact: true }).click();
  await page.getByRole('button', { name: /reports, the worst/ }).first().waitFor();
  await look(page, 'map');
  await page.getByText('Layers and signs').click();
  await look(page, 'map-layers');
  await page.getByRole('link', { name: 'Room', exact: true }).click();
  await page.getByText('The figures follow what comes in.').waitFor();
  await look(page, 'room', WALL);
  await server.run('mission', 'set', '--untouched-after', '1s', '--silent-after', '1s');
  await page.getByRole('alert').filter({ hasText: 'went silent' }).waitFor();
  await look(page, 'room-alarm', WALL);
  await page.getByRole('button', { name: 'Who?' }).click();
  await page.getByRole('dialog').getByText('Last heard of').first().waitFor();
  await look(page, 'silent');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Noted' }).click();
  await page.getByRole('link', { name: 'Desk', exact: true }).click();
  await row(page, 'bundles of ballots').click();
  await page.getByRole('img', { name: 'Map: where the report was filed' }).waitFor();
  await look(page, 'report-map');
  // A call: the form as somebody fills it, and what it leaves.
  await page.getByRole('link', { name: 'Telephone', exact: true }).click();
  await page.getByLabel('What the caller says').fill('They put bundles of papers into the urn');
  await page.getByRole('combobox', { name: 'Station' }).fill('8-1');
  await page.getByRole('combobox', { name: 'Category' }).fill('stuffing');
  await page.getByRole('option', { name: /stuffing/i }).first().waitFor();
  await look(page, 'telephone-typing');
  await page.getByRole('combobox', { name: 'Category' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('combobox', { name: 'Number' }).fill('D-1');
  await look(page, 'telephone');
  await page.getByRole('button', { name: 'Enter the report' }).click();
  await page.getByText('May be the same report').waitFor();
  await look(page, 'telephone-report');
  await page.getByRole('button', { name: 'Correct what was misheard' }).click();
  await page.getByRole('dialog').waitFor();
  await look(page, 'telephone-correct');
  await page.keyboard.press('Escape');
  await page.getByRole('link', { name: 'Desk', exact: true }).click();
  await row(page, 'while the chairman').click();
  for (const [name, word] of [['Azərbaycanca', 'Məlumatlar'], ['Русский', 'Сообщения']]) {
    await page.keyboard.press('Control+k');
    await page.locator('dialog input').fill(name);
    await page.keyboard.press('Enter');
    await page.getByRole('listbox', { name: word }).waitFor();
    const language = await page.locator('html').getAttribute('lang');
    await look(page, `report-${language}`);
    await page.evaluate(() => (location.hash = '/room'));
    await page.locator('table').first().waitFor();
    await look(page, `room-${language}`);
    await page.evaluate(() => (location.hash = '/desk'));
  }
  // Whoever runs the server.
  const operator = await open({ viewport: { width: 1024, height: 900 } });
  await signIn(operator, await account('operator'));
  await look(operator, 'server');
  // From right to left, as Arabic will be.
  await page.evaluate(() => (document.documentElement.dir = 'rtl'));
  await look(page, 'report-rtl');
});
