import { readSessionId } from './cookie.ts';
import { type CookieRequest, cookieScope, isOwnSite } from './request-origin.ts';
import type { HeldCredential, SessionTable } from './table.ts';

/** What a request's session cookie gives. */
export type SessionReading =
  | { readonly kind: 'none' }
  | { readonly kind: 'held'; readonly credentials: readonly HeldCredential[] }
  /** A page of another origin rides on the cookie. */
  | { readonly kind: 'misdirected' };

const NONE: SessionReading = { kind: 'none' };

/**
 * Reads the session of a request. A browser sends a cookie by itself, whoever made it ask; so it counts for GET and HEAD only,
 * and only for pages of this origin. Somebody who follows a link from elsewhere is treated as if there were no cookie,
 * and is shown how to pay.
 * @throws StoreError when the sessions are away: nobody shall be asked to pay again for that
 */
export async function readSession(sessions: SessionTable, request: CookieRequest): Promise<SessionReading> {
  if (request.headers.cookie === undefined || (request.method !== 'GET' && request.method !== 'HEAD'))
    return NONE;
  const id = readSessionId(request.headers.cookie, cookieScope(request));
  if (id === undefined) return NONE;
  const credentials = await sessions.credentials(id);
  if (credentials.length === 0) return NONE;
  if (isOwnSite(request)) return { kind: 'held', credentials };
  return request.headers['sec-fetch-mode'] === 'navigate' ? NONE : { kind: 'misdirected' };
}
