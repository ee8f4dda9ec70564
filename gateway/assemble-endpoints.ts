import type { Request } from 'express';
import type { ServiceConfig } from '../config/config.ts';
import type { Accounts } from './assemble-accounts.ts';
import type { Assembly } from './assemble-flow.ts';
import type { Catalog } from './catalog.ts';
import { accountRouter } from './endpoints/account.ts';
import { createAccountStreams } from './endpoints/account-streams.ts';
import { createEndpoints, type Endpoints } from './endpoints/app.ts';
import type { FindHolder } from './endpoints/holder.ts';
import { sessionRouter } from './endpoints/session.ts';
import { topUpRouter } from './endpoints/topup.ts';
import { GatewayError } from './errors.ts';
import type { Throttle, ThrottleName } from './flow/throttle.ts';
import { topUp } from './flow/top-up.ts';
import { type Holder, verifyHolder } from './flow/verify-holder.ts';
import { type CredentialCandidate, readCredentials } from './l402/credential.ts';
import type { Ledger } from './ledger/ledger.ts';
import type { Log } from './observe/log.ts';
import { clientAddress, throttleKey } from './proxy/client-address.ts';
import { readSession } from './session/read-session.ts';
import type { CookieRequest } from './session/request-origin.ts';

/** What the helper endpoints are put together from. */
export interface EndpointParts {
  readonly ledger: Ledger;
  readonly flow: Assembly;
  readonly accounts: Accounts;
  readonly catalog: () => Catalog;
  readonly throttle: (name: ThrottleName) => Throttle;
  readonly log: Log;
  readonly nowMs: () => number;
}

/** Ties the helper endpoints to the flow, the ledger and the sessions. */
export function assembleEndpoints(parts: EndpointParts): Endpoints {
  const { ledger, flow, accounts, catalog, log, nowMs } = parts;
  const findHolder = holderFinder(parts);
  const addressOf = (request: Request): string => clientKey(catalog(), request);
  const readAccount = (accountId: string) => ledger.account(accountId);
  const streams = createAccountStreams({
    events: accounts.events,
    readAccount,
    isRevoked: (accountId) => ledger.isRevoked(accountId),
    nowMs,
  });
  const topUpDeps = { ...flow.deps, config: () => catalog().config };
  const endpoints = createEndpoints({
    verifyMacaroon: (text, clientKey) => flow.deps.verifier.readMacaroon(text, clientKey),
    lookupInvoice: (paymentHash) => flow.deps.invoicer.lookUp(paymentHash),
    throttled: lookUpThrottle(parts.throttle('look-ups')),
    onSettled: accounts.onSettled,
    clientAddress: addressOf,
    corsOrigins: () => catalog().config.corsOrigins,
    log,
    routers: [
      topUpRouter({ findHolder, topUp: (order) => topUp(topUpDeps, order), clientAddress: addressOf }),
      accountRouter({
        findHolder,
        readAccount,
        liveStreams: (accountId) => flow.deps.meters.streamsOf(accountId),
        readOffers: (accountId) => ledger.offersOf(accountId),
        streams,
        clientAddress: addressOf,
      }),
      sessionRouter({
        findHolder,
        sessions: accounts.sessions,
        cookieRequest: (request) => cookieRequest(catalog(), request),
        nowMs,
      }),
    ],
  });
  return {
    app: endpoints.app,
    close: () => {
      streams.close();
      endpoints.close();
    },
  };
}

/** Requests for invoices of one client: far more than a page makes that asks every second. */
const INVOICE_LOOK_UPS = { burst: 60, perMinute: 240 };

function lookUpThrottle(throttle: Throttle): (client: string) => number | undefined {
  return (client) => {
    const verdict = throttle.take(client, INVOICE_LOOK_UPS);
    return verdict.kind === 'ok' ? undefined : verdict.retryAfterSec;
  };
}

function holderFinder({ flow, accounts, catalog }: EndpointParts): FindHolder<Holder> {
  const serviceNamed = (name: string): ServiceConfig | undefined =>
    catalog().config.services.find((service) => service.name === name);
  const deps = { ...flow.deps, serviceNamed };
  const fromSession = async (request: Request): Promise<readonly CredentialCandidate[]> => {
    const reading = await readSession(accounts.sessions, cookieRequest(catalog(), request));
    if (reading.kind === 'misdirected') {
      throw new GatewayError('misdirected-cookie', 'The session cookie is for pages of its own origin only.');
    }
    if (reading.kind === 'none') return [];
    const open = reading.credentials.filter(({ service }) => serviceNamed(service)?.session === true);
    return open.map(({ candidate }) => candidate);
  };
  return async (request, source) => {
    const reading = readCredentials(request.rawHeaders);
    const candidates =
      reading.candidates.length > 0 || source === 'header' ? reading.candidates : await fromSession(request);
    const verdict = await verifyHolder(deps, candidates, clientKey(catalog(), request));
    const isMalformed = candidates.length === 0 && reading.malformed !== undefined;
    return isMalformed ? { kind: 'refused', reason: 'malformed' } : verdict;
  };
}

function clientKey({ trusted }: Catalog, request: Request): string {
  return throttleKey(clientAddress(request.socket.remoteAddress, request.get('x-forwarded-for'), trusted));
}

function cookieRequest({ trusted }: Catalog, request: Request): CookieRequest {
  const { method, headers, socket } = request;
  return {
    method,
    headers,
    authority: (headers.host ?? '').toLowerCase(),
    encrypted: 'encrypted' in socket,
    trustedPeer: trusted.has(socket.remoteAddress ?? ''),
  };
}
