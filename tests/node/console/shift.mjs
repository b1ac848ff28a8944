// Two coordinators at once: what comes in shows on both desks, what one does shows on
// the other's, the server is killed and comes back, and a desk is offline for a while.

import assert from 'node:assert/strict';
import { account, heldBack, phone, row, server, signIn, story, until } from './stage.mjs';

await story(async (open) => {
  const observer = phone('D-1');
  for (let at = 1; at <= 30; at += 1) {
    await observer.run('file', '--text', `Queue of ${at} people`, '--category', 'voting_interrupted');
  }
  await observer.sync();

  const [anar, leyla] = [await account('coordinator'), await account('lead')];
  const [one, other] = [await open(), await open()];
  await signIn(one, anar);
  await signIn(other, leyla);
  await row(one, 'Queue of 30 people').waitFor();
  await row(other, 'Queue of 30 people').waitFor();

  // What is read stays, and the list stays where it was scrolled to.
  await row(one, 'Queue of 22 people').click();
  await one.getByRole('article').getByText('Queue of 22 people').first().waitFor();
  const list = one.getByRole('listbox');
  await list.evaluate((box) => (box.scrollTop = 700));
  const seen = await row(one, 'Queue of 20 people').boundingBox();
  const bags = await observer.file('Two men carry bags to the urn', '--category', 'ballot_stuffing', '--severity', 'critical');
  await row(other, 'Two men carry bags').waitFor();
  await until('the new report above what is seen', () => list.evaluate((box) => box.scrollTop > 700));
  assert.equal((await row(one, 'Queue of 20 people').boundingBox()).y, seen.y);

  // Also when the page was not told of the scrolling yet.
  await list.evaluate((box) => {
    window.untold = (event) => event.stopImmediatePropagation();
    document.addEventListener('scroll', window.untold, true);
    box.scrollTop = 300;
  });
  await observer.file('A car without a number waits', '--category', 'accessibility');
  await row(other, 'A car without a number').waitFor();
  await until('the row below', () => list.evaluate((box) => box.scrollTop === 392));
  await list.evaluate((box) => {
    document.removeEventListener('scroll', window.untold, true);
    box.dispatchEvent(new Event('scroll'));
  });
  await one.getByRole('article').getByText('Queue of 22 people').first().waitFor();

  // One takes it; the other sees that, and is told who was faster.
  await list.evaluate((box) => (box.scrollTop = 0));
  await row(one, 'Two men carry bags').click();
  await row(other, 'Two men carry bags').click();
  for (const page of [one, other]) await page.getByRole('article').getByText('Two men carry').first().waitFor();
  await one.keyboard.press('a');
  await until('the assignment on the other desk', async () =>
    (await other.getByLabel('Looked after by').locator('option:checked').textContent()).includes(anar.email),
  );

  // Both decide: the second is told that the report has changed.
  await other.getByRole('button', { name: 'Take into review' }).click();
  await other.getByRole('dialog').waitFor();
  await one.keyboard.press('r');
  await one.getByRole('dialog').getByRole('button', { name: 'Take into review' }).click();
  await one.getByRole('dialog').waitFor({ state: 'detached' });
  await other.getByText('The report has changed since you read it').waitFor();
  assert(await other.getByRole('dialog').getByRole('button', { name: 'Take into review' }).isDisabled());
  await other.getByRole('button', { name: 'Cancel' }).click();

  // A question, the observer's answer, and the decision.
  await one.getByRole('button', { name: /^Ask the observer/ }).waitFor();
  await one.keyboard.press('q');
  await one.getByLabel('Question').fill('Which door did they use?');
  await one.getByRole('dialog').getByRole('button', { name: 'Ask the observer' }).click();
  await row(other, 'Two men carry bags').getByText('asked back').waitFor();
  await observer.sync();
  await observer.run('answer', bags, '--text', 'The one at the back');
  await observer.sync();
  await one.getByRole('article').getByText('The one at the back').waitFor();

  // What is typed survives the server's end; what came meanwhile shows without a reload.
  await other.getByLabel('Note for colleagues').fill('Compare with the video of 11:40');
  await server.kill();
  await one.getByText('No line to the server').waitFor();
  await server.start();
  await observer.file('They came back with a third bag', '--category', 'ballot_stuffing');
  await row(one, 'a third bag').waitFor();
  await row(other, 'a third bag').waitFor();
  await other.getByRole('button', { name: 'Write the note' }).click();
  await one.getByRole('article').getByText('Compare with the video').waitFor();

  // Offline and back.
  await other.context().setOffline(true);
  await server.stop();
  await server.start();
  await observer.file('The bags are gone', '--category', 'voting_interrupted');
  await row(one, 'The bags are gone').waitFor();
  assert.equal(await row(other, 'The bags are gone').count(), 0);
  await other.context().setOffline(false);
  await row(other, 'The bags are gone').waitFor();

  // What comes between a list and a line that is late is shown all the same.
  let go;
  const held = new Promise((resolve) => (go = resolve));
  await other.route('**/v1/events*', async (route) => {
    await held;
    await route.continue();
  });
  await other.reload();
  await row(other, 'Two men carry bags').waitFor();
  await observer.file('Filed before the line was there', '--category', 'accessibility');
  go();
  await row(other, 'Filed before the line was there').waitFor();

  // What comes in while a list is on its way, which is older, stays in it.
  const late = await heldBack(other, '**/v1/reports?*');
  await other.getByLabel('Severity').selectOption('critical');
  await late.asked;
  await observer.file('Filed while the list was on its way', '--category', 'accessibility', '--severity', 'critical');
  await row(other, 'Filed while the list was on its way').waitFor();
  await late.release();
  await row(other, 'Filed before the line was there').waitFor({ state: 'detached' });
  await row(other, 'Two men carry bags').waitFor();
  assert.equal(await row(other, 'Filed while the list was on its way').count(), 1);

  // Names that could not be read are read when the line is there.
  await other.route('**/v1/categories', (route) => route.abort(), { times: 1 });
  await other.reload();
  await row(other, 'Two men carry bags').getByText('Ballot stuffing').waitFor();

  // Signed out is signed out.
  await other.getByRole('banner').getByText(leyla.email).click();
  await other.getByRole('button', { name: 'Sign out' }).click();
  await other.getByLabel('Password').waitFor();
  await other.reload();
  await other.getByLabel('Password').waitFor();
});
