import type { Bus, BusMessage, BusNews } from '../../gateway/bus/bus.ts';

/** Joins the buses of gateways in one process. */
export interface BusHub {
  join(): Bus;
  /** Everything that was published, in order. */
  readonly published: readonly BusMessage[];
  /** Tells all members, as if one more had published it. */
  tell(news: BusNews): void;
}

/** A hub that carries every message to all members but its sender in a later turn, or, with `loses`, to nobody. */
export function busHub(mode: 'carries' | 'loses' = 'carries'): BusHub {
  const members = new Set<(news: BusNews) => void>();
  const published: BusMessage[] = [];
  return {
    published,
    tell(news) {
      for (const member of members) setImmediate(member, news);
    },
    join() {
      const own = new Set<(news: BusNews) => void>();
      const hear = (news: BusNews): void => {
        for (const listener of own) listener(news);
      };
      members.add(hear);
      return {
        publish(message) {
          published.push(message);
          if (mode === 'loses') return;
          for (const member of members) if (member !== hear) setImmediate(member, message);
        },
        subscribe(listener) {
          own.add(listener);
          return () => void own.delete(listener);
        },
        close: async () => void members.delete(hear),
      };
    },
  };
}
