import assert from 'node:assert/strict';
import { test } from 'node:test';
import { announceCircuit } from '../../gateway/observe/announce-circuit.ts';
import { createLog } from '../../gateway/observe/log.ts';
import { createMetrics } from '../../gateway/observe/metrics.ts';
import { NodeError } from '../../node/node.ts';

test('that the node is left alone is said once, and shown until it answers', async () => {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const metrics = createMetrics({ version: '1' });
  const announce = announceCircuit(createLog({ level: 'info', format: 'json', destination }), metrics);
  const gauge = async () => /^sluice_node_circuit_open (\d)$/m.exec((await metrics.scrape()).body)?.[1];
  assert.equal(await gauge(), '0');
  announce({ kind: 'opened', failures: 5, error: new NodeError('unreachable', 'nobody answers') });
  assert.equal(await gauge(), '1');
  announce({ kind: 'closed' });
  assert.equal(await gauge(), '0');
  const said = lines.map((line) => JSON.parse(line));
  assert.deepEqual(
    said.map(({ level }) => level),
    ['warn', 'info'],
  );
  assert.match(JSON.stringify(said[0]), /"failures":5.*nobody answers/);
});
