import type { Log } from '../observe/log.ts';
import type { LookUpReport } from './look-up-offers.ts';

/** Says in the log how the feed does. */
export interface Announcer {
  stands(): void;
  lost(error: unknown): void;
  unknownCursor(cursor: number): void;
  lookedUp(report: LookUpReport): void;
}

/** A feed that is lost again and again is not said more often than this, ms. */
const SAY_EVERY_MS = 60_000;

/** An outage is said once, however often it is tried again, and a feed that comes and goes once a minute. */
export function createAnnouncer(log: Log): Announcer {
  let said: 'nothing' | 'stands' | 'lost' = 'nothing';
  let lostAtMs = Number.NEGATIVE_INFINITY;
  return {
    stands() {
      if (said !== 'stands') log.info('the feed of settlements stands');
      said = 'stands';
    },
    lost(error) {
      const nowMs = performance.now();
      if (said === 'lost' || nowMs - lostAtMs < SAY_EVERY_MS) return;
      said = 'lost';
      lostAtMs = nowMs;
      log.warn('the feed of settlements was lost; top-ups are credited when it is back', { err: error });
    },
    unknownCursor: (cursor) =>
      log.warn(
        'the node does not know the settlement that was credited last: it was restored from an older copy, or replaced. ' +
          'All its settlements are read from the first one, and all open top-ups are looked up; nothing is credited twice',
        { cursor },
      ),
    lookedUp(report) {
      if (report.settled > 0 || report.dropped > 0) {
        log.info('open top-ups were looked up at the node', { ...report });
      } else if (report.unknown > 0 || report.failed > 0) {
        log.debug('open top-ups were looked up at the node; it does not answer for all of them', {
          ...report,
        });
      }
    },
  };
}
