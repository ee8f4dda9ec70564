/*
 * `npm run test:browser`: the pages in a real Chromium, against the whole demo as `npm start` runs it. Not a part of `npm test`,
 * which needs nothing but Node.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Browser, chromium, type Page } from 'playwright-core';
import { type RunningGateway, runGateway } from '../../gateway/run.ts';

const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
if (!existsSync(CHROMIUM)) {
  throw new Error(
    `There is no Chromium at ${CHROMIUM}. Install it (Debian: apt-get install chromium), or name one: CHROMIUM=/path npm run test:browser`,
  );
}

const CLI = fileURLToPath(new URL('../../gateway/cli/sluice.js', import.meta.url));
const data = mkdtempSync(path.join(tmpdir(), 'sluice-browser-'));
const run = promisify(execFile);

let running: RunningGateway;
let browser: Browser;
let url = '';

before(async () => {
  const flags = { data, port: 0, adminPort: 0, simnetPort: 0 };
  running = await runGateway({ flags, env: {}, cwd: data, stdout: { write: () => true } });
  url = running.gateway.addresses[0]?.url ?? '';
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
});

after(async () => {
  await browser?.close();
  await running?.stop();
});

/** A page whose every error fails the test: a script that the page's own policy stops shows here. */
async function openPage(address: string): Promise<{ readonly page: Page; readonly errors: string[] }> {
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => {
    // The 402 itself and a missing icon are errors to the console; a broken policy or script is one to us.
    const expected = message.text().includes('402') || message.location().url.endsWith('/favicon.ico');
    if (message.type() === 'error' && !expected) errors.push(message.text());
  });
  await page.goto(address);
  return { page, errors };
}

async function payFromPage(page: Page): Promise<void> {
  const invoice = await page.locator('#invoice').inputValue();
  assert.match(invoice, /^lnbcrt/);
  await run(process.execPath, [CLI, 'pay', invoice, '--data', data]);
}

test('a person who opens a paid page pays its invoice and reads the answer on it', async () => {
  const { page, errors } = await openPage(`${url}/quote`);
  assert.match(await page.locator('body').innerText(), /10 sat/);
  assert.match(await page.locator('body').innerText(), /PLAY MONEY/i);
  assert.equal(await page.locator('#pay svg').first().isVisible(), true);
  if (process.env['SHOTS'] !== undefined) await page.screenshot({ path: `${process.env['SHOTS']}/pay.png` });
  await payFromPage(page);
  await page.locator('#result').waitFor({ state: 'visible' });
  assert.match(await page.locator('#result').innerText(), /author/);
  assert.deepEqual(errors, []);
  await page.close();
});

test('the live page plays a stream that is paid by the second, with its balance on screen, and is topped up', async () => {
  const { page, errors } = await openPage(`${url}/free/live.html`);
  await page.locator('#start').click();
  await page.locator('#pay').waitFor({ state: 'visible' });
  await payFromPage(page);
  await page.locator('#events li').nth(2).waitFor();
  await page.waitForFunction(() =>
    /^\d+(\.\d)? sat$/.test(document.querySelector('#balance')?.textContent ?? ''),
  );
  assert.match(await page.locator('#rate').innerText(), /100 msat\/s/);

  const sats = async (): Promise<number> => Number.parseFloat(await page.locator('#balance').innerText());
  const before = await sats();
  await page.locator('#topup').click();
  await page.locator('#pay').waitFor({ state: 'visible' });
  await payFromPage(page);
  await page.waitForFunction(
    (least) => Number.parseFloat(document.querySelector('#balance')?.textContent ?? '0') > least,
    before + 10,
  );
  const seen = await page.locator('#events li').count();
  await page
    .locator('#events li')
    .nth(seen + 1)
    .waitFor();

  if (process.env['SHOTS'] !== undefined) await page.screenshot({ path: `${process.env['SHOTS']}/live.png` });
  await page.locator('#stop').click();
  assert.deepEqual(errors, []);
  await page.close();
});
