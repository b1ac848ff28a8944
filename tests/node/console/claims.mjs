// The demo's real claims, from arrival to export: filed by seventeen observers' phones, the
// double ones and those that contradict each other joined, asked about and decided in the
// page, and taken away as files that a stranger's programs verify.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { account, csv, demo, row, rows, signIn, story, until, verify } from './stage.mjs';

/** What coordinators find to be one event. `suggested`: the server proposes it by itself;
    `against`: how many observers contradict in the end, when one of them is dismissed. */
const CASES = [
  { first: 'INC-0096', agrees: ['INC-0097', 'INC-0098'], suggested: true, observers: 1, organisations: 1 },
  { first: 'INC-0099', agrees: ['INC-0101'], suggested: true, observers: 1, organisations: 1 },
  { first: 'INC-0131', agrees: ['INC-0133'], contradicts: ['INC-0128', 'INC-0130'], against: 1, observers: 1, organisations: 1 },
  { first: 'INC-0134', agrees: ['INC-0111'], observers: 2, organisations: 2 },
];
/** How many reports each status has in the end. */
const COUNTS = { received: 16, in_review: 3, verified: 4, not_verified: 3, dismissed: 2 };
const KEYS = { in_review: 'r', needs_info: 'q', verified: 'v', not_verified: 'n', dismissed: 'd' };
const WORDS = {
  in_review: 'in review',
  needs_info: 'asked back',
  verified: 'verified',
  not_verified: 'not verified',
  dismissed: 'dismissed',
};
const count = (n, one) => `${n} ${one}${n === 1 ? '' : 's'}`;

