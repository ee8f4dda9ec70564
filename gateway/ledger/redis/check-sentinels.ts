import type { RedisStoreConfig } from '../../../config/config.ts';
import { nameServer } from '../name-store.ts';
import type { ServerFinding } from './judge-server.ts';
import { redisOptions } from './options.ts';
import { isSentinelReach, mayListen } from './sentinel-ear.ts';

/** Looks whether all sentinels let the gateway listen to what they tell of failovers. One that is away is not looked at. */
export async function checkSentinels(config: RedisStoreConfig): Promise<readonly ServerFinding[]> {
  const { reach, commandTimeoutMs } = config;
  const options = redisOptions(config, Math.random);
  if (reach.kind !== 'sentinel' || !isSentinelReach(options)) return [];
  const rights = await Promise.all(
    reach.sentinels.map((sentinel) => mayListen(sentinel, options, commandTimeoutMs)),
  );
  const deaf = reach.sentinels.filter((_, at) => rights[at] === 'refused').map(nameServer);
  if (deaf.length === 0) return [];
  return [
    {
      code: 'deaf',
      message:
        `${deaf.join(', ')} (sentinel) does not let this user listen to failovers: a master that hangs is left only when commands have ` +
        'waited for it in vain, and one that wakes up is taken for the master until it is told otherwise',
      remedy: 'the rights `&+switch-master +subscribe` for its user in their sentinel.conf',
      serious: false,
    },
  ];
}
