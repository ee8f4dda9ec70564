/**
 * Where a session cookie works: over HTTPS; on this very machine, where browsers take plain HTTP for safe enough; or nowhere,
 * because anybody on the way could read it.
 */
export type CookieScope = 'https' | 'localhost' | 'nowhere';

/**
 * Names of the cookie. `__Host-` makes browsers refuse it unless it is Secure, of this very host and for all of its paths, so
 * that no other host can plant one (RFC 6265bis, 4.1.3.2). Not all browsers keep Secure cookies from http://localhost, so
 * there it has a plain name.
 */
const NAMES = { https: '__Host-sluice', localhost: 'sluice-session' } as const;
const OURS: ReadonlySet<string> = new Set(Object.values(NAMES));

/** 32 random bytes in base64url. */
const SESSION_ID = /^[A-Za-z0-9_-]{43}$/;

/** The session id in a Cookie header; `undefined` when there is none of this scope, or two. */
export function readSessionId(header: string | undefined, scope: CookieScope): string | undefined {
  if (header === undefined || scope === 'nowhere') return undefined;
  const wanted = `${NAMES[scope]}=`;
  const values = header
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(wanted))
    .map((pair) => pair.slice(wanted.length));
  const [id = ''] = values;
  return values.length === 1 && SESSION_ID.test(id) ? id : undefined;
}

/**
 * A Cookie header without our cookies, for the upstream: every other byte as it came, and the very same text when there is
 * none of ours; `undefined` when nothing is left.
 */
export function withoutSessionCookie(header: string): string | undefined {
  if (!header.includes('sluice')) return header;
  const pairs = header.split(';');
  const kept = pairs.filter((pair) => !OURS.has(nameOf(pair)));
  if (kept.length === pairs.length) return header;
  const rest = kept.join(';').trimStart();
  return rest === '' ? undefined : rest;
}

function nameOf(pair: string): string {
  const equals = pair.indexOf('=');
  return (equals === -1 ? pair : pair.slice(0, equals)).trim();
}

/** The Set-Cookie value that gives a browser its session. @param maxAgeSec - until its credential ends */
export function sessionCookie(scope: Exclude<CookieScope, 'nowhere'>, id: string, maxAgeSec: number): string {
  const secure = scope === 'https' ? '; Secure' : '';
  return `${NAMES[scope]}=${id}; Path=/; Max-Age=${Math.max(0, Math.floor(maxAgeSec))}; HttpOnly; SameSite=Strict${secure}`;
}

/** The Set-Cookie value that takes it away again. */
export function endedCookie(scope: Exclude<CookieScope, 'nowhere'>): string {
  return sessionCookie(scope, '', 0);
}
