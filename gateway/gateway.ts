import type { Config } from '../config/config.ts';
import { startControlPlane } from './control-plane.ts';
import { assembleDataPlane, type DataPlane, refusePublicPlayMoney } from './data-plane.ts';
import { type FoundationParts, openFoundation } from './foundation.ts';
import type { BoundAddress } from './server.ts';

/** The parts that a gateway is put together from. The caller opened node and store, and closes them after {@link Gateway.stop}. */
export interface GatewayParts extends FoundationParts {
  readonly adminToken: string;
}

/** A running gateway. */
export interface Gateway {
  /** In the order of `config.listen`. */
  readonly addresses: readonly BoundAddress[];
  readonly adminAddress: BoundAddress;
  /** Takes a new configuration for requests from now on; those under way keep theirs. Listeners, node and store stay. */
  reload(config: Config): void;
  /** Stops taking requests, lets the ones under way finish within the drain time, and stops. */
  stop(): Promise<void>;
}

/**
 * Puts a gateway together and starts it, all of it in this process.
 * @throws Error when play money would be taken in public, or a listener can't be opened
 * @throws StoreMismatchError when store, keys and data folder do not belong together
 */
export async function startGateway(parts: GatewayParts): Promise<Gateway> {
  refusePublicPlayMoney(parts.config, parts.node);
  let dataPlane: DataPlane | undefined;
  const foundation = await openFoundation(parts, () => dataPlane?.doubtInvoices());
  const { health } = foundation.watch;
  dataPlane = assembleDataPlane(foundation, parts.masterKeys);
  const data = dataPlane;
  const control = startControlPlane(foundation);

  const stop = async (): Promise<void> => {
    health.drain();
    await data.drain();
    await control.close();
    await data.close();
    await foundation.close();
  };
  try {
    const addresses = await data.listen();
    const adminAddress = await control.listen({
      where: parts.config.admin,
      token: parts.adminToken,
      node: parts.node,
      health,
    });
    return { addresses, adminAddress, reload: data.reload, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
