const ID_BYTES = 32;
const IDS_AT_ONCE = 128;

/**
 * Ids of tokens, drawn from the system's randomness 128 at a time: a question for each takes ten times as long. A byte is used once,
 * and wiped when it is. Processes have pools of their own: Node starts one anew, it never copies its memory.
 * @param fill - fills all of a buffer with random bytes
 * @returns a function that gives 64 hex digits, others each time
 */
export function createTokenIds(fill: (buffer: Buffer) => void): () => string {
  const pool = Buffer.alloc(ID_BYTES * IDS_AT_ONCE);
  let at = pool.length;
  return () => {
    if (at === pool.length) {
      fill(pool);
      at = 0;
    }
    const end = at + ID_BYTES;
    const id = pool.toString('hex', at, end);
    pool.fill(0, at, end);
    at = end;
    return id;
  };
}
