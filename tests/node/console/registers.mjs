// Registers from files: what would change is shown, with hostile words as words; what was
// shown is what is done; what has changed meanwhile is refused; what is downloaded comes
// back as it went.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { account, put, server, signIn, story } from './stage.mjs';

const HEADER = 'code,name,constituency_no,constituency_name\n';
const HOSTILE = `<img src=x onerror="complain('ran')">`;

await story(async (open) => {
  const page = await open();
  await signIn(page, await account('lead'));
  await page.getByRole('link', { name: 'Mission', exact: true }).click();
  const tab = (name) => page.getByRole('link', { name, exact: true }).click();
  const choose = async (text, name = 'stations.csv') => {
    await page.getByLabel('CSV file').setInputFiles({ name, mimeType: 'text/csv', buffer: Buffer.from(text) });
    await page.getByRole('button', { name: 'See what would change' }).click();
  };
  const counted = (count, what) =>
    page.locator('.counts div').filter({ hasText: what }).getByText(String(count), { exact: true }).waitFor();

  // What is wrong with a file, by line.
  await tab('Imports');
  await choose(`${HEADER}8-1,,8,Binagadi\n8-2,${'x'.repeat(10_000)},8,Binagadi\n8-2,Twice,8,Binagadi\n`);
  await counted(3, 'Errors');
  await page.getByText('A needed value is empty.').waitFor();
  await page.getByText('It is longer than allowed.').waitFor();
  await page.getByText('It stands twice and must be unique.').waitFor();
  assert.equal(await page.getByRole('button', { name: /^Import \d/ }).count(), 0);

  // What would change, and nothing of it yet.
  const file =
    `${HEADER}8-1,Binagadi 1 (new hall),8,Binagadi\n8-2,Binagadi 2,8,Binagadi\n` +
    `66-1,"${HOSTILE.replaceAll('"', '""')}",66,\u202egnp.exe\n`;
  await choose(file);
  await counted(1, 'Changed');
  await counted(1, 'New');
  await counted(10, 'Not in the file');
  await page.locator('del').filter({ hasText: 'Binagadi 1' }).waitFor();
  await page.locator('ins').filter({ hasText: 'Binagadi 1 (new hall)' }).waitFor();
  await page.getByText(HOSTILE).waitFor();
  assert.equal(await page.locator('img').count(), 0);

  // Somebody else was faster.
  const path = await put('meanwhile.csv', `${HEADER}8-6,Binagadi 6 (annex),8,Binagadi\n`);
  await server.run('import', 'stations', path);
  await page.getByRole('button', { name: 'Import 2 changes' }).click();
  await page.getByRole('alert').getByText('have changed since you looked').waitFor();
  await choose(file);
  await counted(1, 'Changed');
  await page.getByRole('button', { name: 'Import 2 changes' }).click();
  await page.getByText('Imported: 1 new, 1 changed.').waitFor();

  // The register has it, as words.
  await tab('Stations');
  await page.getByText('13 stations').waitFor();
  await page.getByLabel('Code, name or what it lies in').fill('new HALL');
  await page.getByRole('button', { name: 'Find' }).click();
  await page.getByText('1 station', { exact: true }).waitFor();
  await page.getByText('Binagadi 1 (new hall)').waitFor();
  await page.getByLabel('Code, name or what it lies in').fill('66-1');
  await page.getByRole('button', { name: 'Find' }).click();
  await page.getByText(HOSTILE).waitFor();

  // Taken away, and brought back: nothing to do. Edited: just that.
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: 'Download as CSV' }).click(),
  ]);
  const taken = await readFile(await download.path(), 'utf8');
  await tab('Imports');
  await choose(taken);
  await page.getByText('The file says what is known already.').waitFor();
  await choose(taken.replace('Ganja 1', 'Ganja 1 (school)'));
  await counted(1, 'Changed');
  await page.locator('ins').filter({ hasText: 'Ganja 1 (school)' }).waitFor();

  // A label in another language.
  await page.getByRole('radio', { name: 'Categories' }).check();
  await choose('stage,code,definition,label_en,label_fa\nvoting,queue,A long queue,Queue,صف\n', 'categories.csv');
  await page.getByRole('button', { name: 'Import 1 change' }).click();
  await page.getByText('Imported: 1 new, 0 changed.').waitFor();
  await tab('Categories');
  await page.getByText('صف').waitFor();
});
