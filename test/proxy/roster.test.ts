import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NO_PLACE, type Placed, Roster } from '../../gateway/proxy/roster.ts';

interface Entry extends Placed {
  readonly name: number;
}

const entry = (name: number): Entry => ({ name, place: NO_PLACE });

test('a roster holds what a Set would hold', () => {
  const steps = fc.array(fc.tuple(fc.constantFrom('add', 'delete'), fc.nat(9)), { maxLength: 200 });
  fc.assert(
    fc.property(steps, (run) => {
      const entries = Array.from({ length: 10 }, (_, name) => entry(name));
      const roster = new Roster<Entry>();
      const model = new Set<Entry>();
      for (const [step, at] of run) {
        const one = entries[at];
        if (one === undefined) continue;
        if (step === 'add') {
          roster.add(one);
          model.add(one);
        } else {
          assert.equal(roster.delete(one), model.delete(one));
        }
        const seen: Entry[] = [];
        roster.each((each) => seen.push(each));
        assert.equal(roster.size, model.size);
        assert.equal(seen.length, model.size);
        assert.deepEqual(new Set(seen), model);
      }
    }),
  );
});

test('each calls nobody who has left meanwhile, and nobody twice', () => {
  const roster = new Roster<Entry>();
  const [a, b, c, d] = [entry(0), entry(1), entry(2), entry(3)] as const;
  for (const one of [a, b, c]) roster.add(one);
  const called: number[] = [];
  roster.each((one) => {
    called.push(one.name);
    roster.delete(one);
    if (one === a) roster.delete(c);
    if (one === b) roster.add(d);
  });
  assert.deepEqual(called, [0, 1]);
  assert.equal(roster.size, 1);
});