await story(async (open) => {
  // One station that is in no register comes from the other election.
  const unlisted = (await demo.acts('parliamentary')).filter((act) => act.incident === 'INC-0002');
  const acts = [...unlisted, ...(await demo.acts('presidential'))];
  const filed = new Map();
  const told = new Map();
  const page = await open({ viewport: { width: 1280, height: 900 } });
  await signIn(page, await account('coordinator'));
  const lead = await open({ viewport: { width: 1280, height: 900 } });
  await signIn(lead, await account('lead'));

  const report = page.locator('.report > article');
  const together = page.getByRole('region', { name: 'The same event' });
  const named = (account) => (text) =>
    account.filter({ hasText: text.text.slice(0, 60) }).filter({ hasText: text.station ?? 'no station' });
  let shown;

  /** Finds a report in the list by its words, and opens it. */
  async function show(incident) {
    if (shown === incident) return;
    const { text, station } = told.get(incident);
    await page.getByLabel('Search in reports').fill(text.slice(0, 60));
    const wanted = row(page, text.slice(0, 60)).filter({ hasText: station ?? 'no station' });
    const same = [...told.values()].filter((one) => one.text.startsWith(text.slice(0, 60)));
    await until(`the list of ${incident}`, async () => (await rows(page).count()) === same.length);
    await wanted.click();
    await until(incident, () => page.url().endsWith(filed.get(incident)));
    await report.getByRole('heading', { name: 'History' }).waitFor();
    shown = incident;
  }

  async function decide({ incident, to, reason, question }) {
    await show(incident);
    await page.keyboard.press(KEYS[to]);
    const dialog = page.getByRole('dialog');
    const words = reason ?? question;
    if (words) await dialog.getByRole('textbox').fill(words);
    await dialog.locator('button.main').click();
    await dialog.waitFor({ state: 'detached' });
    await report.locator('header').getByText(WORDS[to], { exact: true }).waitFor();
  }

  async function join({ first, agrees, contradicts = [], suggested, observers, organisations }) {
    await show(first);
    for (const [side, incidents] of [['The same event', agrees], ['Contradicts', contradicts]]) {
      for (const incident of incidents) {
        const other = told.get(incident);
        let account = named(together.getByRole('article'))(other);
        if (!suggested) {
          const find = together.locator('details', { hasText: 'Find another report of it' });
          if (!(await find.getAttribute('open').then((is) => is !== null))) await find.locator('summary').click();
          await find.getByLabel('Words of the other report').fill(other.text.slice(0, 60));
          await find.getByRole('button', { name: 'Find', exact: true }).click();
          account = named(find.getByRole('article'))(other);
        }
        await account.getByRole('button', { name: side, exact: true }).click();
        const region = together.getByRole('region', { name: side === 'Contradicts' ? 'These contradict' : 'These agree' });
        await named(region.getByRole('article'))(other).waitFor();
      }
    }
    const counted = together.locator('.counted');
    await counted.getByText(count(observers, 'observer'), { exact: true }).waitFor();
    await counted.getByText(`of ${count(organisations, 'organisation')}`).waitFor();
    if (contradicts.length === 0) return assert.equal(await counted.getByText('contradict').count(), 0);
    await counted.getByText(`${contradicts.length} observers contradict`).waitFor();
    // Both sides are read beside each other.
    const [agree, against] = await Promise.all(
      ['These agree', 'These contradict'].map((name) => together.getByRole('region', { name }).boundingBox()),
    );
    assert.equal(agree.y, against.y);
    assert(agree.x + agree.width <= against.x);
  }

  const waiting = [...CASES];
  for (const act of acts) {
    if (act.act === 'decide') await decide(act);
    else filed.set(act.incident, await demo.play(act));
    if (act.act === 'file') {
      told.set(act.incident, act);
      const complete = (one) => [one.first, ...one.agrees, ...(one.contradicts ?? [])].every((name) => filed.has(name));
      const at = waiting.findIndex(complete);
      if (at >= 0) await join(...waiting.splice(at, 1));
    }
    if (act.act === 'answer' || act.act === 'amend') {
      await show(act.incident);
      await report.getByRole('region', { name: 'History' }).getByText(act.text.match(/\(sample [^\n]*/)[0]).waitFor();
    }
    if (act.act === 'answer') await report.getByText('The observer has answered the question.').waitFor();
    if (act.act === 'withdraw') {
      await show(act.incident);
      await report.locator('header').getByText('withdrawn').waitFor();
    }
  }
  assert.deepEqual(waiting, []);
  assert.equal(filed.size, 28);
  await show('INC-0002');
  await report.getByText('The report names a station that is not in the register.').waitFor();
  await show('INC-0104');
  await report.getByText('over 50 km outside the area').waitFor();

  // The page of cases holds each of them, the last changed first, as the other's desk sees it.
  await lead.getByRole('link', { name: 'Cases', exact: true }).click();
  const cases = lead.locator('.cases > li');
  await until('all cases', async () => (await cases.count()) === CASES.length);
  for (const one of CASES) {
    const card = cases.filter({ hasText: told.get(one.first).text.slice(0, 60) });
    assert.equal(await card.getByRole('article').locator('article').count(), 1 + one.agrees.length + (one.contradicts ?? []).length);
    const said = (await card.locator('.counted').textContent()).replace(/\s+/g, ' ').trim();
    const against = one.against ? ` ${count(one.against, 'observer')} contradicts` : '';
    assert.equal(said, `${count(one.observers, 'observer')} of ${count(one.organisations, 'organisation')}${against}`);
  }

  // Taken away: the verified ones, and everything in three forms.
  await lead.getByRole('link', { name: 'Exports', exact: true }).click();
  const take = async (format) => {
    await lead.getByRole('radio', { name: format }).check();
    const [download] = await Promise.all([
      lead.waitForEvent('download'),
      lead.getByRole('link', { name: 'Download', exact: true }).click(),
    ]);
    return download.path();
  };
  const status = lead.getByRole('combobox', { name: 'Status' });
  await status.selectOption('verified');
  const verified = csv(await readFile(await take('CSV'), 'utf8'));
  await status.selectOption('');
  const files = [await take('CSV'), await take('GeoJSON'), await take('JSON Lines')];
  const all = csv(await readFile(files[0], 'utf8'));

  // Programs that share no code with the server verify every signature.
  assert.match(await verify(...files), /^verified 28 reports, \d+ entries, \d+ places$/);
  assert.equal(all.length, 28);
  assert.equal(verified.length, COUNTS.verified);
  assert.deepEqual(verified, all.filter((one) => one.status === 'verified'));
  const statuses = {};
  for (const one of all) statuses[one.status] = (statuses[one.status] ?? 0) + 1;
  assert.deepEqual({ ...COUNTS, ...statuses }, COUNTS);

  // Each report is there once, and says what was said and decided.
  const pseudonyms = new Map();
  for (const [incident, id] of filed) {
    const found = all.filter((one) => one.report === id);
    assert.equal(found.length, 1, incident);
    const about = acts.filter((act) => act.incident === incident);
    const last = (kind) => about.filter((act) => act.act === kind).at(-1);
    const { station, observer, category, at, severity } = last('file');
    const decided = last('decide');
    const is = {
      status: decided?.to ?? 'received',
      decision_reason: decided?.reason ?? '',
      text: (last('amend') ?? last('file')).text,
      station: station ?? '',
      category,
      severity: severity ?? found[0].severity,
      withdrawn: String(Boolean(last('withdraw'))),
      revisions: String(about.filter((act) => ['amend', 'withdraw', 'answer'].includes(act.act)).length),
    };
    const { [incident]: _, ...row } = found[0];
    assert.deepEqual(Object.fromEntries(Object.keys(is).map((name) => [name, row[name]])), is, incident);
    assert.equal(row.observed_at ? Date.parse(row.observed_at) : null, at ? Date.parse(at) : null, incident);
    assert.equal(row.flags.split(';').includes('unlisted_station'), incident === 'INC-0002', incident);
    // Somebody decided on each answer.
    assert.equal(row.flags.split(';').includes('answered'), false, incident);
    assert.equal(pseudonyms.get(observer) ?? row.observer, row.observer, incident);
    pseudonyms.set(observer, row.observer);

    const within = CASES.find((one) => [one.first, ...one.agrees, ...(one.contradicts ?? [])].includes(incident));
    assert.equal(row.case_stance, within?.contradicts?.includes(incident) ? 'contradicts' : within ? 'agrees' : '', incident);
    assert.equal(row.case_observers, String(within?.observers ?? 0), incident);
    assert.equal(row.case_organisations, String(within?.organisations ?? 0), incident);
    const first = within && all.find((one) => one.report === filed.get(within.first)).case;
    assert.equal(row.case, first ?? '', incident);
  }
  assert.equal(new Set(pseudonyms.values()).size, pseudonyms.size);
  assert.equal(new Set(all.map((one) => one.case).filter(Boolean)).size, CASES.length);
  const nowhere = all.find((one) => one.report === filed.get('INC-0104'));
  assert.deepEqual([nowhere.lat, nowhere.lon].map(Number), [0, 0]);
  assert(nowhere.flags.split(';').includes('outside_country'));
});
