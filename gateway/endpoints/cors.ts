import type { RequestHandler } from 'express';
import { EXPOSED_HEADERS } from '../cors-headers.ts';

const ALLOWED_HEADERS = 'Authorization, Content-Type, L402-Macaroon';
const PREFLIGHT_AGE_SEC = '600';

/**
 * Lets browsers call the helper endpoints. A credential comes in a header that a script has to set, never by itself, so
 * any origin may be let in; `Access-Control-Allow-Credentials` is never sent, so that the session cookie stays at home.
 * @param configured - `*`, or the origins that may call; asked at each request, so that a reload counts
 */
export function allowOrigins(configured: () => readonly string[]): RequestHandler {
  return (request, response, next) => {
    const origins = configured();
    const any = origins.includes('*');
    const { origin } = request.headers;
    if (!any) response.vary('Origin');
    const allowed = any ? '*' : origin !== undefined && origins.includes(origin) ? origin : undefined;
    if (allowed !== undefined) {
      response.set('Access-Control-Allow-Origin', allowed);
      response.set('Access-Control-Expose-Headers', EXPOSED_HEADERS);
    }
    if (request.method !== 'OPTIONS') {
      next();
      return;
    }
    response.set('Access-Control-Allow-Methods', 'GET, HEAD, POST, OPTIONS');
    response.set('Access-Control-Allow-Headers', ALLOWED_HEADERS);
    response.set('Access-Control-Max-Age', PREFLIGHT_AGE_SEC);
    response.status(204).end();
  };
}
