import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { runGateway } from '../gateway/run.ts';
import { folder } from './cli/operator.ts';

/** The banner of a gateway whose file is in `dir`, started in `cwd`. */
async function bannerOf(t: TestContext, dir: string, cwd: string): Promise<string> {
  const config = path.join(dir, 'sluice.yaml');
  const lines = ['listen: 127.0.0.1:0', 'admin: 127.0.0.1:0', 'log: { level: silent }', 'services:'];
  const service = '  - { name: quote, path: /quote, price: 10 sat, upstream: "http://127.0.0.1:9" }';
  writeFileSync(config, `${[...lines, service].join('\n')}\n`);
  let banner = '';
  const stdout = {
    write: (text: string) => {
      banner += text;
    },
  };
  const running = await runGateway({ flags: { config }, env: {}, cwd, stdout });
  t.after(() => running.stop());
  return banner;
}

test('the commands of the banner name the data folder when it is not the one that they would take', async (t) => {
  const dir = folder(t);
  const banner = await bannerOf(t, dir, folder(t));
  const data = path.join(dir, '.sluice');
  assert.ok(banner.includes(`/quote --data ${data}\n`), banner);
  assert.ok(banner.includes(`npx sluice wallet balance --data ${data}\n`), banner);
});

test('the commands of the banner are short when the file is in the folder where they are typed', async (t) => {
  const dir = folder(t);
  assert.doesNotMatch(await bannerOf(t, dir, dir), /--data/);
});
