// A session ends when it says, what is on the page stays, and a lost second factor is
// replaced by whoever runs the server.

import assert from 'node:assert/strict';
import { account, phone, row, server, signIn, story, until } from './stage.mjs';

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

  // The second factor is taken away: no session of the account is left.
  await server.run('user', 'reset-second-factor', '--email', who.email);
  await page.getByLabel('Note for colleagues').fill('One more');
  await page.getByRole('button', { name: 'Write the note' }).click();
  await page.getByRole('dialog', { name: 'has ended' }).waitFor();
  who.codes = [];
  await signIn(page, who, true);
  await page.reload();
  await row(page, 'The count began').waitFor();

  // A disabled account is out at once.
  await server.run('user', 'disable', '--email', who.email);
  await page.reload();
  await page.getByLabel('E-mail address').waitFor();
});
