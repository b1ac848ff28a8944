// Words are found as they are written in four languages, whatever the case and the marks.

import assert from 'node:assert/strict';
import { account, phone, row, rows, signIn, story, until } from './stage.mjs';

const SAID = [
  'İcra nümayəndəsi Işıq söndürdü',
  'Члены комиссии не подпускают к счётчику',
  'مُراقِب الإنتخابات مُنع من الدخول',
  'The chairman signed before the count',
  'Nothing to say',
];
const ASKED = [
  ['icra NÜMAYƏNDƏSİ ışıq', 0],
  ['счетчик', 1],
  ['مراقب الانتخابات', 2],
  ['CHAIRMAN SIGNED', 3],
  ['ﬁ', undefined],
  ['100%', undefined],
  ['"count"', undefined],
];

await story(async (open) => {
  const observer = phone('D-3');
  for (const text of SAID) await observer.run('file', '--text', text, '--category', 'voting_interrupted');
  await observer.sync();
  const page = await open();
  await signIn(page, await account('coordinator'));
  await row(page, SAID[4]).waitFor();
  // Once before and once after the words can have reached the index: the answer is the same.
  for (const turn of [1, 2]) {
    for (const [words, at] of ASKED) {
      await page.getByLabel('Search in reports').fill(words);
      await until(`${words} (${turn})`, async () => {
        const shown = await rows(page).allTextContents();
        return at === undefined ? shown.length === 0 : shown.length === 1 && shown[0].includes(SAID[at]);
      });
    }
    assert.equal(await page.getByText('No report fits.').count(), 1);
  }
});
