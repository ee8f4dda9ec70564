/** A way into a JSON document: names of members and indexes into lists. */
export type JsonPath = readonly (string | number)[];

/** Steps in a path, and characters in its text, at most. */
const MAX_STEPS = 16;
const MAX_TEXT = 256;

/** `name` or `[0]`, with the dot that goes before a name that is not the first. */
const STEP = /(?:(^|\.)([A-Za-z_$][\w$-]{0,127})|\[(\d{1,4})\])/y;

/**
 * Reads a path as an operator writes it: `usage.total_tokens`, `items[0].size`, `[2].n`.
 * @throws RangeError when it is anything else.
 */
export function parseJsonPath(text: string): JsonPath {
  const refuse = () =>
    new RangeError(
      'is not a path into JSON: write names with dots and indexes, `usage.total_tokens` or `items[0].size`',
    );
  if (text === '' || text.startsWith('.') || text.length > MAX_TEXT) throw refuse();
  const steps: (string | number)[] = [];
  STEP.lastIndex = 0;
  while (STEP.lastIndex < text.length) {
    const match = STEP.exec(text);
    if (match === null || steps.length === MAX_STEPS) throw refuse();
    const [, , name, index] = match;
    steps.push(name ?? Number(index));
  }
  return steps;
}

/** The value at a path, or `undefined`. Reads own members only. */
export function atPath(document: unknown, path: JsonPath): unknown {
  let value = document;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    if (Array.isArray(value) !== (typeof step === 'number')) return undefined;
    if (!Object.hasOwn(value, step)) return undefined;
    value = Reflect.get(value, step);
  }
  return value;
}

/** The member of an object, or `undefined`. */
export function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? Reflect.get(value, name)
    : undefined;
}
