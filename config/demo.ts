import type { Config } from './config.ts';
import { resolveConfig } from './resolve.ts';
import { type ConfigFileInput, fileSchema } from './schema.ts';

/** What the demo sells, as a person would write it. */
export function demoFile(upstreamUrl: string): ConfigFileInput {
  return {
    title: 'Sluice demo',
    upstream: upstreamUrl,
    log: { format: 'pretty' },
    services: [
      { name: 'quote', path: '/quote', price: '10 sat' },
      { name: 'pack', path: '/pack/*', price: '50 sat for 100 calls' },
      { name: 'library', path: '/library/*', price: '200 sat for 10m' },
      { name: 'free', path: '/free/*', price: 'free' },
      ...meteredDemoServices,
    ],
  };
}

/** What the demo sells as it is delivered. */
export const meteredDemoServices = [
  { name: 'live', path: '/live', price: '100 msat/second', deposit: '60s' },
  { name: 'ws', path: '/ws', price: '100 msat/second', deposit: '60s' },
  { name: 'files', path: '/files/*', price: '10 msat/KB' },
  { name: 'llm', path: '/llm/v1/chat/completions', price: '3 sat/1k tokens', usage: { preset: 'openai' } },
  { name: 'llm-models', path: '/llm/v1/models', price: 'free' },
] as const satisfies ConfigFileInput['services'];

/** The demo with every default, for a gateway without a file. Relative paths are under the current folder. */
export function demoConfig(upstreamUrl: string): Config {
  return resolveConfig(fileSchema.parse(demoFile(upstreamUrl)), process.cwd());
}
