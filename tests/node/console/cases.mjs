// One event that several people tell of: suggested, joined, contradicted, kept apart, taken
// back; a colleague sees it live, and the server's restart changes nothing.

import assert from 'node:assert/strict';
import { account, phone, row, server, signIn, story, until } from './stage.mjs';

await story(async (open) => {
  const stuffing = ['--category', 'ballot_stuffing', '--station', '8-1'];
  await phone('D-1').file('A bundle of ballots went into the box', ...stuffing);
  await phone('D-3').file('Somebody threw in a bundle of ballots', ...stuffing);
  await phone('D-5').file('We were there all day and saw nothing', '--category', 'positive_no_issue', '--station', '8-1');
  await phone('D-4').file('The queue reached the street', '--category', 'accessibility', '--station', '8-1');

  const page = await open();
  await signIn(page, await account('coordinator'));
  const colleague = await open();
  await signIn(colleague, await account('lead'));

  // The report shows what may belong to it; `c` leads there.
  await row(page, 'went into the box').click();
  const together = page.getByRole('region', { name: 'The same event' });
  const told = (words) => together.getByRole('article').filter({ hasText: words });
  await told('Somebody threw').getByText('same station').waitFor();
  await page.keyboard.press('c');
  assert.equal(await page.evaluate(() => Boolean(document.activeElement?.closest('.case'))), true);

  // Joined, contradicted, kept apart.
  await told('Somebody threw').getByRole('button', { name: 'The same event' }).click();
  await together.getByText('2 observers').waitFor();
  await told('saw nothing').getByRole('button', { name: 'Contradicts' }).click();
  await together.getByText('1 observer contradicts').waitFor();
  await together.getByRole('region', { name: 'These contradict' }).getByText('saw nothing').waitFor();
  await together.getByRole('region', { name: 'These agree' }).getByText('Somebody threw').waitFor();
  await told('The queue').getByRole('button', { name: 'Another event' }).click();
  await together.getByText('1 report is kept apart').waitFor();
  await page.screenshot({ path: `${process.env.SHOTS}.png`, fullPage: true });

  // What was kept apart is taken back, and done again.
  await page.getByText('Kept apart', { exact: true }).waitFor();
  await page.keyboard.press('u');
  await told('The queue').getByRole('button', { name: 'Another event' }).click();
  await together.getByText('1 report is kept apart').waitFor();

  // The colleague's list says so without being read anew, and so does the page of cases.
  await row(colleague, 'Somebody threw').getByText('2 observers').waitFor();
  await row(colleague, 'Somebody threw').getByText('contradicted').waitFor();
  await colleague.getByRole('link', { name: 'Cases' }).click();
  const event = colleague.getByRole('article', { name: /8-1/ });
  await event.getByText('of 2 organisations').waitFor();

  // After a restart it is all there; a link leads from the case to the report.
  await server.kill();
  await server.start();
  await colleague.getByRole('status').filter({ hasText: 'Live' }).waitFor();
  await colleague.reload();
  await event.getByText('1 observer contradicts').waitFor();
  await event.getByRole('article').filter({ hasText: 'Somebody threw' }).getByRole('link').click();
  await colleague.getByRole('heading', { name: 'History' }).waitFor();
  await colleague.getByText('Counted to a case: These agree').waitFor();
  await colleague.goBack();
  await event.waitFor();

  // One takes an account out and back in; the other's page follows.
  await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
  await told('saw nothing').getByRole('button', { name: 'Take it out' }).click();
  await until('it is out', async () => (await event.getByText('contradicts').count()) === 0);
  await page.getByRole('button', { name: 'Undo' }).click();
  await event.getByText('1 observer contradicts').waitFor();
});
