import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { RedisClient } from './connect.ts';
import { guardScript, type Proofs } from './proofs.ts';
import { writeTogether } from './write-together.ts';

/** Each script: how many keys it takes, and what is put before it. Those that make a store do not ask for its proof. */
const SCRIPTS = {
  spend: { keys: 2, after: ['spend-ready', 'account'] },
  'void-spend': { keys: 2, after: ['account'] },
  'refund-spend': { keys: 2, after: ['account'] },
  'begin-attempt': { keys: 3, after: ['account', 'attempts'] },
  'end-attempt': { keys: 3, after: ['account', 'attempts'] },
  'void-attempt': { keys: 3, after: ['account', 'attempts'] },
  'refresh-account': { keys: 3, after: ['account', 'leases'] },
  reserve: { keys: 3, after: ['account', 'leases'] },
  commit: { keys: 4, after: ['account', 'leases', 'shared-time'] },
  release: { keys: 4, after: ['account', 'leases', 'shared-time'] },
  'account-clock': { keys: 1, after: [] },
  'read-account': { keys: 3, after: ['account', 'leases'] },
  'sweep-account': { keys: 3, after: ['account', 'leases'] },
  'check-account': { keys: 2, after: ['account'] },
  credit: { keys: 5, after: ['account'] },
  'revoke-account': { keys: 2, after: ['account'] },
  'admit-offer': { keys: 2, after: ['account'] },
  'payable-offers': { keys: 2, after: ['account'] },
  claim: { keys: 1, after: ['account'] },
  'put-offer': { keys: 1, after: ['account'] },
  'read-offer': { keys: 1, after: [] },
  'settle-offer': { keys: 1, after: [] },
  'drop-offer': { keys: 1, after: [] },
  'open-store': { keys: 1, after: [], makesStore: true },
  'new-generation': { keys: 2, after: [], makesStore: true },
  'proofs-written': { keys: 1, after: [], makesStore: true },
  verify: { keys: 1, after: [] },
  'next-epoch': { keys: 1, after: [] },
  'admit-keys': { keys: 1, after: [] },
  raise: { keys: 1, after: [] },
  'list-revocation': { keys: 3, after: [] },
  'revocations-after': { keys: 2, after: [] },
  'forget-revocation': { keys: 2, after: [] },
  'forget-mark': { keys: 3, after: [] },
} as const satisfies Record<string, ScriptSource>;

interface ScriptSource {
  readonly keys: number;
  readonly after: readonly string[];
  readonly makesStore?: true;
}

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

/** A script as servers are sent it. */
interface ScriptText {
  readonly lua: string;
  readonly sha: string;
  /** Of the script itself. */
  readonly keys: number;
  /** It takes one key more, and two arguments: those of the proof. */
  readonly isGuarded: boolean;
}

const texts = new Map<ScriptName, ScriptText>();

function textOf(name: ScriptName): ScriptText {
  const known = texts.get(name);
  if (known !== undefined) return known;
  const { keys, after, makesStore }: ScriptSource = SCRIPTS[name];
  const body = [...after, name].map(sourceOf).join('\n');
  const isGuarded = makesStore !== true;
  const lua = isGuarded ? guardScript(body) : body;
  const text = { lua, sha: createHash('sha1').update(lua).digest('hex'), keys, isGuarded };
  texts.set(name, text);
  return text;
}

/** A call of a script, for who sends EVAL and EVALSHA himself: `args` are keys and arguments, with those of the proof. */
export function prepareScript(
  proofs: Proofs,
  name: ScriptName,
  keysAndArgs: readonly string[],
): {
  readonly lua: string;
  readonly sha: string;
  readonly keyCount: number;
  readonly args: readonly string[];
} {
  const { lua, sha, keys, isGuarded } = textOf(name);
  const args = isGuarded ? guarded(proofs, keys, keysAndArgs) : keysAndArgs;
  return { lua, sha, keyCount: isGuarded ? keys + 1 : keys, args };
}

/**
 * Teaches a client the scripts of the store. It sends EVALSHA; a server that does not know the script (any more) is sent its text.
 */
export function defineScripts(client: RedisClient, proofs: Proofs): RunScript {
  const aboutToWrite = writeTogether(client);
  const runs = new Map<ScriptName, (keysAndArgs: readonly string[]) => Promise<unknown>>();
  for (const name of Object.keys(SCRIPTS) as ScriptName[]) {
    const { lua, keys, isGuarded } = textOf(name);
    const command = defineScript(client, nameIn(name), { lua, numberOfKeys: isGuarded ? keys + 1 : keys });
    runs.set(name, (given) => command(isGuarded ? guarded(proofs, keys, given) : given));
  }
  return (name, keysAndArgs) => {
    const run = runs.get(name);
    if (run === undefined) throw new Error(`there is no script ${name}`);
    aboutToWrite();
    return run(keysAndArgs);
  };
}

/** The proof's key after the script's own keys, and what it is asked for after the arguments. */
function guarded(proofs: Proofs, keys: number, given: readonly string[]): readonly string[] {
  const all = given.slice(0, keys);
  all.push(proofs.keyFor(given[0] ?? ''));
  for (let at = keys; at < given.length; at += 1) all.push(given[at] ?? '');
  const [generation, epoch] = proofs.wanted();
  all.push(generation, epoch);
  return all;
}

function defineScript(
  client: RedisClient,
  name: string,
  definition: { readonly lua: string; readonly numberOfKeys: number },
): (args: readonly string[]) => Promise<unknown> {
  client.defineCommand(name, definition);
  const command: unknown = Reflect.get(client, name);
  if (typeof command !== 'function') throw new Error(`ioredis did not take the script ${name}`);
  return (args) => command.apply(client, args);
}
