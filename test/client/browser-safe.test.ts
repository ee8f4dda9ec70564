import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { it } from 'node:test';

/** Every module that `client/index.ts` loads, by following imports and exports that are not types only. */
async function modulesOf(entry: URL): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const open = [entry];
  for (let url = open.pop(); url !== undefined; url = open.pop()) {
    if (found.has(url.href)) continue;
    const source = await readFile(url, 'utf8');
    found.set(url.href, source);
    for (const [, name = ''] of source.matchAll(/^(?:import|export)(?! type)[^;]*? from '([^']+)';/gm)) {
      assert.ok(name.startsWith('.'), `${url.pathname} loads ${name}`);
      open.push(new URL(name, url));
    }
  }
  return found;
}

it('the core of the client loads nothing of Node and uses no Buffer or process', async () => {
  const modules = await modulesOf(new URL('../../client/index.ts', import.meta.url));
  assert.ok(modules.size > 15);
  for (const [name, source] of modules) {
    const code = source.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    assert.doesNotMatch(code, /\bBuffer\b|\bprocess\.|\brequire\(/, name);
  }
});
