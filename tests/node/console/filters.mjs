// The list shows what is asked for; a filter gets a name and is found again; everything
// is in the palette.

import assert from 'node:assert/strict';
import { account, phone, row, rows, signIn, story, until } from './stage.mjs';

await story(async (open) => {
  const observer = phone('D-1');
  await observer.file('Bags at the urn', '--category', 'ballot_stuffing', '--severity', 'critical');
  await observer.file('The door was locked', '--category', 'opening_irregularity', '--severity', 'low');
  await observer.file('The list hangs nowhere', '--category', 'voter_list_error', '--severity', 'low');
  const page = await open();
  await signIn(page, await account('coordinator'));
  const shows = (...texts) =>
    until(texts.join(', '), async () => {
      const shown = await rows(page).allTextContents();
      return shown.length === texts.length && texts.every((text) => shown.some((one) => one.includes(text)));
    });
  const palette = async (words) => {
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox', { name: 'All commands' }).fill(words);
    await page.keyboard.press('Enter');
  };

  await page.getByLabel('Severity').selectOption('low');
  await shows('The door was locked', 'The list hangs nowhere');
  await row(page, 'The door').click();
  await page.getByLabel('Looked after by').waitFor();
  await page.keyboard.press('a');
  await page.getByRole('article').getByText('Assigned').waitFor();
  await palette('my reports');
  await shows('The door was locked');
  await palette('nobody looks after');
  await shows('Bags at the urn', 'The list hangs nowhere');

  // A name for it, which stays when the page is read anew.
  await page.getByLabel('Severity').selectOption('low');
  await shows('The list hangs nowhere');
  await page.getByRole('button', { name: 'Saved filters' }).click();
  await page.getByLabel('Name for what the list shows now').fill('Low, free');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.reload();
  await shows('Bags at the urn', 'The door was locked', 'The list hangs nowhere');
  await palette('low, free');
  await shows('The list hangs nowhere');
  await palette('all reports');
  await shows('Bags at the urn', 'The door was locked', 'The list hangs nowhere');
  await page.getByRole('button', { name: 'Saved filters' }).click();
  await page.getByRole('button', { name: 'Forget: Low, free' }).click();
  await page.getByText('None yet.').waitFor();
  await page.keyboard.press('Escape');

  // What a live report does not fit is not shown.
  await page.getByLabel('Severity').selectOption('critical');
  await shows('Bags at the urn');
  await observer.file('Chairs are missing', '--category', 'accessibility', '--severity', 'low');
  await observer.file('A second bag', '--category', 'ballot_stuffing', '--severity', 'critical');
  await shows('Bags at the urn', 'A second bag');
  // On any page: what that page cannot do is not offered.
  await palette('cases');
  await page.getByRole('heading', { name: 'Cases' }).waitFor();
  await page.keyboard.press('Control+k');
  await page.getByRole('option', { name: 'Messages' }).waitFor();
  assert.equal(await page.getByRole('option', { name: /my reports/i }).count(), 0);
  await page.keyboard.press('Escape');
  await palette('desk');
  await shows('Bags at the urn', 'A second bag');

  await palette('русский');
  await page.getByText('Вброс бюллетеней').first().waitFor();
  assert.equal(await page.locator('html').getAttribute('lang'), 'ru');
});
