import { readFileSync } from 'node:fs';
import type { RedisClient } from './connect.ts';

/** Each script: how many keys it takes, and what is put before it. */
const SCRIPTS = {
  spend: { keys: 2, after: ['account'] },
  'void-spend': { keys: 2, after: ['account'] },
  'refund-spend': { keys: 2, after: ['account'] },
  'begin-attempt': { keys: 3, after: ['account', 'attempts'] },
  'end-attempt': { keys: 3, after: ['account', 'attempts'] },
  'void-attempt': { keys: 3, after: ['account', 'attempts'] },
  'refresh-account': { keys: 3, after: ['account', 'leases'] },
  reserve: { keys: 3, after: ['account', 'leases'] },
  commit: { keys: 3, after: ['account', 'leases'] },
  release: { keys: 3, after: ['account', 'leases'] },
  'read-account': { keys: 3, after: ['account', 'leases'] },
  'sweep-account': { keys: 3, after: ['account', 'leases'] },
  'check-account': { keys: 2, after: ['account'] },
  credit: { keys: 5, after: ['account'] },
  'revoke-account': { keys: 2, after: ['account'] },
  'admit-offer': { keys: 2, after: ['account'] },
  'payable-offers': { keys: 2, after: ['account'] },
  claim: { keys: 1, after: ['account'] },
  'put-offer': { keys: 1, after: ['account'] },
  'settle-offer': { keys: 1, after: [] },
  'drop-offer': { keys: 1, after: [] },
  'open-store': { keys: 1, after: [] },
  'new-generation': { keys: 2, after: [] },
  'admit-keys': { keys: 1, after: [] },
  raise: { keys: 1, after: [] },
  'list-revocation': { keys: 3, after: [] },
  'revocations-after': { keys: 2, after: [] },
  'forget-revocation': { keys: 2, after: [] },
} as const satisfies Record<string, { readonly keys: number; readonly after: readonly string[] }>;

/** Name of a script, which is the name of its file. */
export type ScriptName = keyof typeof SCRIPTS;

/** Runs one script on its keys and arguments, in this order. */
export type RunScript = (name: ScriptName, keysAndArgs: readonly string[]) => Promise<unknown>;

function sourceOf(file: string): string {
  return readFileSync(new URL(`${file}.lua`, import.meta.url), 'utf8');
}

function nameIn(client: ScriptName): string {
  return `sluice-${client}`;
}

/**
 * Teaches a client the scripts of the store. It sends EVALSHA; a server that does not know the script (any more) is sent its text.
 */
export function defineScripts(client: RedisClient): RunScript {
  const runs = new Map<ScriptName, (...args: string[]) => Promise<unknown>>();
  for (const name of Object.keys(SCRIPTS) as ScriptName[]) {
    const { keys, after } = SCRIPTS[name];
    const lua = [...after, name].map(sourceOf).join('\n');
    client.defineCommand(nameIn(name), { lua, numberOfKeys: keys });
    const command: unknown = Reflect.get(client, nameIn(name));
    if (typeof command !== 'function') throw new Error(`ioredis did not take the script ${name}`);
    runs.set(name, (...args) => command.apply(client, args));
  }
  return (name, keysAndArgs) => {
    const run = runs.get(name);
    if (run === undefined) throw new Error(`there is no script ${name}`);
    return run(...keysAndArgs);
  };
}
