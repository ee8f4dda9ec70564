import type { CircuitChange } from '../../node/circuit-breaker.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';

/** Says in the log and in a gauge when the node is left alone because it does not answer, and when it is asked again. */
export function announceCircuit(
  log: Log,
  metrics: Pick<Metrics, 'readFrom'>,
): (change: CircuitChange) => void {
  let open = false;
  metrics.readFrom({ nodeCircuitOpen: () => open });
  return (change) => {
    open = change.kind === 'opened';
    if (change.kind === 'closed') {
      log.info('the node answers again, and is asked as before');
      return;
    }
    log.warn(
      'the node does not answer: until it does, challenges are refused at once, and it is tried every few seconds',
      { failures: change.failures, err: change.error },
    );
  };
}
