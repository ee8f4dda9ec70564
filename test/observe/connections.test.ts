import net from 'node:net';
import { test } from 'node:test';
import { eventually } from '../e2e/scene.ts';
import { startTestGateway } from '../support/gateway.ts';

test('connections of clients are counted while they are open, before they said a word', async (t) => {
  const gateway = await startTestGateway([]);
  t.after(() => gateway.stop());
  const open = async (count: number): Promise<boolean> =>
    (await gateway.metrics.scrape()).body.includes(`\nsluice_connections ${count}\n`);
  await eventually(() => open(0));
  const { port } = new URL(gateway.url);
  const sockets = [1, 2, 3].map(() => net.connect(Number(port), '127.0.0.1'));
  await eventually(() => open(3));
  for (const socket of sockets) socket.destroy();
  await eventually(() => open(0));
});
