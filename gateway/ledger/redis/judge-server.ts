/*
 * What about a Redis may lose payments, or stop it from taking them. Pure: facts in, findings out, in the words that the gateway's log and
 * `sluice doctor` share.
 */

/** What one server says about itself. */
export interface ServerFacts {
  /** `127.0.0.1:6379` */
  readonly server: string;
  /** The lines of INFO. */
  readonly info: ReadonlyMap<string, string>;
  /** Settings by CONFIG GET; undefined: this user may not ask. */
  readonly settings: ReadonlyMap<string, string> | undefined;
  /** The lines of CLUSTER INFO; undefined when it is not a node of a Cluster, or may not be asked. */
  readonly cluster: ReadonlyMap<string, string> | undefined;
}

/** What the gateway relies on. */
export interface ServerDemands {
  readonly kind: 'single' | 'sentinel' | 'cluster';
  /** Replicas that must acknowledge what may not be lost; 0: none. */
  readonly waitReplicas: number;
}

/** What may be wrong with one server. */
type JudgedCode =
  | 'too-old'
  | 'cluster-mode'
  | 'replica'
  | 'append-only'
  | 'fsync'
  | 'eviction'
  | 'snapshot-failed'
  | 'append-failed'
  | 'replicas'
  | 'some-replicas'
  | 'cluster-state'
  | 'not-seen';

/** Something that should be mended. */
export interface ServerFinding {
  /** `deaf`: of sentinels, which may not be listened to. */
  readonly code: JudgedCode | 'deaf';
  /** One sentence that begins with the server. */
  readonly message: string;
  /** The line of redis.conf that mends it, or what else does. */
  readonly remedy: string;
  /** It may forget payments or take none: refused with `strict: true`. */
  readonly serious: boolean;
}

const LEAST_VERSION = [6, 2] as const;

type Judge = (facts: ServerFacts, demands: ServerDemands) => Omit<ServerFinding, 'code'> | undefined;

