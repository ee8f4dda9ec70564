/** One credential of an `Authorization` value, with whatever its scheme lets follow it after commas. */
export interface AuthEntry {
  /** Lower case; empty when the value begins without a scheme. */
  readonly scheme: string;
  /** The text behind the scheme, split at commas outside quotes and trimmed. */
  readonly parts: readonly string[];
  /** The entry as it was sent. */
  readonly text: string;
}

/** A scheme, blanks, and something that is not the `=` of a parameter written with blanks around it. */
const SCHEME_AND_REST = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]+([^= \t].*)$/s;

/**
 * Splits an `Authorization` value into its credentials (RFC 9110, 11.4). The grammar allows one; clients and proxies that
 * join repeated headers send several with commas between them. A comma also separates the parameters of one credential and
 * the macaroons of an L402 one: an element starts a new credential only when it has a scheme, and nothing inside quotes is
 * looked at. Linear in the length of the value.
 */
export function splitAuthList(value: string): AuthEntry[] {
  const entries: { scheme: string; parts: string[]; text: string }[] = [];
  for (const element of splitAtCommas(value)) {
    const match = SCHEME_AND_REST.exec(element);
    const open = entries.at(-1);
    if (open !== undefined && match === null) {
      open.parts.push(element);
      open.text += `, ${element}`;
      continue;
    }
    const [scheme, first] = match === null ? ['', element] : [match[1] ?? '', match[2] ?? ''];
    entries.push({ scheme: scheme.toLowerCase(), parts: [first], text: element });
  }
  return entries;
}

/** The non-empty elements of a list, trimmed. A comma in a quoted string is no separator; an open quote runs to the end. */
function splitAtCommas(value: string): string[] {
  if (!value.includes(',')) return nonEmpty([value]);
  if (!value.includes('"')) return nonEmpty(value.split(','));
  const elements: string[] = [];
  let start = 0;
  let quoted = false;
  for (let index = 0; index < value.length; index += 1) {
    const character = value[index];
    if (quoted && character === '\\') index += 1;
    else if (character === '"') quoted = !quoted;
    else if (character === ',' && !quoted) {
      elements.push(value.slice(start, index));
      start = index + 1;
    }
  }
  elements.push(value.slice(start));
  return nonEmpty(elements);
}

function nonEmpty(elements: readonly string[]): string[] {
  return elements.map((element) => element.trim()).filter((element) => element !== '');
}
