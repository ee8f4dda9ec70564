import { nodeContract } from '../contract/node.contract.ts';
import { openInProcessBench, openLndBench } from './bench.ts';

nodeContract('simulated node in process', openInProcessBench);
nodeContract('LND client over the LND surface', () => openLndBench('rest'));
nodeContract('LND client with invoices over gRPC, on the LND surface', () => openLndBench('grpc'));
