// Two who open the same report see each other, and what one does can be taken back.

import { account, phone, row, signIn, story } from './stage.mjs';

await story(async (open) => {
  const observer = phone('D-1');
  await observer.file('The seal of the urn is broken', '--category', 'ballot_box_defect');
  const report = await observer.file('Nobody checks the ink', '--category', 'ink_check_omitted');
  await observer.run('amend', report, '--text', 'Nobody checks or applies the ink');
  await observer.sync();
  const [anar, leyla] = [await account('coordinator'), await account('lead')];
  const [one, other] = [await open(), await open()];
  await signIn(one, anar);
  await signIn(other, leyla);

  // Who else reads it, in the report and in the list; and who decides.
  await row(one, 'applies the ink').click();
  await row(other, 'applies the ink').getByText('1 colleague reads it').waitFor();
  await row(other, 'applies the ink').click();
  await one.getByText(`${leyla.email} is reading this too`).waitFor();
  await one.keyboard.press('r');
  await other.getByText(`${anar.email} is deciding on this now`).waitFor();
  await other.getByRole('button', { name: 'Take into review' }).click();
  await other.getByRole('dialog').getByText(`${anar.email} is deciding on this report now`).waitFor();
  await other.keyboard.press('Escape');
  await one.getByRole('dialog').getByRole('button', { name: 'Take into review' }).click();
  await row(other, 'applies the ink').getByText('in review').waitFor();
  await row(one, 'seal of the urn').click();
  await other.getByText('is reading this too').waitFor({ state: 'detached' });

  // What the observer changed is marked.
  const history = other.getByRole('region', { name: 'History' });
  await history.locator('ins', { hasText: 'or applies' }).waitFor();

  // A verdict is taken back by another decision, with its reason.
  await other.getByRole('button', { name: /^Verify/ }).waitFor();
  await other.keyboard.press('v');
  await other.getByRole('dialog').getByRole('button', { name: 'Verify' }).click();
  await row(one, 'applies the ink').getByText('verified', { exact: true }).waitFor();
  await other.getByRole('button', { name: 'Undo' }).waitFor();
  await other.keyboard.press('u');
  await other.getByRole('dialog').getByLabel('Reason').fill('The wrong report');
  await other.getByRole('dialog').getByRole('button', { name: 'Take into review' }).click();
  await row(one, 'applies the ink').getByText('in review').waitFor();

  // An assignment and a priority are taken back at once.
  await other.getByLabel('Priority').selectOption('urgent');
  await row(one, 'applies the ink').getByText('urgent').waitFor();
  await other.getByRole('status').filter({ hasText: 'Priority: urgent' }).getByRole('button', { name: 'Undo' }).click();
  await row(one, 'applies the ink').getByText('urgent').waitFor({ state: 'detached' });
  await other.getByRole('button', { name: 'Undo' }).waitFor({ state: 'detached' });
});
