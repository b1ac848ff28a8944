// Evidence: a picture by its preview, films and sounds with seeking, documents as files,
// each with its hash; and who has opened which original, which is kept.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { account, phone, put, row, server, signIn, story, until } from './stage.mjs';

/** A few seconds of colours, recorded by the browser itself. */
async function film(open) {
  const page = await open();
  await page.goto('/');
  const bytes = await page.evaluate(async () => {
    const canvas = document.createElement('canvas');
    const draw = canvas.getContext('2d');
    const recorder = new MediaRecorder(canvas.captureStream(25), { mimeType: 'video/mp4' });
    const parts = [];
    recorder.ondataavailable = (event) => parts.push(event.data);
    const ended = new Promise((done) => (recorder.onstop = done));
    recorder.start();
    const began = performance.now();
    for (let at = 0; at < 3_000; at = performance.now() - began) {
      draw.fillStyle = `hsl(${at / 10} 90% 50%)`;
      draw.fillRect(0, 0, canvas.width, canvas.height);
      await new Promise(requestAnimationFrame);
    }
    recorder.stop();
    await ended;
    return [...new Uint8Array(await new Blob(parts).arrayBuffer())];
  });
  await page.context().close();
  return Buffer.from(bytes);
}

/** Ten seconds of a tone: WAV, 16 bits, one channel. */
function sound() {
  const [rate, seconds] = [16_000, 10];
  const bytes = Buffer.alloc(44 + 2 * rate * seconds);
  bytes.write('RIFF', 0);
  bytes.writeUInt32LE(bytes.length - 8, 4);
  bytes.write('WAVEfmt ', 8);
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(1, 20);
  bytes.writeUInt16LE(1, 22);
  bytes.writeUInt32LE(rate, 24);
  bytes.writeUInt32LE(2 * rate, 28);
  bytes.writeUInt16LE(2, 32);
  bytes.writeUInt16LE(16, 34);
  bytes.write('data', 36);
  bytes.writeUInt32LE(bytes.length - 44, 40);
  for (let at = 44; at < bytes.length; at += 2) bytes.writeInt16LE(8_000 * Math.sin(at / 10), at);
  return bytes;
}

/** A picture of the page's own making. */
async function picture(open) {
  const page = await open({ viewport: { width: 1600, height: 1200 } });
  await page.goto('/');
  const bytes = await page.screenshot({ type: 'jpeg' });
  await page.context().close();
  return bytes;
}

/** Plays what an element shows, and jumps to a second of it. */
const seek = (element, second) =>
  element.evaluate(async (media, to) => {
    media.muted = true;
    await media.play();
    media.pause();
    const there = new Promise((done) => media.addEventListener('seeked', done, { once: true }));
    media.currentTime = to;
    await there;
    return { at: media.currentTime, length: media.duration, error: media.error?.message };
  }, second);

await story(async (open) => {
  const files = {
    'urn.jpg': await picture(open),
    'film.mp4': await film(open),
    'shouts.wav': sound(),
    'protocol.pdf': Buffer.from('%PDF-1.4\n%%EOF\n'),
  };
  const observer = phone('D-1');
  const report = await observer.file('The urn was open', '--category', 'ballot_stuffing');
  for (const [name, bytes] of Object.entries(files)) {
    await observer.run('attach', report, await put(name, bytes));
  }
  await until('all files with the server', async () => (await observer.sync()).files_pending === 0);

  const [anna, who] = [await account('coordinator'), await account('lead')];
  const one = await open({ viewport: { width: 1280, height: 1200 } });
  const asked = [];
  one.on('request', (request) => asked.push(decodeURIComponent(new URL(request.url()).pathname)));
  await signIn(one, anna);
  await row(one, 'The urn was open').click();
  const item = (type) => one.getByRole('listitem').filter({ hasText: type });
  await item('application/pdf').waitFor();

  // Each with its hash; nothing but the preview was fetched yet.
  const { evidence } = await (await one.request.get(`/v1/reports/${report}`)).json();
  const hashes = Object.values(files).map((bytes) => createHash('sha256').update(bytes).digest('hex'));
  for (const hash of hashes) await one.getByText(hash).waitFor();
  const drawn = (image) => image.evaluate((one) => one.complete && one.naturalWidth > 0);
  await until('the preview', () => drawn(one.getByRole('img', { name: 'Preview of file 1' })));
  const originals = evidence.map(({ file }) => `/v1/evidence/${file.sha256}`);
  assert.deepEqual(originals.filter((path) => asked.includes(path)), []);
  assert.equal(await one.getByText('Nobody has opened the original yet.').count(), 4);

  // Films and sounds are played, and jumped in.
  for (const media of [item('video/mp4').locator('video'), item('audio/x-wav').locator('audio')]) {
    const { at, length, error } = await seek(media, 2);
    assert.equal(error, undefined);
    assert.ok(at >= 1.9 && length > 2, `${at} of ${length}`);
  }

  // The document is taken away as it was sent.
  const [taken] = await Promise.all([
    one.waitForEvent('download'),
    item('application/pdf').getByRole('link', { name: 'Download the original' }).click(),
  ]);
  assert.deepEqual(await readFile(await taken.path()), files['protocol.pdf']);

  // Somebody else sees who has opened what; who restarts the server changes nothing of it.
  await server.kill();
  await server.start();
  const other = await open();
  await signIn(other, who);
  await row(other, 'The urn was open').click();
  const seen = other.getByText('The original was opened by');
  await until('three that were opened', async () => (await seen.count()) === 3);
  for (const words of await seen.allTextContents()) assert.match(words, new RegExp(`by\\s+${anna.email}\\s+\\(`));
  assert.equal(await other.getByText('Nobody has opened the original yet.').count(), 1);

  // The picture itself, when somebody wants it.
  await other.getByRole('button', { name: 'Show the original' }).click();
  await until('the picture', () => drawn(other.getByRole('img', { name: 'Picture 1' })));
  await one.reload();
  await item('image/jpeg').getByText(who.email).waitFor();
});
