import { GatewayError } from '../errors.ts';
import {
  type CredentialCandidate,
  type CredentialReading,
  onlyCredentialHeader,
  readCredentials,
} from '../l402/credential.ts';
import { readSession } from '../session/read-session.ts';
import type { SessionTable } from '../session/table.ts';
import type { Exchange } from './exchange.ts';

/** The query parameter in which a credential may stand when the service opts in. */
const QUERY_PARAMETER = 't';

/**
 * Finds the payment credentials of a request, wherever the service lets them stand; without any, those that its session
 * cookie stands for.
 * @throws GatewayError `misdirected-cookie`: only the cookie would pay, and another site sent it along
 * @throws StoreError when the sessions are away
 */
export async function readCredential(exchange: Exchange, sessions: SessionTable): Promise<CredentialReading> {
  const { service, req, target } = exchange;
  const queryToken = service.credentialInQuery ? queryParameter(target.query) : undefined;
  const reading =
    queryToken === undefined
      ? readHeaders(exchange)
      : readCredentials(req.rawHeaders, { credentialHeader: service.credentialHeader, queryToken });
  if (service.session !== true || reading.candidates.length > 0) return reading;
  const candidates = await sessionCandidates(exchange, sessions);
  return candidates.length === 0 ? reading : { candidates };
}

/** The very reading of the request before, when this one carries the same header: the verifier knows its candidates again. */
function readHeaders({ req, service, connection }: Exchange): CredentialReading {
  const { rawHeaders } = req;
  const at = onlyCredentialHeader(rawHeaders, service);
  if (at === -1) return readCredentials(rawHeaders, service);
  const name = rawHeaders[at] ?? '';
  const value = rawHeaders[at + 1] ?? '';
  const last = connection.lastRead;
  if (last !== undefined && last.value === value && last.name === name && last.service === service)
    return last.reading;
  const reading = readCredentials(rawHeaders, service);
  if (reading.candidates.length > 0) connection.lastRead = { name, value, service, reading };
  return reading;
}

async function sessionCandidates(
  exchange: Exchange,
  sessions: SessionTable,
): Promise<readonly CredentialCandidate[]> {
  const { req, target, client, service } = exchange;
  const reading = await readSession(sessions, {
    method: req.method ?? '',
    headers: req.headers,
    authority: target.authority,
    encrypted: client.scheme === 'https',
    trustedPeer: client.trustedPeer,
  });
  if (reading.kind === 'misdirected') {
    throw new GatewayError(
      'misdirected-cookie',
      'The session cookie pays for pages of its own site only. Nothing was charged; send the credential in Authorization.',
    );
  }
  if (reading.kind === 'none') return [];
  return reading.credentials
    .filter((held) => held.service === service.name)
    .map(({ candidate }) => candidate);
}

/** The query that is forwarded: without the credential, every other byte as it came. */
export function forwardedQuery(exchange: Exchange): string {
  const { query } = exchange.target;
  if (!exchange.service.credentialInQuery || query === '') return query;
  const kept = query
    .slice(1)
    .split('&')
    .filter((pair) => !isCredentialPair(pair));
  return kept.length === 0 ? '' : `?${kept.join('&')}`;
}

function queryParameter(query: string): string | undefined {
  const pair = query.slice(1).split('&').find(isCredentialPair);
  if (pair === undefined) return undefined;
  try {
    return decodeURIComponent(pair.slice(QUERY_PARAMETER.length + 1));
  } catch {
    return undefined;
  }
}

function isCredentialPair(pair: string): boolean {
  return pair.startsWith(`${QUERY_PARAMETER}=`);
}
