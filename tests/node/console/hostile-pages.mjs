// What an adversary writes into registers, calls, cases, reasons and names, and the files
// they attach, on every page of the console at a phone's width: it stays text, fits, breaks
// nothing, and nothing of what a coordinator types gets lost.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { account, csv, overflows, phone, put, row, rows, server, signIn, story, until } from './stage.mjs';
import { exifBomb, hugePng } from './bombs.mjs';

const IMG = '<img src=x onerror="window.owned = 1">';
const ZALGO = `Z${'\u0301\u0302\u0303\u0334\u0489'.repeat(40)}algo`;
/** Everything at once, with a mark to find it by. */
const evil = (mark) => `${mark} ${IMG} \u202egnp.exe\u2066 {{owned=1}} ${ZALGO}`;
const long = (count) => 'W'.repeat(count);
const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
const STATIONS = 'code,name,constituency_no,constituency_name,lat,lon\n';
/** What a spreadsheet would run. */
const FORMULA = "=cmd|'/C calc'!A1";

await story(async (open) => {
  const lead = await account('lead');
  const page = await open({ viewport: { width: 360, height: 720 } });
  await signIn(page, lead);
  const fits = async (where) => {
    // A field may scroll what is typed into it.
    const wide = (await overflows(page)).filter((one) => !one.startsWith('textarea.'));
    assert.deepEqual(wide, [], where);
    assert.equal(await page.evaluate(() => window.owned), undefined, where);
  };
  /** In both directions of writing too, on a phone and on a desk. */
  const fitsAll = async (where) => {
    for (const dir of ['rtl', 'ltr']) {
      await page.evaluate((dir) => (document.documentElement.dir = dir), dir);
      for (const width of [1280, 360]) {
        await page.setViewportSize({ width, height: 720 });
        await fits(`${where}, ${width} px, ${dir}`);
      }
    }
  };
  const go = async (name) => {
    await page.getByRole('button', { name: /^Pages/ }).click();
    await page.getByRole('link', { name, exact: true }).click();
  };
  const tab = (name) => page.getByRole('link', { name, exact: true }).click();
  const dialog = page.getByRole('dialog');
  const reason = async (text, button) => {
    await dialog.getByLabel('Reason').fill(text);
    await fits(`the dialog of ${button}`);
    await dialog.getByRole('button', { name: button }).click();
    await dialog.waitFor({ state: 'detached' });
  };

  // Registers: files that are none, cells without an end, and formulas.
  await go('Mission');
  await tab('Imports');
  const choose = async (content, name = 'stations.csv') => {
    await page.getByLabel('CSV file').setInputFiles({ name, mimeType: 'text/csv', buffer: Buffer.from(content) });
    await page.getByRole('button', { name: 'See what would change' }).click();
  };
  const bad = Buffer.concat([Buffer.from(`${STATIONS}9-1,`), Buffer.from([0xff, 0xfe, 0xc3, 0x28]), Buffer.from(',9,x,,\n')]);
  for (const [what, content] of [
    ['bad UTF-8', bad],
    ['NUL bytes', `${STATIONS}9-1,a\0b${IMG},9,x,,\n`],
    ['10,000 characters', `${STATIONS}9-1,${long(10_000)},9,${IMG},,\n${quoted(evil('code'))},x,9,,,\n`],
  ]) {
    await choose(content);
    await page.getByRole('alert').filter({ hasText: /\S/ }).or(page.locator('.counts')).first().waitFor();
    await fits(what);
    assert.equal(await page.getByRole('button', { name: /^Import \d/ }).count(), 0, what);
  }
  await choose(
    `\ufeff${STATIONS}8-1,${quoted(evil('station'))},8,${quoted(evil('constituency'))},40.46,49.82\n` +
      `8-2,${quoted(FORMULA)},8,${quoted(evil('constituency'))},40.461,49.821\n` +
      `8-3,${long(500)},8,${quoted(evil('constituency'))},40.462,49.822\n`,
  );
  await page.getByRole('button', { name: 'Import 3 changes' }).waitFor();
  await fitsAll('the preview');
  await page.getByRole('button', { name: 'Import 3 changes' }).click();
  await page.getByText('Imported: 0 new, 3 changed.').waitFor();
  await page.getByRole('radio', { name: 'Categories' }).check();
  await choose(`stage,code,definition,label_en\nvoting,ballot_stuffing,${quoted(evil('definition'))},${quoted(evil('label'))}\n`, 'c.csv');
  await page.getByRole('button', { name: 'Import 1 change' }).click();
  await page.getByText('Imported: 0 new, 1 changed.').waitFor();
  await page.getByRole('radio', { name: 'Accreditations' }).check();
  await choose(
    `number,name,kind,institution,country\nD-1,${quoted(evil('person'))},domestic,${quoted(FORMULA)},AZ\n` +
      `D-2,${long(500)},domestic,${quoted(evil('institution'))},AZ\n`,
    'a.csv',
  );
  await page.getByRole('button', { name: 'Import 2 changes' }).click();
  await page.getByText('Imported: 0 new, 2 changed.').waitFor();
  await fits('imports');
  await tab('Stations');
  await page.getByText('station <img').first().waitFor();
  await fitsAll('stations');
  await page.getByLabel('Code, name or what it lies in').fill(evil('nothing'));
  await page.getByRole('button', { name: 'Find' }).click();
  await page.getByText('0 stations').waitFor();
  await tab('Categories');
  await page.getByText('label <img').first().waitFor();
  await fitsAll('categories');
  await tab('Accounts');
  const email = `${long(240)}@example.org`;
  await page.getByLabel('E-mail address').fill('<img/src=x>@example.org');
  await page.getByRole('checkbox', { name: /^Auditor/ }).check();
  await page.getByRole('button', { name: 'Add somebody' }).click();
  assert.equal(await page.getByLabel('E-mail address').evaluate((field) => field.checkValidity()), false);
  await page.getByLabel('E-mail address').fill(email);
  await page.getByRole('button', { name: 'Add somebody' }).click();
  await page.getByRole('button', { name: 'I have noted it' }).click();
  const card = page.locator('.cards > li').filter({ hasText: email });
  await card.waitFor();
  await fitsAll('accounts');
  await card.getByRole('button', { name: 'Disable' }).click();
  await reason(evil('disabled'), 'Disable');
  await card.getByText('disabled').waitFor();

  // Reports, and files that lie or burst.
  const there = ['--category', 'ballot_stuffing', '--station', '8-1', '--severity', 'critical'];
  const [one, two] = [phone('D-1'), phone('D-2')];
  const report = await one.file(evil('first'), ...there);
  await two.file(`${evil('second')} ${long(3_000)}`, ...there);
  await one.file(FORMULA, '--category', 'accessibility', '--station', quoted(`@${IMG}`));
  const jpeg = Buffer.from(
    await page.evaluate(() => {
      const canvas = document.createElement('canvas');
      canvas.width = canvas.height = 48;
      return canvas.toDataURL('image/jpeg').split(',')[1];
    }),
    'base64',
  );
  const script = `<script>window.owned = 1</script>${IMG}`;
  const files = {
    'loop.jpg': exifBomb(jpeg, 3),
    'endless.jpg': exifBomb(jpeg, 40),
    'cut.jpg': jpeg.subarray(0, jpeg.length / 2),
    'burst.png': hugePng(22_000),
    'larger.png': hugePng(30_000),
    // What they begin with is all that is true of them.
    'lie.png': `\x89PNG\r\n\x1a\n${script}`,
    'lie.jpg': `\xff\xd8\xff${script}`,
    'lie.mp4': `\0\0\0\x18ftypisom\0\0\0\0isomiso2${script}`,
    'a.svg': `<svg xmlns="http://www.w3.org/2000/svg" onload="window.owned = 1">${script}</svg>`,
    'b.html': `<!doctype html>${script}`,
  };
  for (const [name, bytes] of Object.entries(files)) await one.run('attach', report, await put(name, Buffer.from(bytes, 'latin1')));
  for (let turn = 0; turn < 3; turn += 1) await one.sync();

  await go('Desk');
  await until('three rows', async () => (await rows(page).count()) === 3);
  await fitsAll('the desk');
  for (const box of await rows(page).evaluateAll((all) => all.map((one) => one.offsetHeight))) assert.equal(box, 92);
  await row(page, 'first <img').click();
  const article = page.locator('.report > article');
  const evidence = article.getByRole('region', { name: `${Object.keys(files).length} files` });
  await until('all files', async () => (await evidence.getByRole('link', { name: 'Download the original' }).count()) === 10);
  // Pictures that burst, or do not say how large they are, wait for a word.
  await until('five pictures that wait', async () => (await evidence.getByRole('button', { name: 'Show it all the same' }).count()) === 5);
  await evidence.getByText('Unpacked it has 484 million pixels').waitFor();
  await evidence.getByText('Unpacked it has 900 million pixels').waitFor();
  assert.equal(await evidence.getByText('The page cannot tell how large this picture is').count(), 3);
  const pictures = evidence.locator('img');
  await until('two pictures', async () => (await pictures.count()) === 2);
  await pictures.first().scrollIntoViewIfNeeded();
  await until('a picture drawn', () => pictures.evaluateAll((all) => all.some((img) => img.naturalWidth === 48)));
  await fits('files that burst');
  // One that says nothing of its size is shown when it is asked for, and so is a lie.
  const waits = evidence.getByRole('listitem').filter({ hasText: 'The page cannot tell' });
  while ((await waits.count()) > 0) await waits.first().getByRole('button').click();
  await until('pictures that were asked for', async () => (await pictures.count()) === 5);
  await until('the endless one drawn', () =>
    pictures.evaluateAll((all) => all.filter((img) => img.complete && img.naturalWidth === 48).length >= 2));
  await fitsAll('files that lie');

  // The case, with everything that is written about it.
  const together = article.getByRole('region', { name: 'The same event' });
  const other = together.getByRole('article').filter({ hasText: 'second <img' });
  await other.getByRole('button', { name: 'Contradicts' }).click();
  await together.getByText('1 observer contradicts').waitFor();
  await fitsAll('the case');
  const find = together.locator('details', { hasText: 'Find another report of it' });
  await find.locator('summary').click();
  await find.getByLabel('Words of the other report').fill(`${IMG} "%_`);
  await find.getByRole('button', { name: 'Find' }).click();
  await find.getByText('No report fits.').waitFor();
  await fits('the search for another account');
  await article.getByLabel('Priority').selectOption('urgent');
  for (const [text, what] of [[evil('note'), 'a note'], [long(4_000), 'a word of 4,000']]) {
    await article.getByLabel('Note for colleagues').fill(text);
    await article.getByRole('button', { name: 'Write the note' }).click();
    await article.getByRole('region', { name: 'History' }).getByText(text.slice(0, 40)).first().waitFor();
    await until('an empty field', async () => (await article.getByLabel('Note for colleagues').inputValue()) === '');
    await fits(what);
  }

  // Beyond the limit everything stays, and says why it is not sent.
  const tooLong = async (field, most, send) => {
    await field.focus();
    await page.keyboard.insertText(`${'🗳'.repeat(10)}${long(most)}`);
    assert.equal([...(await field.inputValue())].length, most + 10);
    await send.click();
    assert.match(await field.evaluate((one) => one.validationMessage), /At most [\d,]+ characters: 10 too many/);
    assert.equal([...(await field.inputValue())].length, most + 10);
    await fits(`${most + 10} characters`);
    await field.fill('🗳'.repeat(10));
    assert.equal(await field.evaluate((one) => one.checkValidity()), true);
    await field.fill('');
  };
  await tooLong(article.getByLabel('Note for colleagues'), 4_000, article.getByRole('button', { name: 'Write the note' }));
  await article.getByRole('button', { name: 'Take into review' }).click();
  await dialog.getByRole('button', { name: 'Take into review' }).click();
  await dialog.waitFor({ state: 'detached' });
  await article.getByRole('button', { name: /^Dismiss/ }).click();
  await tooLong(dialog.getByLabel('Reason'), 4_000, dialog.getByRole('button', { name: 'Dismiss' }));
  await reason(`${evil('decision')} ${long(3_000)}`, 'Dismiss');
  await article.locator('header').getByText('dismissed').waitFor();
  await fitsAll('a decision');
  await article.getByRole('button', { name: 'Ask for erasure' }).click();
  await reason(evil('erasure'), 'Ask for erasure');
  await article.getByText('Erasure has been asked for.').waitFor();
  await page.getByRole('button', { name: 'Back to the list' }).click();

  // Search and the names of filters.
  await page.getByLabel('Search in reports').fill(`${IMG}${long(150)}`);
  await page.getByText('No report fits.').waitFor();
  for (const name of [IMG, long(60), ZALGO.slice(0, 60)]) {
    await page.getByRole('button', { name: 'Saved filters' }).click();
    await dialog.getByLabel('Name for what the list shows now').fill(name);
    await dialog.getByRole('button', { name: 'Save', exact: true }).click();
    await dialog.waitFor({ state: 'detached' });
  }
  await page.getByRole('button', { name: 'Saved filters' }).click();
  await dialog.getByText(IMG).waitFor();
  await fitsAll('saved filters');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+k');
  await dialog.getByRole('combobox').fill('owned');
  await dialog.getByText('onerror').waitFor();
  await fitsAll('the palette');
  await page.keyboard.press('Escape');
  await page.getByLabel('Search in reports').fill('');

  // A call.
  await go('Telephone');
  await page.getByLabel('A citizen').check();
  const said = page.getByLabel('What the caller says');
  await tooLong(said, 10_000, page.getByRole('button', { name: 'Enter the report' }));
  await said.fill(`${evil('call')} ${long(5_000)}`);
  await page.getByRole('combobox', { name: 'Station' }).fill(`=${IMG}`);
  await page.getByRole('combobox', { name: 'Category' }).fill('label');
  await page.getByRole('option', { name: /label/ }).first().waitFor();
  await fitsAll('categories to choose from');
  await page.keyboard.press('Enter');
  const contact = page.getByLabel('Who it is, and how to reach them');
  await tooLong(contact, 2_000, page.getByRole('button', { name: 'Enter the report' }));
  await contact.fill(`${evil('caller')} ${long(1_500)}`);
  await fitsAll('a call');
  await page.getByRole('button', { name: 'Enter the report' }).click();
  await article.getByText('caller <img').first().waitFor();
  await fitsAll('a call that was entered');
  await article.getByRole('button', { name: 'Correct what was misheard' }).click();
  await dialog.getByLabel('What the caller says').waitFor();
  await fitsAll('a correction');
  await page.keyboard.press('Escape');

  // Messages.
  await go('Messages');
  const message = page.getByLabel('Message', { exact: true });
  await tooLong(message, 10_000, page.getByRole('button', { name: 'Send the message' }));
  await message.fill(`${evil('message')} ${long(9_000)}`);
  const line = page.getByLabel('A line above the text');
  await tooLong(line, 200, page.getByRole('button', { name: 'Send the message' }));
  await line.fill(`${ZALGO.slice(0, 80)} ${long(100)}`);
  await page.getByText('To whom').click();
  await page.getByLabel('Institutions').fill(evil('institution'));
  await fitsAll('a message');
  await page.getByRole('button', { name: 'Send the message' }).click();
  await page.getByText('Sent to 1 accreditation.').waitFor();
  await page.getByRole('listitem').getByText('message <img').waitFor();
  await fitsAll('messages');

  // The other pages.
  await server.run('mission', 'set', '--untouched-after', '1s', '--silent-after', '1s');
  for (const [name, words] of [
    ['Cases', 'second <img'],
    ['Observers', 'person <img'],
    ['Quarantine', 'Nothing waits.'],
    ['Room', 'The figures follow what comes in.'],
  ]) {
    await go(name);
    await page.getByText(words).first().waitFor();
    await fitsAll(name);
  }
  await page.getByRole('alert').filter({ hasText: 'went silent' }).waitFor();
  await fitsAll('the alarm');
  await page.getByRole('button', { name: 'Who?' }).click();
  await dialog.getByText('Last heard of').first().waitFor();
  await fitsAll('who went silent');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Noted' }).click();
  await go('Map');
  await page.getByText(/reports are in sight/).waitFor();
  // On a phone, and at the map's edge, there is no room for so long a name.
  await page.setViewportSize({ width: 1280, height: 720 });
  await page.getByRole('combobox', { name: 'Constituency', exact: true }).selectOption('8');
  await page.getByRole('button', { name: /^Constituency constituency <img/ }).waitFor();
  await fitsAll('the map');
  await go('Mission');
  await tab('Erasures');
  await page.getByText('erasure <img').waitFor();
  await page.getByRole('button', { name: 'Read' }).click();
  await page.getByText('first <img').first().waitFor();
  await fitsAll('erasures');
  await tab('Audit trail');
  await page.getByText('disabled <img').first().waitFor();
  await fitsAll('the audit trail');

  // Addresses.
  for (const part of [IMG, '%00%ff', '../../v1/session', long(5_000), 'constructor', '%3Cscript%3E']) {
    for (const where of ['desk', 'mission', '', 'room', '__proto__']) {
      await page.evaluate((hash) => (location.hash = hash), `#/${where}/${part}`);
      await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
      await fits(`${where}/${part.slice(0, 20)}`);
    }
    await page.goto('/#/desk');
  }
  await page.goto(`/#/desk/${encodeURIComponent(IMG)}`);
  await page.reload();
  await page.getByRole('alert').filter({ hasText: /\S/ }).first().waitFor();
  await fitsAll('a report that is none');

  // Taken away, no cell is a formula.
  await go('Exports');
  await page.getByRole('checkbox', { name: /names/i }).check();
  await fitsAll('exports');
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download' }).click()]);
  const cells = csv(await readFile(await download.path(), 'utf8'));
  assert.equal(cells.length, 4);
  for (const one of cells) {
    for (const [name, cell] of Object.entries(one)) {
      assert(['lat', 'lon', 'accuracy_m'].includes(name) || !/^[\s]*[=+@\t\r-]/.test(cell), `${name}: ${cell.slice(0, 60)}`);
    }
  }
  assert(cells.some((one) => one.text === `'${FORMULA}`) && cells.some((one) => one.institution === `'${FORMULA}`));
});
