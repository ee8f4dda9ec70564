import { isIP } from 'node:net';
import type { Request, RequestHandler, Response } from 'express';
import { isLoopbackAddress } from '../../node/loopback.ts';
import { sendError } from '../endpoints/answer.ts';
import { isSameToken } from './token.ts';

/** Failures that one address may have at once, and how many come back a minute. */
const FAILURE_BURST = 10;
const FAILURES_PER_MINUTE = 10;
/** Addresses remembered; above it the oldest is forgotten. */
const MAX_ADDRESSES = 1000;

/** What the guards work with. */
export interface AuthDeps {
  readonly token: string;
  /** Unix milliseconds. */
  readonly nowMs: () => number;
  /** Told of each failure with the address, so that it can be logged. */
  readonly onFailure: (address: string) => void;
}

/**
 * Lets requests with the bearer token through. Failures are throttled by address, the right token never is: a guesser
 * beside the operator must not lock the operator out, and 256 bits are not guessed.
 */
export function requireToken(deps: AuthDeps): RequestHandler {
  const failures = new Map<string, { left: number; atMs: number }>();

  /** Takes one failure from the address's bucket. */
  function mayFail(address: string): boolean {
    const nowMs = deps.nowMs();
    const bucket = failures.get(address) ?? { left: FAILURE_BURST, atMs: nowMs };
    const refilled = bucket.left + ((nowMs - bucket.atMs) / 60_000) * FAILURES_PER_MINUTE;
    const left = Math.min(FAILURE_BURST, refilled);
    failures.delete(address);
    failures.set(address, { left: left >= 1 ? left - 1 : left, atMs: nowMs });
    const [oldest] = failures.keys();
    if (failures.size > MAX_ADDRESSES && oldest !== undefined) failures.delete(oldest);
    return left >= 1;
  }

  return (request, response, next) => {
    if (hasToken(request, deps.token)) {
      next();
      return;
    }
    const address = request.socket.remoteAddress ?? '';
    if (!mayFail(address)) {
      response.set('Retry-After', '60');
      sendError(response, 429, 'throttled', 'Too many wrong tokens from this address; wait a minute.');
      return;
    }
    deps.onFailure(address);
    refuse(response);
  };
}

/**
 * For what scrapers read: open on the same machine, by token from anywhere else. A page that an operator's browser was
 * lured to is on the same machine too, so whatever looks like a browser of another site, a rebound name or a proxy in
 * front needs the token.
 */
export function allowLocalOr(guard: RequestHandler, ownHost: string): RequestHandler {
  return (request, response, next) => {
    if (isLocal(request, ownHost)) next();
    else guard(request, response, next);
  };
}

function isLocal(request: Request, ownHost: string): boolean {
  const { headers } = request;
  if (!isLoopbackAddress(request.socket.remoteAddress ?? '')) return false;
  if (
    headers.origin !== undefined ||
    headers['x-forwarded-for'] !== undefined ||
    headers.forwarded !== undefined
  ) {
    return false;
  }
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false;
  return isKnownHost(headers.host ?? '', ownHost);
}

/**
 * DNS rebinding needs a name: a page's own name made to resolve to 127.0.0.1. So an address is fine, and of the names only
 * `localhost` and the one that the listener was given.
 */
export function isKnownHost(host: string, ownHost: string): boolean {
  const name = host.replace(/:\d{1,5}$/, '').toLowerCase();
  const address = name.startsWith('[') && name.endsWith(']') ? name.slice(1, -1) : name;
  return isIP(address) !== 0 || name === 'localhost' || name === ownHost.toLowerCase();
}

function hasToken(request: Request, expected: string): boolean {
  const { authorization } = request.headers;
  if (authorization === undefined || authorization.length > 512) return false;
  const given = /^Bearer +(\S+) *$/i.exec(authorization)?.[1];
  return given !== undefined && isSameToken(given, expected);
}

function refuse(response: Response): void {
  response.set('WWW-Authenticate', 'Bearer realm="sluice admin"');
  sendError(
    response,
    401,
    'unauthorized',
    'Send the token from the file admin.token of the data folder (or the configured adminToken): Authorization: Bearer <token>.',
  );
}
