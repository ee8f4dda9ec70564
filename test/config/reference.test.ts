import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { configJsonSchema, type JsonSchema } from '../../config/json-schema.ts';
import { loadConfig } from '../../config/load.ts';
import { staleFiles } from '../../config/reference.ts';

const EXAMPLES = path.join(import.meta.dirname, '../../config/examples');

test('the editor schema and the reference page are current (npm run docs makes them)', () => {
  assert.deepEqual(staleFiles(), []);
});

test('every key has a description', () => {
  const bare: string[] = [];
  const visit = (schema: JsonSchema, at: string): void => {
    for (const [key, inner] of Object.entries(schema.properties ?? {})) {
      if (inner.description === undefined) bare.push(`${at}.${key}`);
      visit(inner, `${at}.${key}`);
    }
    for (const inner of [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])]) visit(inner, at);
    if (schema.items !== undefined) visit(schema.items, `${at}[]`);
  };
  visit(configJsonSchema(), '');
  assert.deepEqual(bare, []);
});

for (const name of readdirSync(EXAMPLES)) {
  test(`config/examples/${name} loads and names the schema for editors`, () => {
    const file = path.join(EXAMPLES, name);
    const { config } = loadConfig({ file, env: {}, cwd: '/' });
    assert.ok(config.services.length > 0);
    const [first = ''] = readFileSync(file, 'utf8').split('\n');
    const schema = /^# yaml-language-server: \$schema=(.+)$/.exec(first)?.[1] ?? '';
    assert.ok(readFileSync(path.resolve(EXAMPLES, schema), 'utf8').includes('"services"'));
  });
}
