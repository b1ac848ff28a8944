// An observer calls, and a coordinator enters it. The line is cut while it is sent, and the
// page is read anew: it is entered once. The observer's own report comes; the two are merged,
// parted, and merged again. What callers say may be hostile.

import assert from 'node:assert/strict';
import { account, phone, row, rows, server, signIn, story, until } from './stage.mjs';

const HOSTILE = '<img src=x onerror=complain(1)> \u202E‮ "quoted" they push us out';

await story(async (open) => {
  const observer = phone('D-1');
  const lead = await account('lead');
  const page = await open();
  await signIn(page, lead);

  // The form opens by a key, and is filled by the keyboard alone.
  await page.keyboard.press('t');
  await page.getByRole('heading', { name: 'Report by telephone' }).waitFor();
  const pick = async (label, text, option) => {
    await page.getByRole('combobox', { name: label }).fill(text);
    await page.getByRole('option', { name: option }).first().waitFor();
    await page.keyboard.press('Enter');
  };
  await pick('Number, pseudonym or name', 'd-1', 'D-1');
  assert.equal(await page.getByRole('combobox', { name: 'Number, pseudonym or name' }).inputValue(), 'D-1');
  await page.getByLabel('What the caller says').fill(HOSTILE);
  await pick('Station (may stay empty)', '8-1', '8-1');
  await pick('Category', 'stuffing', /stuffing/i);

  // The answer gets lost, the page is read anew, the server is away: nothing is, and it is
  // entered once.
  await page.route('**/v1/reports', async (route) => {
    await route.fetch();
    await route.abort();
  });
  await page.getByRole('button', { name: 'Enter the report' }).click();
  await page.getByRole('alert').getByText('cannot be reached').waitFor();
  await page.unroute('**/v1/reports');
  await page.reload();
  await until('the draft', async () => (await page.getByLabel('What the caller says').inputValue()) === HOSTILE);
  await server.kill();
  await page.getByRole('button', { name: 'Enter the report' }).click();
  await page.getByRole('alert').getByText('cannot be reached').waitFor();
  await server.start();
  await until('the server', () => page.evaluate(() => fetch('/readyz').then((is) => is.ok, () => false)));
  await page.getByRole('button', { name: 'Enter the report' }).click();
  const report = page.getByRole('article');
  await report.getByText('for observer-', { exact: false }).or(report.getByText('Entered by')).first().waitFor();
  await row(page, 'they push us out').waitFor();
  assert.equal(await rows(page).count(), 1);
  assert.equal(await report.locator('p.words').first().textContent(), HOSTILE);
  await row(page, 'by telephone').waitFor();

  // Misheard: the difference is marked in the history.
  await report.getByRole('button', { name: 'Correct what was misheard' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('What the caller says').fill('they push two of us out');
  await dialog.getByRole('button', { name: 'Correct what was misheard' }).click();
  await dialog.waitFor({ state: 'detached' });
  await report.locator('ins', { hasText: 'two of' }).waitFor();

  // The observer's own report comes, is found from either, and the two become one.
  await observer.file('they push two of us out, I filmed it', '--category', 'ballot_stuffing', '--station', '8-1');
  await row(page, 'I filmed it').click();
  await report.getByText('I filmed it').first().waitFor();
  await report.getByText('Calls that may tell the same').click();
  await report.getByRole('button', { name: 'They are the same: merge' }).click();
  const also = report.getByRole('region', { name: 'also told by telephone' });
  await also.getByText('they push two of us out').waitFor();
  await row(page, 'merged').waitFor();

  // Taken back there, and merged again from the other side.
  await also.getByRole('button', { name: 'Take the merging back' }).click();
  await also.waitFor({ state: 'detached' });
  await rows(page).filter({ hasNotText: 'I filmed it' }).click();
  await report.getByText('May be the same report').waitFor();
  await report.getByRole('button', { name: 'They are the same: merge' }).click();
  await report.getByRole('region', { name: 'Merged into this report' }).getByText('I filmed it').waitFor();
  assert.equal(await report.getByRole('button', { name: 'Take into review' }).count(), 0);

  // A list read anew leaves it out; asked for, it shows it; an export holds it once, marked.
  await page.reload();
  await row(page, 'also told by telephone').waitFor();
  assert.equal(await rows(page).count(), 1);
  await page.getByLabel('How it came').selectOption('merged');
  await row(page, 'two of us out').getByText('merged').waitFor();
  const csv = await page.evaluate(() => fetch('/v1/exports/csv').then((answer) => answer.text()));
  const lines = csv.split('\r\n').filter((line) => line.includes('they push'));
  assert.equal(lines.length, 2);
  assert.equal(lines.filter((line) => line.includes(',observer,')).length, 1);
  assert.ok(!csv.includes('onerror'));

  // A citizen calls; somebody reads it who may call back.
  await page.goto('/#/telephone');
  await page.getByLabel('A citizen').check();
  await page.getByLabel('What the caller says').fill('Buses stand before the school');
  await pick('Category', 'stuffing', /stuffing/i);
  await page.getByLabel('Who it is, and how to reach them').fill('a teacher, 050 000 00 00');
  await page.getByRole('button', { name: 'Enter the report' }).click();
  await report.getByText('a teacher, 050 000 00 00').first().waitFor();
});
