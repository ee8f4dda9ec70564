import { assembleStore } from './assemble-store.ts';
import type { Engine, Work } from './books.ts';
import { memoryBooks } from './memory/books.ts';
import { type Store, StoreError } from './store.ts';
import { storeClock } from './store-clock.ts';

/**
 * A store that forgets everything when the process ends: for tests and trials. Every verb runs to its end in one turn of
 * the event loop, which is what makes it atomic.
 */
export function createMemoryStore({ nowMs }: { readonly nowMs: () => number }): Store {
  const books = memoryBooks();
  const nowSec = storeClock(nowMs, 0);
  let open = true;

  async function run<T>(_verb: string, work: Work<T>): Promise<T> {
    if (!open) throw new StoreError('unavailable', 'The store is closed.');
    return work(books, nowSec());
  }

  async function close(): Promise<void> {
    open = false;
  }

  const engine: Engine = { read: run, durable: run, grouped: run, nowMs, close };
  return assembleStore(engine);
}
