import { StoreError } from '../store.ts';

/*
 * What Redis, the network or ioredis say when something fails, in words that an operator can act on. The client's own errors carry the
 * arguments of the command, and with them passwords: none of them may leave this folder as it is.
 */

/** What a failure begins with or holds, and what it means; the first that fits. */
const MEANINGS: readonly (readonly [RegExp, string])[] = [
  [
    /WRONGPASS|invalid password|invalid username-password/i,
    'it refuses the user or the password: check `username` and `password`',
  ],
  [
    /NOAUTH|Authentication required/i,
    'it wants a password: set `password` (and `username`, when it has ACL users)',
  ],
  [/NOPERM/, 'its ACL does not let this user do that: see "The user of the gateway" in docs/redis.md'],
  [/no password is set|without any password configured/i, 'it has no password, and one is configured'],
  [/\bLOADING\b/, 'it is still loading its data from disk'],
  [/\bOOM\b/, 'its memory is full (maxmemory): give it more'],
  [/\bMISCONF\b/, 'it can not write to its disk and takes no writes until it can: look at its log'],
  [/\bREADONLY\b/, 'it is a replica and takes no writes: a failover is under way, or `url` names a replica'],
  [/\bNOREPLICAS\b/, 'too few of its replicas are connected (min-replicas-to-write)'],
  [/\bMASTERDOWN\b/, 'it is a replica without its master'],
  [/\bBUSY\b/, 'it is busy with a script that does not end'],
  [/cluster support disabled/i, 'it is not a Cluster: configure `url` in place of `cluster`'],
  [/\bCLUSTERDOWN\b/, 'its Cluster is down: a master is missing, or slots are not served'],
  [
    /Too many Cluster redirections|\bTRYAGAIN\b/,
    'a part of its Cluster (a slot) is being moved to another node: what lies there waits until it is',
  ],
  [/\b(MOVED|ASK|CROSSSLOT)\b/, 'it is a node of a Cluster: configure `cluster` in place of `url`'],
  [/max number of clients/i, 'it has too many clients (maxclients)'],
  [/protected mode/i, 'it is in protected mode: give it a password, or bind it to an address of its own'],
  [/No such master/, 'its sentinels do not know a master of that name: check `master`'],
  [/names no address/, 'a sentinel answers what is no address of a master: look at that sentinel'],
  [/unknown command.*sentinel/i, 'what is configured as a sentinel is a plain Redis: check `sentinels`'],
  [/ECONNREFUSED/, 'nobody listens there: see whether it runs, and on this port'],
  [/ENOTFOUND|EAI_AGAIN/, 'its host name is not known'],
  [/EHOSTUNREACH|ENETUNREACH/, 'its host can not be reached from here'],
  [
    /wrong version number|packet length too long|EPROTO|SSL routines/i,
    'it does not speak TLS there: write `redis://`, or name its TLS port',
  ],
  [/CERT_HAS_EXPIRED|certificate has expired/i, 'its certificate has expired'],
  [/ALTNAME|does not match certificate/i, 'its certificate is for another name: set `tls.servername`'],
  [
    /self.signed|UNABLE_TO_|SELF_SIGNED|unable to (get|verify)|local issuer/i,
    'its certificate is not signed by an authority that is trusted here: set `tls.ca`',
  ],
  [
    /alert|handshake/i,
    'the TLS handshake failed: does it want a certificate of the gateway (`tls.cert`, `tls.key`)?',
  ],
  [/EACCES|ENOENT/, 'a file of `tls` can not be read'],
  [
    /Protocol error|RESP|Unknown response|Invalid .*(length|type)|Please report this/i,
    'what answers there is not Redis',
  ],
  [/timed out|ETIMEDOUT|Socket timeout/i, 'it did not answer in time'],
  [/too much at once/i, 'it sent more than it was asked for: what answers there is not Redis'],
  [
    /ECONNRESET|EPIPE|socket hang up|Connection is closed|closed the connection|None of startup nodes|retries per request/i,
    'the connection is closed: it is down, or it expects TLS (`rediss://`)',
  ],
  [
    /Stream isn't writeable|Cluster isn't ready|enableOfflineQueue|Failed to refresh slots/i,
    'it can not be reached at the moment',
  ],
];

/** What failed, in words without any argument of a command. */
export function explainRedisFailure(error: unknown): string {
  const text = textOf(error);
  const known = MEANINGS.find(([pattern]) => pattern.test(text));
  if (known !== undefined) return known[1];
  return text === '' ? 'it failed without saying why' : text;
}

/** Codes and messages down the chain; what repeats arguments is cut off. */
function textOf(error: unknown): string {
  const parts: string[] = [];
  let at: unknown = error;
  for (let depth = 0; depth < 4 && at instanceof Error; depth += 1) {
    if ('code' in at && typeof at.code === 'string') parts.push(at.code);
    // `unknown command 'HELLO', with args beginning with: 'AUTH' 'default' …`
    parts.push(at.message.replace(/,? with args beginning with.*/s, '').slice(0, 300));
    if (at instanceof AggregateError) parts.push(...at.errors.map(textOf).slice(0, 2));
    at = 'lastNodeError' in at ? at.lastNodeError : at.cause;
  }
  return parts.filter((part) => part !== '').join(': ');
}

/** Whatever failed, as the only error that a store rejects with. `name`: where Redis is, without a password. */
export function toStoreError(error: unknown, name: string): StoreError {
  if (error instanceof StoreError) return error;
  return new StoreError('unavailable', `The store at ${name} did not answer: ${explainRedisFailure(error)}.`);
}
