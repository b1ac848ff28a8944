// The room: its wall follows what comes in, alarms are raised, sound and are noted, who
// went silent is named, and a line that is cut is said loudly.

import assert from 'node:assert/strict';
import { account, phone, row, server, signIn, story, until } from './stage.mjs';

const figure = (page, name) => page.locator(`[data-figure=${name}]`);

/** Waits until the wall shows a number. */
const shows = (page, name, value) =>
  until(`${name} ${value}`, async () => (await figure(page, name).textContent())?.trim() === value);

await story(async (open) => {
  const observer = phone('D-1');
  await observer.file('A calm morning', '--category', 'accessibility', '--severity', 'low', '--station', '8-2');
  const page = await open({ viewport: { width: 1920, height: 1080 } });
  // What is sounded is counted; nobody listens here.
  await page.addInitScript(() => {
    window.tones = 0;
    const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (...when) {
      window.tones += 1;
      return start.apply(this, when);
    };
  });
  const leyla = await account('lead');
  await signIn(page, leyla);
  await page.getByRole('link', { name: 'Room', exact: true }).click();
  await shows(page, 'untouched', '0');
  await shows(page, 'waiting', '1');
  await shows(page, 'covered', '0%');
  await shows(page, 'silent', '0');

  // The wall follows: a check-in, a critical report, a decision.
  await observer.run('check-in', '--station', '8-1');
  const bags = await observer.file('Bags', '--category', 'ballot_stuffing', '--severity', 'critical', '--station', '8-1');
  await shows(page, 'untouched', '1');
  await shows(page, 'waiting', '2');
  await shows(page, 'covered', '8%');
  await page.getByText('1 of 12 stations').first().waitFor();
  await page.getByRole('row', { name: /^Ballot-box stuffing|^Ballot stuffing|^[^\n]*tuffing/ }).waitFor();
  assert.equal(await page.getByRole('alert').filter({ hasText: 'touched' }).count(), 0);

  // Ten minutes are long for a test: this mission says a second.
  await server.run('mission', 'set', '--untouched-after', '1s');
  const alarm = page.getByRole('alert').filter({ hasText: '1 critical report has not been touched for 1 second.' });
  await alarm.waitFor();
  await page.getByRole('link', { name: 'Desk', exact: true }).click();
  await alarm.waitFor();
  assert.equal(await page.evaluate(() => window.tones), 0);
  await alarm.getByRole('button', { name: 'Alarm sound: off' }).click();
  await until('the sound', () => page.evaluate(() => window.tones >= 3));

  // Noted is noted, at this desk, until there is another.
  const colleague = await open();
  await signIn(colleague, await account('coordinator'));
  await colleague.getByRole('alert').filter({ hasText: '1 critical report has' }).waitFor();
  await alarm.getByRole('button', { name: 'Noted' }).click();
  await alarm.waitFor({ state: 'detached' });
  await page.reload();
  await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
  await page.getByRole('link', { name: 'Room', exact: true }).click();
  await shows(page, 'untouched', '1');
  assert.equal(await page.getByRole('alert').filter({ hasText: 'touched' }).count(), 0);
  await observer.file('Shots', '--category', 'violence', '--severity', 'critical');
  const both = page.getByRole('alert').filter({ hasText: '2 critical reports have not been touched' });
  await both.waitFor();

  // From the alarm to the report; once somebody has it, it is touched.
  await both.getByRole('button', { name: 'Show them' }).click();
  await page.getByRole('article').getByText('Bags').first().waitFor();
  await page.keyboard.press('a');
  await page.getByRole('alert').filter({ hasText: '1 critical report has' }).waitFor();
  await row(page, 'Shots').click();
  await page.getByRole('article').getByText('Shots').first().waitFor();
  await page.keyboard.press('r');
  await page.getByRole('dialog').getByRole('button', { name: 'Take into review' }).click();
  await page.getByRole('alert').filter({ hasText: 'touched' }).waitFor({ state: 'detached' });

  // Who is silent is counted and named; heard of again, they are not.
  await server.run('mission', 'set', '--silent-after', '1s');
  await page.getByRole('alert').filter({ hasText: '1 observer went silent' }).waitFor();
  await page.getByRole('link', { name: 'Open the room' }).click();
  await shows(page, 'silent', '1');
  await page.getByRole('button', { name: 'Who?' }).click();
  const list = page.getByRole('dialog', { name: 'Observers who went silent' });
  await list.getByText('D-1', { exact: true }).waitFor();
  await list.getByText('Binagadi 1').waitFor();
  await page.keyboard.press('Escape');
  await server.run('mission', 'set', '--silent-after', '3h');
  await shows(page, 'silent', '0');

  // A line that is cut is said; afterwards the wall goes on.
  await server.kill();
  await page.getByText(/^No news from the server/).waitFor();
  await server.start();
  await observer.run('withdraw', bags, '--reason', 'A mistake');
  await observer.sync();
  await page.getByText('The figures follow what comes in.').waitFor();
  await shows(page, 'total', 'of 2 reports');

  await page.getByRole('button', { name: 'Fill the screen' }).click();
  await page.getByRole('button', { name: 'Leave full screen' }).click();
  await page.getByRole('button', { name: 'Fill the screen' }).waitFor();

  // Analysts see figures, and nobody behind them.
  const analyst = await open();
  await signIn(analyst, await account('analyst'));
  await analyst.getByRole('link', { name: 'Room', exact: true }).click();
  await shows(analyst, 'waiting', '1');
  assert.equal(await analyst.getByRole('button', { name: 'Who?' }).count(), 0);
});
