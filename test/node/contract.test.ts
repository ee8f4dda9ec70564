import { nodeContract } from '../contract/node.contract.ts';
import { openInProcessBench, openLndBench, openLndGrpcBench } from './bench.ts';

nodeContract('simulated node in process', openInProcessBench);
nodeContract('LND client over the LND surface', openLndBench);
nodeContract('LND client with invoices over gRPC, on the LND surface', openLndGrpcBench);
