import { type Placed, Roster } from './roster.ts';

/** Something that can take too long. */
export interface Swept extends Placed {
  /** Called once a sweep. `tick` counts sweeps; compare it with the tick of the last sign of life. */
  sweep(tick: number): void;
}

/** One timer for all requests: a timer of its own for each would cost more than the request's headers. */
export interface Sweep {
  /** How many sweeps there were. */
  readonly tick: number;
  readonly intervalMs: number;
  add(swept: Swept): void;
  delete(swept: Swept): void;
  stop(): void;
}

/** Starts a sweep. Time is counted in sweeps, so that a blocked event loop lets nobody time out who was not heard. */
export function startSweep(intervalMs: number): Sweep {
  const all = new Roster<Swept>();
  const state = {
    tick: 0,
    intervalMs,
    add: (swept: Swept) => {
      all.add(swept);
    },
    delete: (swept: Swept) => {
      all.delete(swept);
    },
    stop: () => clearInterval(timer),
  };
  const timer = setInterval(() => {
    state.tick += 1;
    all.each((swept) => swept.sweep(state.tick));
  }, intervalMs).unref();
  return state;
}
