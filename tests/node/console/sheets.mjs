// Before a training: sheets for everybody without a phone. The server dies in between, one
// is revoked meanwhile, somebody stops; nothing that was made is lost. They are printed, and
// a phone is enrolled from one.

import assert from 'node:assert/strict';
import { account, phone, put, server, signIn, story, until } from './stage.mjs';

const CODES = '**/v1/enrolment-codes';
/** Pixels of CSS in a millimetre. */
const MM = 96 / 25.4;
/** What is left of A4 between its margins. */
const PAPER = { width: Math.floor(186 * MM), height: Math.floor(273 * MM) };

await story(async (open) => {
  await phone('D-5').sync();
  const page = await open();
  await signIn(page, await account('lead'));
  await page.evaluate(() => (window.print = () => dispatchEvent(new Event('afterprint'))));
  const button = (name) => page.getByRole('button', { name });
  const dialog = page.getByRole('dialog');
  const sheets = page.getByRole('article', { name: 'Enrolment sheet' });
  const link = (name) => page.getByRole('link', { name, exact: true });
  const listed = (...numbers) =>
    until(numbers.join(), async () => {
      const shown = await page.locator('.cards > li strong:first-child').allTextContents();
      return shown.join() === numbers.join();
    });
  const makeAll = async () => {
    await button('Sheets for all of these').click();
    await button('Make them').click();
    await dialog.waitFor({ state: 'detached' });
  };

  // The list, by what a coordinator knows.
  await link('Observers').click();
  await listed('D-1', 'D-2', 'D-3', 'D-4', 'D-5');
  await page.getByLabel('Institution').fill('sample PARTY (invented)');
  await button('Find').click();
  await listed('D-3', 'D-4');
  await page.getByLabel('Institution').fill('');
  await page.getByLabel('Phone').selectOption('With a phone');
  await listed('D-5');
  await page.getByLabel('Phone').selectOption('Without a phone');
  await listed('D-1', 'D-2', 'D-3', 'D-4');

  // By the keyboard; and nothing is made before it is confirmed.
  await button('Sheets for all of these').press('Enter');
  await dialog.getByText('4 codes are made.').waitFor();
  await dialog.getByText('From D-1 to D-4.').waitFor();
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  assert.equal(await button('Sheets for all of these').evaluate((one) => one === document.activeElement), true);
  assert.equal(await sheets.count(), 0);

  // The server dies before the third.
  let asked = 0;
  await page.route(CODES, async (route) => {
    asked += 1;
    if (asked === 3) await server.kill();
    await route.continue();
  });
  await makeAll();
  const alert = page.getByRole('alert').filter({ hasText: 'There is no code for D-3.' });
  await alert.getByText('The server cannot be reached.').waitFor();
  await alert.getByText('The 2 sheets made before stay.').waitFor();
  await page.getByText('2 of 4 codes').first().waitFor();
  assert.equal(await sheets.count(), 2);
  await server.start();
  await until('the server', () => page.evaluate(() => fetch('/readyz').then((is) => is.ok, () => false)));
  assert.equal(await button('Go on', { exact: true }).first().evaluate((one) => one === document.activeElement), true);
  await page.keyboard.press('Enter');
  await page.getByRole('status').getByText('4 sheets are made.').waitFor();
  assert.equal(await button('Print').evaluate((one) => one === document.activeElement), true);
  assert.deepEqual(
    await sheets.evaluateAll((all) => all.map((one) => one.querySelector('strong').textContent)),
    ['D-1', 'D-2', 'D-3', 'D-4'],
  );
  assert.equal(asked, 5);

  // Nobody leaves them unprinted without a word.
  await link('Desk').click();
  await dialog.getByRole('heading', { name: 'These codes were not printed' }).waitFor();
  await button('Stay here').click();
  assert.equal(new URL(page.url()).hash, '#/observers');
  // Once to the same page, which took the desk's place, and once to the desk before it.
  await page.evaluate(() => history.go(-2));
  await button('Stay here').click();
  await page.locator('summary').click();
  await button('Sign out').click();
  await button('Stay here').click();
  await page.locator('summary').click();
  await button('Put them away').click();
  await button('Stay here').click();
  const [warning] = await Promise.all([page.waitForEvent('dialog'), page.close({ runBeforeUnload: true })]);
  assert.equal(warning.type(), 'beforeunload');
  await warning.dismiss();
  assert.equal(await sheets.count(), 4);

  // Stopped after the second; one is revoked before it goes on.
  await page.unroute(CODES);
  asked = 0;
  await page.route(CODES, async (route) => {
    asked += 1;
    if (asked === 2) await button('Stop').click();
    await route.continue();
  });
  await makeAll();
  await button('Leave the other 2 out').waitFor();
  assert.equal(await sheets.count(), 6);
  const revoked = await page.evaluate(async () => {
    const body = JSON.stringify({ reason: 'Left the mission' });
    const headers = { 'content-type': 'application/json' };
    return (await fetch('/v1/accreditations/D-3/revocation', { method: 'POST', headers, body })).status;
  });
  assert.equal(revoked, 201);
  await button('Go on').click();
  await page.getByRole('alert').getByText('There is no code for D-3. The accreditation has been revoked.').waitFor();
  await button('Go on without this one').click();
  await page.getByRole('status').getByText('7 sheets are made.').waitFor();

  // On paper: seven pages of one, or two of six; each code large enough, none cut in two.
  await page.evaluate(() => (document.documentElement.dataset.theme = 'dark'));
  for (const [name, count, most] of [['One sheet', 7, PAPER.height], ['Six sheets', 2, PAPER.height / 3]]) {
    await page.getByLabel(name).check();
    await page.emulateMedia({ media: 'print' });
    await page.setViewportSize(PAPER);
    await page.screenshot({ path: `${process.env.SHOTS}-${name.slice(0, 3)}.png`, fullPage: true });
    for (const sheet of await sheets.all()) {
      assert.ok((await sheet.boundingBox()).height <= most, `${name}: higher than its place`);
      const [width, modules] = await sheet.locator('svg').evaluate((svg) => [
        svg.getBoundingClientRect().width,
        svg.viewBox.baseVal.width,
      ]);
      assert.ok((width * (modules - 8)) / modules >= 35 * MM, `${name}: a code of ${width}`);
    }
    assert.ok(await sheets.first().getByText('Parliamentary 2024').isVisible());
    assert.ok(await sheets.first().getByText('Aygün Sınaq').isVisible());
    assert.ok(!(await button('Print').isVisible()));
    const pdf = await page.pdf({ path: `${process.env.SHOTS}-${name.slice(0, 3)}.pdf`, preferCSSPageSize: true });
    const text = pdf.toString('latin1');
    assert.equal(text.match(/\/Type\s*\/Page\b/g).length, count, name);
    const [, width, height] = /\/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)/.exec(text);
    assert.deepEqual([Math.round(width), Math.round(height)], [595, 842]);
    await page.emulateMedia({ media: 'screen' });
    await page.setViewportSize({ width: 1280, height: 900 });
  }

  // In every language a sheet stays within its sixth.
  for (const language of ['az', 'ru', 'en']) {
    await page.locator('summary').click();
    await page.locator('summary + * select').first().selectOption(language);
    await page.locator('summary').click();
    await page.emulateMedia({ media: 'print' });
    await page.setViewportSize(PAPER);
    await page.screenshot({ path: `${process.env.SHOTS}-Six-${language}.png` });
    if (language === 'az') await page.getByText(/^\d\d\.\d\d\.\d{4}, .* tarixinədək etibarlıdır$/).first().waitFor();
    for (const sheet of await page.locator('article').all())
      assert.ok((await sheet.boundingBox()).height <= PAPER.height / 3, language);
    await page.emulateMedia({ media: 'screen' });
    await page.setViewportSize({ width: 1280, height: 900 });
  }

  // A phone from the paper; who has one is no longer listed.
  await button('Print').click();
  const url = await sheets.filter({ hasText: 'D-2' }).last().locator('code').textContent();
  await phone('paper').enrol(url);
  await phone('paper').file('Filed from the paper', '--category', 'accessibility');
  await button('Find').click();
  await listed('D-1', 'D-3', 'D-4');
  await button('Sheets for all of these').click();
  await dialog.getByText('2 codes are made.').waitFor();
  await page.keyboard.press('Escape');

  // More than are made at once.
  const rows = Array.from({ length: 520 }, (_, at) => `X-${1000 + at},Many,domestic,Many,AZ,`);
  const file = await put('many.csv', ['number,name,kind,institution,country,stations', ...rows, ''].join('\n'));
  await server.run('import', 'accreditations', file);
  await button('Sheets for all of these').click();
  await dialog.getByText('More than 500 accreditations fit.').waitFor();
  assert.equal(await button('Make them').count(), 0);
  await button('Close').click();
  await page.getByLabel('Number, pseudonym or name').fill('X-10');
  await button('Find').click();
  await button('Sheets for all of these').click();
  await dialog.getByText('100 codes are made.').waitFor();
  await page.keyboard.press('Escape');

  // What was printed may be left.
  await link('Desk').click();
  await page.getByRole('listbox', { name: 'Reports' }).waitFor();

  // Coordinators print no names.
  const other = await open();
  await signIn(other, await account('coordinator'));
  await other.getByRole('link', { name: 'Observers', exact: true }).click();
  await other.getByLabel('Number or pseudonym of the accreditation').fill('D-1');
  await other.getByRole('button', { name: 'Find' }).click();
  await until('one', async () => (await other.locator('.cards > li').count()) === 1);
  await other.getByRole('button', { name: 'Sheets for all of these' }).click();
  await other.getByRole('button', { name: 'Make them' }).click();
  const sheet = other.getByRole('article', { name: 'Enrolment sheet of D-1' });
  await sheet.waitFor();
  assert.ok(!(await sheet.textContent()).includes('Aygün'));
});
