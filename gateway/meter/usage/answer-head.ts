import type { ExpectedUsage } from './plan-types.ts';

/** All values of a header or trailer in a flat list (name, value, name, value), joined; `undefined` when it is not there. */
export function flatValue(flat: readonly string[], lowerName: string): string | undefined {
  let found: string | undefined;
  for (let at = 0; at + 1 < flat.length; at += 2) {
    if (flat[at]?.toLowerCase() !== lowerName) continue;
    found = found === undefined ? flat[at + 1] : `${found}, ${flat[at + 1]}`;
  }
  return found;
}

/** The form of an answer's body: by its content type, and by what was asked for when that says nothing. */
export function formOf(expected: ExpectedUsage, contentType: string | undefined): ExpectedUsage['form'] {
  const type = contentType?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (type === 'text/event-stream') return 'sse';
  if (/[/.+-](x-)?(ndjson|jsonl|json-?lines)$/.test(type)) return 'lines';
  if (type === 'application/json' || type.endsWith('+json')) return 'json';
  return expected.form;
}
