/** Numbers that look random and come again with their seed. */
export interface Random {
  /** From 0 up to but not including 1. */
  fraction(): number;
  /** A whole number, both ends included. */
  between(least: number, most: number): number;
  pick<T>(from: readonly [T, ...T[]]): T;
  /** Another source, which depends on this one's seed and the name, and on nothing that was drawn. */
  fork(name: string): Random;
}

/** Makes a source of seeded numbers (mulberry32): good enough to choose with, and for nothing secret. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const fraction = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (least: number, most: number): number =>
    least + Math.floor(fraction() * (most - least + 1));
  return {
    fraction,
    between,
    pick: (from) => from[between(0, from.length - 1)] ?? from[0],
    fork: (name) => createRandom(hashOf(seed, name)),
  };
}

/** FNV-1a over the seed and the name. */
function hashOf(seed: number, name: string): number {
  let hash = 0x811c9dc5;
  for (const letter of `${seed}/${name}`) {
    hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193) >>> 0;
  }
  return hash;
}
