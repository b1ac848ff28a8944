// Who works in the mission: a lead adds somebody, who signs in with the password that was
// shown once; takes roles, the second factor and the account away and gives them back; and
// an operator, who reads no reports, finds a page of their own.

import assert from 'node:assert/strict';
import { account, row, phone, signIn, story, until } from './stage.mjs';

await story(async (open) => {
  await phone('D-1').file('Long queue', '--category', 'accessibility');
  const page = await open();
  const lead = await account('lead');
  await signIn(page, lead);
  const reason = async (text, button) => {
    await page.getByRole('dialog').getByLabel('Reason').fill(text);
    await page.getByRole('dialog').getByRole('button', { name: button }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
  };
  await page.getByRole('link', { name: 'Mission', exact: true }).click();
  await page.getByRole('link', { name: 'Accounts', exact: true }).click();
  const card = (email) => page.locator('.cards > li').filter({ hasText: email });
  await card(lead.email).getByText('second factor set up').waitFor();
  assert.equal(await card(lead.email).getByRole('button').count(), 0, 'nothing to do to oneself');

  // Somebody new, with a password that is shown once.
  const nigar = { email: 'nigar@example.org', codes: [] };
  await page.getByLabel('E-mail address').fill(nigar.email);
  await page.getByRole('checkbox', { name: /^Auditor/ }).check();
  await page.getByRole('button', { name: 'Add somebody' }).click();
  nigar.password = await page.locator('.password code').textContent();
  await page.getByRole('button', { name: 'I have noted it' }).click();
  await card(nigar.email).getByText('no second factor yet').waitFor();
  await card(nigar.email).getByText('Coordinator, Auditor').waitFor();
  const hers = await open();
  await signIn(hers, nigar);
  await row(hers, 'Long queue').waitFor();
  await hers.getByRole('link', { name: 'Mission', exact: true }).click();
  await hers.getByRole('link', { name: 'Accounts', exact: true }).click();
  await hers.locator('.cards > li').first().waitFor();
  assert.equal(await hers.getByRole('button', { name: 'Roles', exact: true }).count(), 0, 'auditors read');

  // Fewer roles: from the next request on.
  await card(nigar.email).getByRole('button', { name: 'Roles', exact: true }).click();
  await page.getByRole('dialog').getByRole('checkbox', { name: /^Auditor/ }).uncheck();
  await reason('She reviews now', 'Set the roles');
  await card(nigar.email).getByText('Coordinator', { exact: true }).waitFor();
  await hers.reload();
  await hers.getByRole('link', { name: 'Stations', exact: true }).waitFor();
  assert.equal(await hers.getByRole('link', { name: 'Audit trail' }).count(), 0);

  // Disabled while she works, enabled again.
  await card(nigar.email).getByRole('button', { name: 'Disable' }).click();
  await reason('The laptop was taken', 'Disable');
  await card(nigar.email).getByText('disabled').waitFor();
  await hers.getByRole('button', { name: 'Find' }).click();
  await hers.getByText('Sign in again; nothing on the page is lost.').waitFor();
  await card(nigar.email).getByRole('button', { name: 'Enable' }).click();
  await reason('It is back', 'Enable');
  await until('no mark', async () => (await card(nigar.email).getByText('disabled').count()) === 0);

  // App and codes are lost, and the password is forgotten.
  await card(nigar.email).getByRole('button', { name: 'Reset second factor' }).click();
  await reason('The phone is gone', 'Reset second factor');
  await card(nigar.email).getByText('no second factor yet').waitFor();
  await card(nigar.email).getByRole('button', { name: 'New password' }).click();
  await reason('Forgotten', 'New password');
  const next = await page.locator('.password code').textContent();
  assert.notEqual(next, nigar.password);
  const fresh = await open();
  await signIn(fresh, { ...nigar, password: next, codes: [] });
  await row(fresh, 'Long queue').waitFor();

  // Out of the mission.
  await card(nigar.email).getByRole('button', { name: 'Roles', exact: true }).click();
  await page.getByRole('dialog').getByRole('checkbox', { name: /^Coordinator/ }).uncheck();
  await page.getByText('Without a role the account leaves the mission').waitFor();
  await reason('She left', 'Set the roles');
  await until('nobody of this name', async () => (await card(nigar.email).count()) === 0);

  // What an operator has.
  const operators = await open();
  await signIn(operators, await account('operator'));
  await operators.getByText('Parliamentary 2024').waitFor();
  await operators.getByText('No bundle waits.').waitFor();
  await operators.getByText('scrutineer backup').waitFor();
  assert.equal(await operators.getByRole('navigation').getByRole('link').count(), 1);
});
