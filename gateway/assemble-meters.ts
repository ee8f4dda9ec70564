import type { Accounts } from './assemble-accounts.ts';
import type { AccountEvent } from './endpoints/account-events.ts';
import type { Unsettled } from './flow/unsettled.ts';
import type { Ledger } from './ledger/ledger.ts';
import { createMeters, type MeterNotice, type Meters } from './meter/index.ts';
import type { Log } from './observe/log.ts';
import type { Metrics } from './observe/metrics.ts';

/** What the meters are put together from. */
export interface MeterParts {
  readonly ledger: Ledger;
  readonly accounts: Pick<Accounts, 'events' | 'onCredited'>;
  readonly unsettled: Unsettled;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Builds the meters of the process, and ties them to credits, metrics and the log. */
export function assembleMeters({ ledger, accounts, unsettled, log, metrics }: MeterParts): Meters {
  const live = new Map<string, number>();
  const count = (service: string, change: 1 | -1): void => {
    const left = (live.get(service) ?? 0) + change;
    if (left > 0) live.set(service, left);
    else live.delete(service);
  };
  const meters = createMeters({
    ledger,
    nowMs: () => performance.now(),
    unsettled,
    observe: {
      opened(service) {
        count(service, 1);
        metrics.streamOpened(service);
      },
      billed: (service, _unit, amountMsat) => metrics.streamed(service, amountMsat),
      held: (service) => metrics.streamHeld(service),
      cut: (service, by) => metrics.streamCut(service, by),
      ended(service, accountId, unit, report) {
        count(service, -1);
        // What the upstream reported is counted in msat here, and in its own units by the flow.
        if (unit !== 'unit') metrics.streamEnded(service, unit, report.deliveredUnits);
        log.info('a stream ended', { service, accountId, unit, ...report });
        accounts.events.touch(accountId);
      },
      failed: (error) => log.warn('streams could not be charged and will be tried again', { err: error }),
    },
  });
  metrics.readFrom({ streams: () => live });
  accounts.onCredited((accountId) => meters.credited(accountId));
  return meters;
}

/** What those who follow an account are told of its streams; undefined for what says nothing that the balance does not. */
export function accountEventOf(notice: MeterNotice): AccountEvent | undefined {
  switch (notice.kind) {
    case 'low':
      return { kind: 'warning', balanceMsat: notice.balanceMsat, remainingMs: notice.remainingMs };
    case 'exhausted': {
      const { balanceMsat, neededMsat, holdMs } = notice;
      return { kind: 'payment-need-topup', balanceMsat, neededMsat, holdMs };
    }
    case 'resumed':
      return { kind: 'balance', balanceMsat: notice.balanceMsat };
    case 'cut':
      return notice.cutBy === 'revoked'
        ? { kind: 'revoked' }
        : { kind: 'session-timeout', cutBy: notice.cutBy };
  }
}
