import assert from 'node:assert/strict';
import { test } from 'node:test';
import { showConfig } from '../../gateway/admin/show-config.ts';
import { compileModelRates, USAGE_DEFAULTS } from '../../gateway/meter/usage/index.ts';
import { msat } from '../../node/msat.ts';
import { testConfig, testService } from '../support/config.ts';

test('rates by model are shown, although JSON knows neither maps nor large whole numbers', () => {
  const rate = { amountMsat: msat(3_000), per: 1_000 };
  const service = testService({
    price: '3 sat/1k tokens',
    path: '/llm',
    upstream: 'http://127.0.0.1:3000',
    metering: {
      usage: {
        kind: 'preset',
        preset: 'openai',
        unitName: 'tokens',
        estimateUnits: USAGE_DEFAULTS.presetEstimateUnits,
        capUnits: USAGE_DEFAULTS.presetCapUnits,
        models: compileModelRates({ small: { input: rate, output: rate } }),
        bound: 'reserve',
        inputBytesPerUnit: USAGE_DEFAULTS.inputBytesPerUnit,
        referenceUnits: USAGE_DEFAULTS.referenceUnits,
        maxRequestBytes: USAGE_DEFAULTS.maxRequestBytes,
      },
    },
  });
  const shown = JSON.parse(JSON.stringify(showConfig(testConfig([service]))));
  const { usage, depositMsat } = shown.services[0].metering;
  assert.equal(depositMsat, 100_000);
  assert.equal(usage.models.exact.small.input, '3000');
});
