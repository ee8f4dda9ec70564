import type { Flags } from './flags.ts';
import { schemasAt } from './json-schema.ts';
import { type ConfigProblem, type Finding, formatKey, type KeyPath } from './problem.ts';
import type { YamlText } from './read-yaml.ts';

/** Where a configuration was written. */
export interface Origin {
  /** The file, or what stands for it in a message. */
  readonly label: string;
  /** Absent when there is no file. */
  readonly yaml: YamlText | undefined;
  readonly flags: Flags;
  /** Keys whose value came from the environment or a file. */
  readonly replaced: ReadonlySet<string>;
}

const MAX_SHOWN = 80;
const SECRET_KEYS: ReadonlySet<string | number> = new Set([
  'masterKeys',
  'adminToken',
  'identitySecret',
  'macaroon',
  'password',
  'sentinelPassword',
  'requestHeaders',
]);

/**
 * Says where something wrong was written. Shows what was written only when it can't be a secret: never what a variable holds, a secret
 * key, or a URL with a password.
 */
export function placeFinding({ path, problem, remedy, at, derived }: Finding, origin: Origin): ConfigProblem {
  const key = formatKey(path);
  const raw = at === 'key' ? undefined : origin.yaml?.rawText(path);
  const shown = raw === undefined || !mayBeShown(raw, path) ? '' : `(\`${raw}\`) `;
  const replaced = origin.replaced.has(key);
  const position = flagOf(path, origin) === undefined ? origin.yaml?.locate(path, at) : undefined;
  return {
    file: flagOf(path, origin) ?? origin.label,
    ...position,
    key,
    problem: shown + problem,
    remedy: replaced && derived === true ? `check the value behind it${exampleAt(path)}` : remedy,
  };
}

function mayBeShown(raw: string, path: KeyPath): boolean {
  if (raw === '' || raw.length > MAX_SHOWN || raw.includes('\n') || raw.includes('@')) return false;
  return !path.some((step) => SECRET_KEYS.has(step));
}

function exampleAt(path: KeyPath): string {
  const example = schemasAt(path).flatMap(({ examples }) => examples ?? [])[0];
  return typeof example === 'string' ? `; \`${example}\` would be right` : '';
}

/** Flags of the one service that is sold without a file; each is named as its key is. */
const SERVICE_FLAGS: ReadonlySet<string> = new Set(['upstream', 'price', 'deposit', 'hold', 'warn']);

/** The flag that a value came from. */
function flagOf([top, second, third]: KeyPath, { flags, yaml }: Origin): string | undefined {
  if (top === 'data' && flags.data !== undefined) return '--data';
  if (top === 'store' && flags.store !== undefined) return '--store';
  if (top === 'node' && second === 'port' && flags.simnetPort !== undefined) return '--simnet-port';
  if (top === 'node' && flags.node !== undefined) return '--node';
  if (top === 'admin' && flags.adminPort !== undefined) return '--admin-port';
  if (top === 'listen' && second === 0 && flags.host !== undefined) return '--host';
  if (top === 'listen' && second === 0 && flags.port !== undefined) return '--port';
  if (top !== 'services' || yaml !== undefined || typeof third !== 'string') return undefined;
  return SERVICE_FLAGS.has(third) && Reflect.get(flags, third) !== undefined ? `--${third}` : undefined;
}
