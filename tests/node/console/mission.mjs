// The mission's own pages: a phone is enrolled from its sheet, revoked, what it sends then
// waits in quarantine and is let in; observers are told something; a file is taken away.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { account, phone, row, signIn, story, until } from './stage.mjs';

await story(async (open) => {
  const page = await open();
  await signIn(page, await account('lead'));
  const go = (name) => page.getByRole('link', { name, exact: true }).click();
  const reason = async (text, button) => {
    await page.getByRole('dialog').getByLabel('Reason').fill(text);
    await page.getByRole('dialog').getByRole('button', { name: button }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
  };

  // A sheet, and the phone that it binds.
  await go('Observers');
  await page.getByLabel('Number, pseudonym or name').fill('D-4');
  await page.getByRole('button', { name: 'Find' }).click();
  await page.getByText('Dilarə Sınaq').waitFor();
  await until('one accreditation', async () => (await page.locator('.cards > li').count()) === 1);
  await page.getByRole('button', { name: 'Enrolment code' }).click();
  const sheet = page.getByRole('article', { name: 'Enrolment sheet of D-4' });
  await sheet.getByRole('img', { name: 'QR code to enrol D-4' }).waitFor();
  const observer = phone('sheet');
  await page.getByRole('button', { name: 'Print' }).click();
  await observer.enrol(await sheet.locator('code').textContent());
  await observer.file('Filed from the sheet', '--category', 'accessibility');

  // The phone is lost.
  await page.getByRole('button', { name: 'Phones' }).click();
  await page.getByRole('button', { name: 'Revoke this phone' }).click();
  await reason('The phone was taken', 'Revoke this phone');
  await page.getByText('revoked').waitFor();
  await observer.file('Sent after the phone was taken', '--category', 'accessibility');

  await go('Quarantine');
  await page.getByText('Sent after the phone was taken').waitFor();
  await page.getByText('The device or its accreditation was revoked before this came.').waitFor();
  await go('Desk');
  await row(page, 'Filed from the sheet').waitFor();
  assert.equal(await row(page, 'after the phone was taken').count(), 0);
  await go('Quarantine');
  await page.getByRole('button', { name: 'Let it in' }).click();
  await reason('The observer wrote it before', 'Let it in');
  await page.getByText('Nothing waits.').waitFor();
  await go('Desk');
  await row(page, 'Sent after the phone was taken').waitFor();

  // A message reaches those whom it is for.
  const [one, other] = [phone('D-1'), phone('D-3')];
  await one.sync();
  await other.sync();
  await go('Messages');
  await page.getByLabel('Message', { exact: true }).fill('Stay until the protocol is signed');
  await page.getByText('To whom').click();
  await page.getByLabel('Institutions').fill('Sample Alliance (invented)');
  await page.getByRole('button', { name: 'Send the message' }).click();
  await page.getByText('Sent to 2 accreditations.').waitFor();
  await page.getByRole('listitem').getByText('Stay until the protocol is signed').waitFor();
  for (const [phone, count] of [[one, 1], [other, 0]]) {
    await phone.sync();
    assert.equal((await phone.run('messages')).length, count);
  }

  // Taken away.
  await go('Exports');
  await page.getByLabel('Search in reports').fill('sheet');
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: 'Download' }).click(),
  ]);
  const text = await readFile(await download.path(), 'utf8');
  assert(text.includes('Filed from the sheet') && !text.includes('was taken'), text);
  assert(!text.includes('Dilarə'), 'without names');
});
