// What an adversary writes into every field stays text, is readable, and breaks nothing.

import assert from 'node:assert/strict';
import { account, overflows, phone, put, row, rows, signIn, story, until } from './stage.mjs';

const WORDS = {
  script: '<script>window.owned = 1</script><img src=x onerror="window.owned = 1"> in the words',
  bidi: 'Said \u202egnitsurt ton\u202c and \u2067more\u2069, then \u202e never closed',
  zalgo: `Z${'\u0301\u0302\u0303\u0334\u0489'.repeat(60)}algo over the line`,
  long: `${'W'.repeat(3_900)} one word`,
  controls: 'a\u0007b\u200bc\ufeffd\u2028e in control',
  template: '{{constructor.constructor("window.owned = 1")()}} ${window.owned = 1}',
};
const SVG = '<svg xmlns="http://www.w3.org/2000/svg"><script>window.owned = 1</script></svg>';
const HTML = '<!doctype html><script>opener.owned = 1; window.owned = 1</script>';

await story(async (open) => {
  const observer = phone('D-1');
  const reports = {};
  for (const [name, text] of Object.entries(WORDS)) {
    reports[name] = (await observer.run('file', '--text', text, '--category', 'accessibility')).report;
  }
  const evidence = reports.script;
  await observer.run('attach', evidence, await put('a.svg', SVG), await put('b.html', HTML), await put('c.jpg', `${HTML} `));
  await observer.sync();
  await observer.sync();

  const page = await open({ viewport: { width: 360, height: 720 } });
  await signIn(page, await account('lead'));
  await until('all rows', async () => (await rows(page).count()) === Object.keys(WORDS).length);
  const fits = async (where) => {
    assert.deepEqual(await overflows(page), [], where);
    assert.equal(await page.evaluate(() => window.owned), undefined, where);
  };
  await fits('the list');
  for (const box of await rows(page).evaluateAll((all) => all.map((one) => one.offsetHeight))) assert.equal(box, 92);

  for (const words of ['in the words', 'never closed', 'over the line', 'in control', 'constructor']) {
    await row(page, words).click();
    await page.getByRole('article').getByText(words).first().waitFor();
    await fits(words);
    await page.getByLabel('Note for colleagues').fill(WORDS.script);
    await page.getByRole('button', { name: 'Write the note' }).click();
    await until('the note', async () => (await page.getByRole('article').getByText('onerror=').count()) > 0);
    await fits(`${words}, with a note`);
    await page.getByRole('button', { name: 'Back to the list' }).click();
  }

  // Files of evidence come as attachments from which nothing can run.
  await row(page, 'in the words').click();
  const links = page.getByRole('link', { name: 'Download the original' });
  await until('three files', async () => (await links.count()) === 3);
  for (const link of await links.all()) {
    const answer = await page.request.get(await link.getAttribute('href'), { headers: { 'sec-fetch-site': 'same-origin' } });
    const headers = answer.headers();
    assert.match(headers['content-disposition'], /^attachment/);
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.match(headers['content-security-policy'], /sandbox/);
  }
  await fits('the evidence');
});
