// Two leads erase a report; what they did, and what was done at the command line, stands in
// the audit trail, which an auditor filters and takes away.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { account, phone, row, server, signIn, story, until } from './stage.mjs';

await story(async (open) => {
  await phone('D-1').file('A name that must go', '--category', 'accessibility');
  const [first, second, auditor] = [await account('lead'), await account('lead'), await account('auditor')];
  const page = await open();
  await signIn(page, first);
  await row(page, 'A name that must go').click();
  await page.getByRole('button', { name: 'Ask for erasure' }).click();
  await page.getByRole('dialog').getByLabel('Reason').fill('The family asked for it');
  await page.getByRole('dialog').getByRole('button', { name: 'Ask for erasure' }).click();
  await page.getByText('Erasure has been asked for.').waitFor();

  // Not by the same person.
  const erasures = async (on) => {
    await on.getByRole('link', { name: 'Mission', exact: true }).click();
    await on.getByRole('link', { name: 'Erasures', exact: true }).click();
    await on.getByText('The family asked for it').waitFor();
  };
  await erasures(page);
  await page.getByText('You asked for it: another lead has to approve.').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Approve' }).count(), 0);
  const reading = await open();
  await signIn(reading, auditor);
  await erasures(reading);
  assert.equal(await reading.getByRole('button', { name: 'Approve' }).count(), 0);

  // Another lead reads what will go, and approves.
  const other = await open();
  await signIn(other, second);
  await erasures(other);
  await other.getByRole('button', { name: 'Approve' }).click();
  await other.getByRole('dialog').getByText('A name that must go').waitFor();
  await other.getByRole('button', { name: 'Erase for ever' }).click();
  await other.getByText('Erased', { exact: true }).waitFor();
  await other.getByRole('link', { name: 'Desk', exact: true }).click();
  await until('the words gone', async () => (await row(other, 'A name that must go').count()) === 0);

  // At the command line.
  await server.run('user', 'disable', '--email', first.email);

  // The trail, newest first.
  await reading.getByRole('link', { name: 'Audit trail', exact: true }).click();
  const items = reading.locator('.cards > li');
  await items.first().getByText('Disabled an account').waitFor();
  await items.first().getByText("at the server's command line").waitFor();
  await items.first().getByText(first.email).waitFor();
  await reading.getByLabel(/^What/).selectOption({ label: 'Erased a report' });
  await until('one erasure', async () => (await items.count()) === 1);
  await items.getByText(second.email).waitFor();
  await reading.getByLabel(/^What/).selectOption({ label: 'Anything' });
  await reading.getByLabel('Who, or to whom').selectOption({ label: second.email });
  await until('hers alone', async () => {
    const texts = await items.allTextContents();
    return texts.length > 1 && texts.every((text) => text.includes(second.email));
  });
  await reading.getByLabel('To', { exact: true }).fill('2001-01-01');
  await reading.getByText('Nothing fits.').waitFor();
  await reading.getByLabel('To', { exact: true }).fill('');
  await items.first().waitFor();

  // Taken away with the same filters, which is an act too.
  const [download] = await Promise.all([
    reading.waitForEvent('download'),
    reading.getByRole('link', { name: 'Download as CSV' }).click(),
  ]);
  const text = await readFile(await download.path(), 'utf8');
  assert(text.includes(second.email) && text.includes(',erase,'), text);
  assert(!text.includes('user disable') && !text.includes(',account_disabled,'), text);
  await reading.getByLabel('Who, or to whom').selectOption({ label: 'Anybody' });
  await items.first().getByText('Downloaded the audit trail').waitFor();
});
