import type { Member, Place } from './tab-types.ts';

/**
 * Those who share a tab. One of them has the place of the tab's own lease, whichever: each other one a place of its own, unless the account
 * may have any number. The store so counts as many leases as there are connections, at all gateways together.
 */
export interface Shared {
  readonly members: Set<Member>;
  readonly places: Set<Place>;
}

/** A connection joins, and brings the place that the store gave it. */
export function joinTab({ members, places }: Shared, member: Member, place: Place | undefined): void {
  members.add(member);
  if (place === undefined) return;
  places.add(place);
  place.onEnd = (cutBy) => {
    places.delete(place);
    // The store may have given it to another by now: one of those who are here has none.
    if (cutBy !== undefined) [...members].at(-1)?.cut(cutBy);
  };
}

/** Gives back the places beyond so many: a connection that leaves may leave the tab's own place to one of the others. */
export function keepPlaces(places: Shared['places'], most: number, nowMs: number): void {
  for (const place of places) {
    if (places.size <= most) return;
    place.end(undefined, nowMs);
  }
}
