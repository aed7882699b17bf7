/** Ranges of axes that stay calm while numbers change. */

const NICE = [0.1, 0.2, 0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 50, 100, 200, 500, 1000];

/** The next round number above. */
export const roundUp = (value) => NICE.find((nice) => nice >= value) || value;

/** Grows at once, shrinks only when far too large. */
export class CalmRange {
  constructor() {
    this.top = 0;
  }

  /** Half the range for a largest value. */
  fit(largest) {
    const wanted = roundUp(largest * 1.08);
    if (wanted > this.top || largest < this.top * 0.35) this.top = wanted;
    return this.top;
  }
}

/** The largest distance from zero among numbers and gaps. */
export function largest(...lists) {
  let found = 0;
  for (const list of lists)
    for (const value of list || []) if (Number.isFinite(value) && Math.abs(value) > found) found = Math.abs(value);
  return found;
}
