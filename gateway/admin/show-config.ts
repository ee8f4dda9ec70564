import type { Config } from '../../config/config.ts';
import { scrubText } from '../observe/scrub.ts';

const HIDDEN = '[hidden]';
const MAX_DEPTH = 12;

/** Names of settings that hold a secret; those that name a file which holds one are shown. */
const SECRET = /secret|password|token|macaroon|rune|preimage|masterkeys?$|apikey|credential/i;

/**
 * The configuration as it may be shown: secrets as `[hidden]`, URLs without a password. Headers for an upstream are hidden
 * whole, because only their author knows which one is a key.
 */
export function showConfig(config: Config): object {
  const shown = show(config, '', 0);
  return typeof shown === 'object' && shown !== null ? shown : {};
}

function show(value: unknown, name: string, depth: number): unknown {
  if (depth > MAX_DEPTH) return HIDDEN;
  if (isSecret(name, value)) return Array.isArray(value) ? value.map(() => HIDDEN) : HIDDEN;
  if (Array.isArray(value)) return value.map((item) => show(item, '', depth + 1));
  // Rates by model: JSON knows neither maps nor whole numbers of any size.
  if (value instanceof Map) return show(Object.fromEntries(value), name, depth);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'object' && value !== null) {
    const hideAll = name === 'requestHeaders';
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, hideAll ? HIDDEN : show(item, key, depth + 1)]),
    );
  }
  return typeof value === 'string' ? showText(value) : value;
}

function isSecret(name: string, value: unknown): boolean {
  if (typeof value === 'number' || typeof value === 'boolean' || value === undefined) return false;
  // `credentialHeader` is the name of a header.
  return SECRET.test(name) && !/(File|Header)$/.test(name);
}

function showText(text: string): string {
  return text.includes('://') ? showUrl(text) : text;
}

/** An upstream or node URL without user, password and query. */
export function showUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null) return scrubText(text);
  url.username = '';
  url.password = '';
  url.search = '';
  url.hash = '';
  return url.href;
}