const JUDGES: Readonly<Record<JudgedCode, Judge>> = {
  'too-old': ({ server, info }) => {
    const version = info.get('redis_version') ?? '';
    const [major = 0, minor = 0] = version.split('.').map(Number);
    const isOld = major < LEAST_VERSION[0] || (major === LEAST_VERSION[0] && minor < LEAST_VERSION[1]);
    if (version === '' || !isOld) return undefined;
    return serious(
      `${server} is Redis ${version}, and 6.2 is the oldest that works`,
      'install Redis 7 or Valkey 8',
    );
  },
  'cluster-mode': ({ server, info }, { kind }) =>
    info.get('cluster_enabled') === '1' && kind !== 'cluster'
      ? serious(
          `${server} is a node of a Cluster, and keeps a part of the keys only`,
          'configure `cluster` in place of `url`',
        )
      : undefined,
  replica: ({ server, info }) =>
    info.get('role') === 'slave'
      ? serious(`${server} is a replica and takes no writes`, 'name the master, or `sentinels` that know it')
      : undefined,
  'append-only': ({ server, info, settings }) => {
    const isOn = (settings?.get('appendonly') ?? (info.get('aof_enabled') === '0' ? 'no' : 'yes')) === 'yes';
    if (isOn) return undefined;
    return serious(
      `${server} writes snapshots only: after a crash it has forgotten every payment since the last one, and would sell them again`,
      '`appendonly yes`',
    );
  },
  fsync: ({ server, settings }, { waitReplicas }) => {
    const policy = settings?.get('appendfsync');
    if (settings?.get('appendonly') !== 'yes' || policy === undefined || policy === 'always')
      return undefined;
    if (policy === 'everysec' && waitReplicas > 0) return undefined;
    const lost = policy === 'everysec' ? 'the last second' : 'some of the last half minute';
    return serious(
      `${server} may forget the payments of ${lost} at a power cut (\`appendfsync ${policy}\`)`,
      '`appendfsync always`, or a replica and `wait: { replicas: 1 }` in the store',
    );
  },
  eviction: ({ server, info, settings }) => {
    const policy = settings?.get('maxmemory-policy') ?? info.get('maxmemory_policy') ?? 'noeviction';
    if (policy === 'noeviction') return undefined;
    return serious(
      `${server} throws keys away when its memory is full (\`maxmemory-policy ${policy}\`): balances and claims among them`,
      '`maxmemory-policy noeviction`',
    );
  },
  'snapshot-failed': ({ server, info }) =>
    info.get('rdb_last_bgsave_status') === 'err'
      ? serious(`${server} could not write its last snapshot`, 'look at its log and the space on its disk')
      : undefined,
  'append-failed': ({ server, info }) =>
    info.get('aof_last_write_status') === 'err'
      ? serious(
          `${server} can not write its append-only file, and takes no writes until it can`,
          'look at its log and the space on its disk',
        )
      : undefined,
  replicas: ({ server, info }, { waitReplicas }) => {
    const connected = replicasOf(info) ?? waitReplicas;
    if (connected >= waitReplicas) return undefined;
    return serious(
      `${server} has ${connected} replicas, and payments are to be acknowledged by ${waitReplicas}: none would be credited`,
      'start the replicas (`replicaof`), or set `wait` to what there is',
    );
  },
  'some-replicas': ({ server, info }, { kind, waitReplicas }) => {
    const connected = replicasOf(info) ?? waitReplicas;
    if (kind === 'single' || waitReplicas === 0 || connected <= waitReplicas) return undefined;
    return {
      message:
        `${server} has ${connected} replicas, and payments are acknowledged by ${waitReplicas}: a master that hangs and wakes up again ` +
        'may have one acknowledged while another replica is made the master, and that payment is forgotten',
      remedy: `\`wait: { replicas: ${connected} }\` in the store; payments then wait while one of them is away`,
      serious: false,
    };
  },
  'cluster-state': ({ server, cluster }) => {
    const state = cluster?.get('cluster_state') ?? 'ok';
    const assigned = Number(cluster?.get('cluster_slots_assigned') ?? 16_384);
    if (state === 'ok' && assigned === 16_384) return undefined;
    return serious(
      `${server} says that its Cluster is ${state === 'ok' ? `without ${16_384 - assigned} of its slots` : 'down'}`,
      'run `redis-cli --cluster check` on it',
    );
  },
  'not-seen': ({ server, settings }) =>
    settings === undefined
      ? {
          message: `${server} does not let this user read its settings, so \`appendfsync\` could not be looked at`,
          remedy: 'allow `+config|get` to the ACL user of the gateway, or look yourself',
          serious: false,
        }
      : undefined,
};

/** Undefined: it does not say. */
function replicasOf(info: ServerFacts['info']): number | undefined {
  const connected = info.get('connected_slaves');
  return connected === undefined ? undefined : Number(connected);
}

const CODES: readonly JudgedCode[] = [
  'too-old',
  'cluster-mode',
  'replica',
  'append-only',
  'fsync',
  'eviction',
  'snapshot-failed',
  'append-failed',
  'replicas',
  'some-replicas',
  'cluster-state',
  'not-seen',
];

function serious(message: string, remedy: string): Omit<ServerFinding, 'code'> {
  return { message, remedy, serious: true };
}

/** Everything that is wrong with a server, the worst first. */
export function judgeServer(facts: ServerFacts, demands: ServerDemands): readonly ServerFinding[] {
  return CODES.flatMap((code) => {
    const finding = JUDGES[code](facts, demands);
    return finding === undefined ? [] : [{ code, ...finding }];
  });
}

/** The lines of INFO and of CLUSTER INFO, as far as they are `name:value`; at most 2,000. */
export function readInfo(text: string): ReadonlyMap<string, string> {
  const lines = new Map<string, string>();
  for (const line of text.slice(0, 1_000_000).split(/\r?\n/, 2_000)) {
    const colon = line.indexOf(':');
    if (colon > 0 && !line.startsWith('#')) lines.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return lines;
}
