import { type CredentialReading, readCredentials } from '../l402/credential.ts';
import type { Exchange } from './exchange.ts';

/** The query parameter in which a credential may stand when the service opts in. */
const QUERY_PARAMETER = 't';

/** Finds the payment credentials of a request, wherever the service lets them stand. */
export function readCredential(exchange: Exchange): CredentialReading {
  const { service, req, target } = exchange;
  const queryToken = service.credentialInQuery ? queryParameter(target.query) : undefined;
  return readCredentials(req.rawHeaders, {
    ...(service.credentialHeader === undefined ? {} : { credentialHeader: service.credentialHeader }),
    ...(queryToken === undefined ? {} : { queryToken }),
  });
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
