import type { LightningNode } from '../../node/node.ts';
import type { Store } from '../ledger/store.ts';
import type { Metrics } from './metrics.ts';

type Measure = {
  readonly request: (verb: string, ms: number) => void;
  readonly error: (verb: string, code: string) => void;
};

/** The same node, whose verbs are timed and whose errors are counted. The settlement feed, which never ends, is not timed. */
export function observeNode(node: LightningNode, metrics: Metrics): LightningNode {
  return timed(node, { request: metrics.nodeRequest, error: metrics.nodeError });
}

/** The same store, whose verbs are timed and whose errors are counted. */
export function observeStore(store: Store, metrics: Metrics): Store {
  return timed(store, { request: metrics.storeRequest, error: metrics.storeError });
}

/** A proxy rather than a wrapper a verb: a verb added to the port is measured without a line here. */
function timed<Port extends object>(port: Port, measure: Measure): Port {
  const wrapped = new Map<string | symbol, unknown>();
  return new Proxy(port, {
    get(target, name) {
      const known = wrapped.get(name);
      if (known !== undefined) return known;
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function' || typeof name === 'symbol') return member;
      const verb = timeVerb(target, name, member, measure);
      wrapped.set(name, verb);
      return verb;
    },
  });
}

function timeVerb(target: object, verb: string, method: CallableFunction, measure: Measure) {
  return (...args: unknown[]): unknown => {
    const startMs = performance.now();
    // Bound to the port itself: a class with private fields does not work through a proxy.
    const result: unknown = Reflect.apply(method, target, args);
    if (!(result instanceof Promise)) return result;
    result.then(
      () => measure.request(verb, performance.now() - startMs),
      (error: unknown) => {
        measure.request(verb, performance.now() - startMs);
        measure.error(verb, codeOf(error));
      },
    );
    return result;
  };
}

function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return 'unknown';
  // Ports have closed sets of codes; anything longer is not one of them and must not become a label.
  return typeof error.code === 'string' && error.code.length <= 24 ? error.code : 'unknown';
}
