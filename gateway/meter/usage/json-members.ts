/** One member of a JSON object, and where its value stands in the text. */
export interface Member {
  readonly key: string;
  readonly valueFrom: number;
  readonly valueTo: number;
}

/** Where the members of an object stand in its text. */
export interface ObjectMembers {
  readonly members: readonly Member[];
  /** Where a new first member can be put: right after the brace. */
  readonly insertAt: number;
}

/** A text to put in place of another. `to` equals `from` to insert. */
export interface Edit {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/**
 * Finds the members of the object that begins at or after `from`, in a text that JSON.parse has accepted and whose value is an object. So a
 * request can be changed in one place and stay as it was, byte by byte, in all others (numbers over 2^53 among them).
 */
export function membersOf(text: string, from = 0): ObjectMembers {
  const members: Member[] = [];
  let at = text.indexOf('{', from) + 1;
  const insertAt = at;
  for (;;) {
    at = skipSpace(text, at);
    if (at >= text.length || text[at] === '}') return { members, insertAt };
    if (text[at] === ',') {
      at += 1;
      continue;
    }
    const keyEnd = endOfString(text, at);
    const key: unknown = JSON.parse(text.slice(at, keyEnd));
    const valueFrom = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const valueTo = endOfValue(text, valueFrom);
    members.push({ key: String(key), valueFrom, valueTo });
    at = valueTo;
  }
}

/** Applies edits that do not overlap. */
export function applyEdits(text: string, edits: readonly Edit[]): string {
  let out = '';
  let at = 0;
  for (const edit of [...edits].sort((a, b) => a.from - b.from)) {
    out += text.slice(at, edit.from) + edit.text;
    at = edit.to;
  }
  return out + text.slice(at);
}

/** The edit that adds a member to an object. */
export function insertMember(object: ObjectMembers, key: string, json: string): Edit {
  const comma = object.members.length === 0 ? '' : ',';
  return { from: object.insertAt, to: object.insertAt, text: `${JSON.stringify(key)}:${json}${comma}` };
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && (text.charCodeAt(at) === 0x20 || isControlSpace(text.charCodeAt(at)))) at += 1;
  return at;
}

function isControlSpace(code: number): boolean {
  return code === 0x09 || code === 0x0a || code === 0x0d;
}

/** @returns the position after the closing quote of the string that begins at `from` */
function endOfString(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}

/** @returns the position after the value that begins at `from` */
function endOfValue(text: string, from: number): number {
  let depth = 0;
  let at = from;
  while (at < text.length) {
    const char = text[at];
    if (char === '"') {
      at = endOfString(text, at);
      if (depth === 0) return at;
      continue;
    }
    if (char === '{' || char === '[') depth += 1;
    else if (char === '}' || char === ']') {
      // A number or word that ends with its container.
      if (depth === 0) return at;
      depth -= 1;
      if (depth === 0) return at + 1;
    } else if (depth === 0 && (char === ',' || char === ' ' || isControlSpace(text.charCodeAt(at))))
      return at;
    at += 1;
  }
  return at;
}
