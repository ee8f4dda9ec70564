import { membersOf, type ObjectMembers } from './json-members.ts';

/** Why a request can't be metered. */
export interface RequestRefusal {
  /** `too-large`: 413. `encoded`: 415. `unknown-model` and `not-metered`: 404. `invalid`: 400. */
  readonly code: 'invalid' | 'too-large' | 'encoded' | 'unknown-model' | 'not-metered';
  /** What is wrong and what to do, for the client. */
  readonly message: string;
}

/** A JSON request, read. */
export interface JsonRequest {
  readonly text: string;
  readonly document: Readonly<Record<string, unknown>>;
  readonly top: ObjectMembers;
}

/** Nesting of a request that is followed. Upstreams refuse far less. */
const MAX_DEPTH = 128;

/**
 * Reads a request's JSON object. A body that an upstream's parser could read in another way than ours is refused, because what is
 * priced must be what is done: members that stand twice, names that differ only in case from the ones that are priced (Go's encoding/json
 * takes `Model` for `model`), bytes that are not UTF-8.
 * @param priced - the names whose values decide the price
 */
export function readJsonRequest(body: Buffer, priced: ReadonlySet<string>): JsonRequest | RequestRefusal {
  let text: string;
  let document: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
    document = JSON.parse(text);
  } catch {
    return invalid('The request body is not JSON in UTF-8, so it can not be priced.');
  }
  if (!isRecord(document))
    return invalid('The request body must be a JSON object, so that it can be priced.');
  if (deeperThan(text, MAX_DEPTH))
    return invalid(`The request body is nested over ${MAX_DEPTH} levels deep.`);
  const top = membersOf(text);
  return ambiguous(top, priced) ?? { text, document, top };
}

/** The refusal of an object with a priced name that stands twice or in other letters; `undefined` when there is none. */
export function ambiguous(object: ObjectMembers, priced: ReadonlySet<string>): RequestRefusal | undefined {
  const seen = new Set<string>();
  for (const { key } of object.members) {
    // Upper and then lower case folds what Go folds too: U+017F to s, U+212A to k.
    const folded = key.toUpperCase().toLowerCase();
    if (!priced.has(folded)) continue;
    if (seen.has(folded)) return invalid(`\`${folded}\` stands twice in the request body.`);
    if (key !== folded) return invalid(`A member of the request body is to be written \`${folded}\`.`);
    seen.add(folded);
  }
  return undefined;
}

/** A refusal with status 400. */
export function invalid(message: string): RequestRefusal {
  return { code: 'invalid', message };
}

/** True for a JSON object. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** True when valid JSON is nested deeper than `limit`. */
function deeperThan(text: string, limit: number): boolean {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (inString) {
      if (code === 0x5c) at += 1;
      else if (code === 0x22) inString = false;
    } else if (code === 0x22) inString = true;
    else if (code === 0x7b || code === 0x5b) {
      depth += 1;
      if (depth > limit) return true;
    } else if (code === 0x7d || code === 0x5d) depth -= 1;
  }
  return false;
}
