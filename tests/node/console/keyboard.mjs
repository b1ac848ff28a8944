// From signing in to a decision with the keyboard alone.

import assert from 'node:assert/strict';
import { account, code, phone, row, rows, story } from './stage.mjs';

await story(async (open) => {
  const observer = phone('D-2');
  await observer.file('The lights went out while they counted', '--category', 'voting_interrupted');
  await observer.file('An observer was sent out of the room', '--category', 'voting_interrupted');
  const who = await account('coordinator');
  const page = await open();
  const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());
  const type = (text) => page.keyboard.type(text);
  const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim() ?? '');
  /** Tab until something is reached: as far as a person would go. */
  async function reach(name) {
    for (let step = 0; step < 30; step += 1) {
      if ((await focused()).startsWith(name)) return;
      await press('Tab');
    }
    assert.fail(`${name} is not reached by Tab`);
  }

  await page.goto('/');
  await page.getByLabel('E-mail address').waitFor();
  await type(who.email);
  await press('Tab');
  await type(who.password);
  await press('Enter');
  await page.getByText('Or type this secret into the app').waitFor();
  await reach('Or type this secret');
  await press('Enter');
  const secret = await page.locator('details code').textContent();
  await press('Tab', 'Tab');
  await type(code(secret));
  await press('Enter');
  await page.getByRole('heading', { name: 'Keep these recovery codes' }).waitFor();
  await reach('I have kept them');
  await press('Enter');

  await row(page, 'sent out of the room').waitFor();
  await press('j', 'j');
  await page.getByRole('article').getByText('The lights went out').first().waitFor();
  await press('k');
  await page.getByRole('article').getByText('sent out of the room').first().waitFor();
  await press('?');
  await page.getByRole('dialog').getByText('Take into review').waitFor();
  await press('Escape');
  await press('a');
  await page.getByRole('article').getByText('Assigned').waitFor();
  await press('r');
  await reach('Take into review');
  await press('Enter');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: /^Verify/ }).waitFor();
  await press('v');
  await page.getByRole('dialog').getByLabel('Reason').waitFor();
  await type('Two more observers say the same');
  await reach('Verify');
  await press('Enter');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.getByRole('article').getByText('Two more observers say the same').waitFor();
  await row(page, 'sent out of the room').getByText('verified').waitFor();

  // Who is faster than the line: a key is kept for the report that it was pressed on.
  let answer;
  const held = new Promise((resolve) => (answer = resolve));
  const reports = /\/v1\/reports\/[0-9a-f-]{36}$/;
  await page.route(reports, async (route) => {
    await held;
    await route.continue();
  });
  await press('j', 'r');
  answer();
  await page.getByRole('dialog').getByRole('button', { name: 'Take into review' }).waitFor();
  await press('Escape');
  await page.getByRole('article').getByText('The lights went out').first().waitFor();
  await page.unroute(reports);

  // Search, and back out of it.
  await press('/');
  await type('lights');
  await row(page, 'sent out of the room').waitFor({ state: 'detached' });
  assert.equal(await rows(page).count(), 1);
});
