import type { Config } from './config.ts';
import type { Finding } from './problem.ts';

/** Refuses `charge: once` with several workers: each joins the streams that it serves itself, and those at two would be paid for twice. */
export function checkChargedOnce({ workers, services }: Config): readonly Finding[] {
  if (workers === 1) return [];
  return services.flatMap(({ metering }, index) =>
    metering?.charge !== 'once'
      ? []
      : [
          {
            path: ['services', index, 'streams', 'charge'],
            problem: `joins the streams of one process, so an account with streams at two of the ${workers} workers would pay twice`,
            remedy: 'use `workers: 1`, or `charge: each`',
          },
        ],
  );
}

/** Warns of `charge: once` in a Redis: whether other gateways use it can't be seen from here. */
export function warnChargedOnce({ store, services }: Config): readonly string[] {
  if (store.type !== 'redis') return [];
  return services
    .filter(({ metering }) => metering?.charge === 'once')
    .map(
      ({ name }) =>
        `services: ${name} has \`charge: once\`, which joins the streams of one gateway only: an account with streams at two gateways of this Redis pays twice. Let one gateway serve it`,
    );
}
