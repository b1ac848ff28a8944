// A session ends when it says, what is on the page stays, what a caller says among it, and a
// lost second factor is replaced by whoever runs the server.

import assert from 'node:assert/strict';
import { account, phone, row, rows, server, signIn, story, until } from './stage.mjs';

await story(async (open) => {
  await phone('D-1').file('The count began early', '--category', 'accessibility');
  const who = await account('coordinator');
  const page = await open();
  await page.clock.install();
  await signIn(page, who);
  await row(page, 'The count began').click();
  await page.getByLabel('Note for colleagues').fill('Half a sentence');

  // Near its end it asks, and a word keeps it.
  await page.clock.fastForward('28:30');
  await page.getByRole('dialog', { name: 'about to end' }).getByRole('button', { name: 'Stay signed in' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });

  // Without it, the page stays and asks for the password and a code.
  await page.clock.fastForward('29:00');
  await page.getByRole('dialog', { name: 'about to end' }).waitFor();
  await page.clock.fastForward('02:00');
  await page.getByRole('dialog', { name: 'has ended' }).waitFor();
  assert.equal(await page.getByLabel('E-mail address').inputValue(), who.email);
  await signIn(page, who, true);
  assert.equal(await page.getByLabel('Note for colleagues').inputValue(), 'Half a sentence');
  // Read anew for the answer and for the line, which may be later.
  let reads = 0;
  page.on('requestfinished', (request) => (reads += /\/v1\/reports\/[^/]+$/.test(request.url()) ? 1 : 0));
  await page.getByRole('button', { name: 'Write the note' }).click();
  await page.getByRole('article').getByText('Half a sentence').waitFor();
  await until('the note told', () => reads >= 2);

  // Somebody calls, and the session ends in the middle of a word.
  await page.getByRole('link', { name: 'Telephone', exact: true }).click();
  const pick = async (label, text, option) => {
    await page.getByRole('combobox', { name: label }).fill(text);
    await page.getByRole('option', { name: option }).first().waitFor();
    await page.keyboard.press('Enter');
  };
  await page.getByLabel('A citizen').check();
  await pick('Station (may stay empty)', '8-1', '8-1');
  await pick('Category', 'stuffing', /stuffing/i);
  await page.getByLabel('Who it is, and how to reach them').fill('a teacher, 050 000 00 00');
  const said = page.getByLabel('What the caller says');
  await said.fill('They carry two bags to the');
  const typed = async () => [
    await said.inputValue(),
    await page.getByRole('combobox', { name: 'Station (may stay empty)' }).inputValue(),
    await page.getByRole('combobox', { name: 'Category' }).inputValue(),
    await page.getByLabel('Who it is, and how to reach them').inputValue(),
  ];
  const before = await typed();
  assert.match(before[2], /stuffing/i);
  await page.clock.fastForward('31:00');
  await page.getByRole('dialog', { name: 'has ended' }).waitFor();
  await signIn(page, who, true);
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.deepEqual(await typed(), before);
  await said.press('End');
  await said.pressSequentially(' back door');
  await until('the draft', () => page.evaluate(() => JSON.stringify({ ...localStorage }).includes('back door')));

  // Even where the page itself went: another day, another browser's window.
  await page.context().clearCookies();
  await page.reload();
  await page.getByLabel('E-mail address').fill(who.email);
  await signIn(page, who, true);
  before[0] += ' back door';
  await until('the draft again', async () => JSON.stringify(await typed()) === JSON.stringify(before));

  // Or the moment that it is sent in: nothing is entered, and then it is, once.
  await page.context().clearCookies();
  await page.getByRole('button', { name: 'Enter the report' }).click();
  await page.getByRole('dialog', { name: 'has ended' }).waitFor();
  await signIn(page, who, true);
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.deepEqual(await typed(), before);
  await page.getByRole('button', { name: 'Enter the report' }).click();
  await page.getByRole('article').getByText('They carry two bags to the back door').first().waitFor();
  await row(page, 'two bags to the back door').waitFor();
  assert.equal(await rows(page).count(), 2);
  await row(page, 'The count began').click();

  // The second factor is taken away: no session of the account is left, as the page finds
  // by itself or when somebody does something.
  await page.getByLabel('Note for colleagues').fill('One more');
  await server.run('user', 'reset-second-factor', '--email', who.email);
  const over = page.getByRole('dialog', { name: 'has ended' });
  await until('the end', async () => {
    if (await over.isVisible()) return true;
    await page.getByRole('button', { name: 'Write the note' }).click({ timeout: 1_000 }).catch(() => {});
    return false;
  });
  who.codes = [];
  await signIn(page, who, true);
  await page.reload();
  await row(page, 'The count began').waitFor();

  // A disabled account is out at once.
  await server.run('user', 'disable', '--email', who.email);
  await page.reload();
  await page.getByLabel('E-mail address').waitFor();
});
