const RESET = '\u001b[0m';
const COLOURS: Readonly<Record<string, string>> = {
  debug: '\u001b[90m',
  info: '\u001b[32m',
  warn: '\u001b[33m',
  error: '\u001b[31m',
};
/** Shown elsewhere on the line, or of no use to a person. */
const HIDDEN = new Set(['level', 'time', 'msg', 'access', 'stack']);

/** What a pretty line looks like. */
export interface PrettyOptions {
  readonly colour: boolean;
}

/** One JSON log line as a short line for a person: `12:03:04 info  message  key=value …`. Text that is not JSON stays as it is. */
export function prettyLine(line: string, options: PrettyOptions): string {
  const entry = parse(line);
  if (entry === undefined) return line;
  const level = String(entry['level']);
  const time = new Date(Number(entry['time'])).toTimeString().slice(0, 8);
  const paint = options.colour ? (COLOURS[level] ?? '') : '';
  const head = `${time} ${paint}${level.padEnd(5)}${paint === '' ? '' : RESET}`;
  const text = entry['access'] === true ? accessText(entry) : plainText(entry);
  return `${head} ${printable(text)}\n`;
}

function accessText(entry: Readonly<Record<string, unknown>>): string {
  const { method, path, status, outcome, service, ms, msat, worker } = entry as Readonly<
    Record<string, string | number>
  >;
  const money = typeof msat === 'number' && msat > 0 ? ` ${msat} msat` : '';
  const by = worker === undefined ? '' : `, worker ${worker}`;
  return `${method} ${path} → ${status} ${outcome} (${service}${money}, ${ms} ms${by})`;
}

function plainText(entry: Readonly<Record<string, unknown>>): string {
  const fields: string[] = [];
  for (const [name, value] of Object.entries(entry)) {
    if (HIDDEN.has(name) || value === undefined) continue;
    fields.push(`${name}=${fieldText(value)}`);
  }
  return [String(entry['msg'] ?? ''), ...fields].join('  ').trim();
}

function fieldText(value: unknown): string {
  if (typeof value === 'string') return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
  if (typeof value === 'object' && value !== null && 'message' in value) return JSON.stringify(value.message);
  return JSON.stringify(value);
}

/** A client chooses paths: what would move the cursor or recolour the terminal is shown as an escape. */
function printable(text: string): string {
  let shown = '';
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    const control = code < 0x20 || (code >= 0x7f && code < 0xa0) || code === 0x2028 || code === 0x2029;
    shown += control ? `\\u${code.toString(16).padStart(4, '0')}` : character;
  }
  return shown;
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
