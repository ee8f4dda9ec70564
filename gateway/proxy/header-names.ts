/** What the proxy does with a request header, decided by its name alone. */
export type RequestRole =
  | 'pass'
  /** Never forwarded: hop-by-hop, ours to say, or a way to ask for another thing than was priced. */
  | 'drop'
  | 'connection'
  | 'te'
  | 'content-length'
  /** Forwarded without the gateway's own cookie. */
  | 'cookie'
  | 'forwarded-for'
  | 'forwarded-proto'
  | 'forwarded-host'
  | 'forwarded'
  /** Says who the client is: forwarded for a trusted peer only. */
  | 'client-claim';

/** What the proxy does with a response header, decided by its name alone. */
export type ResponseRole =
  | 'pass'
  | 'drop'
  | 'connection'
  | 'transfer-encoding'
  | 'content-length'
  | 'www-authenticate';

/** All that is decided about a header name. */
export interface NameFacts {
  readonly lower: string;
  /** Lower case with a `-` for everything that is neither letter nor digit: equal for names that an upstream may take for one. */
  readonly folded: string;
  readonly request: RequestRole;
  readonly response: ResponseRole;
}

/** RFC 9110, 7.6.1, and what older software treats alike. `te` and `connection` have roles of their own. */
const HOP_BY_HOP = [
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-authentication-info',
  'proxy-connection',
  'http2-settings',
  'transfer-encoding',
  'upgrade',
];

const REQUEST_DROPPED = new Set([
  ...HOP_BY_HOP,
  // Set anew from what was matched.
  'host',
  // Answered by the gateway before the body is read (undici refuses it too).
  'expect',
  // undici sends no request trailers, so none may be announced.
  'trailer',
  // What was priced is the method and the path of the request line.
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
  'x-original-url',
  'x-original-uri',
  'x-rewrite-url',
  // What the gateway says about the payment. Nobody else may say it.
  'l402-account',
  'l402-paid-msat',
  'l402-signature',
]);

const CLIENT_CLAIMS = new Set([
  'x-real-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-original-forwarded-for',
  'x-originating-ip',
  'x-remote-addr',
  'x-remote-ip',
  'client-ip',
  'true-client-ip',
  'cf-connecting-ip',
  'cf-connecting-ipv6',
  'fastly-client-ip',
  'x-forwarded',
  'forwarded-for',
]);

const REQUEST_ROLES = new Map<string, RequestRole>([
  ['connection', 'connection'],
  ['te', 'te'],
  ['content-length', 'content-length'],
  ['cookie', 'cookie'],
  ['x-forwarded-for', 'forwarded-for'],
  ['x-forwarded-proto', 'forwarded-proto'],
  ['x-forwarded-host', 'forwarded-host'],
  ['forwarded', 'forwarded'],
]);

const RESPONSE_DROPPED = new Set([
  ...HOP_BY_HOP,
  'te',
  // The upstream's own payment protocol: our client would pay it, and we would have sold something else.
  'payment-receipt',
  // Advertises another way to this origin, past the gateway.
  'alt-svc',
]);

const RESPONSE_ROLES = new Map<string, ResponseRole>([
  ['connection', 'connection'],
  ['transfer-encoding', 'transfer-encoding'],
  ['content-length', 'content-length'],
  ['www-authenticate', 'www-authenticate'],
]);

const known = new Map<string, NameFacts>();
const MAX_KNOWN = 1_024;

/** The facts about a header name, as it was spelt. The names of real traffic are few, so they are worked out once. */
export function nameFacts(name: string): NameFacts {
  const seen = known.get(name);
  if (seen !== undefined) return seen;
  const lower = name.toLowerCase();
  const folded = foldName(lower);
  const facts: NameFacts = {
    lower,
    folded,
    request: requestRole(lower, folded),
    response: responseRole(lower, folded),
  };
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(name, facts);
  return facts;
}

/**
 * CGI, WSGI and PHP turn everything that is neither letter nor digit into one character, so that `L402_Account` and `L402.Account`
 * would be our `L402-Account` to them.
 */
export function foldName(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, '-');
}

/** A twin of another spelling has the role of the plain name, and when that is anything but plain it is dropped. */
function requestRole(lower: string, folded: string): RequestRole {
  if (lower === folded) return plainRequestRole(lower);
  return plainRequestRole(folded) === 'pass' ? 'pass' : 'drop';
}

function plainRequestRole(lower: string): RequestRole {
  if (REQUEST_DROPPED.has(lower)) return 'drop';
  const role = REQUEST_ROLES.get(lower);
  if (role !== undefined) return role;
  return CLIENT_CLAIMS.has(lower) || lower.startsWith('x-forwarded-') ? 'client-claim' : 'pass';
}

function responseRole(lower: string, folded: string): ResponseRole {
  const role = RESPONSE_ROLES.get(lower);
  if (role !== undefined) return role;
  return RESPONSE_DROPPED.has(folded) || folded.startsWith('l402-') ? 'drop' : 'pass';
}
