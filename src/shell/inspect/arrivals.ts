/**
 * When the waiters of a pool came, by two of its numbers: how many have waited so far, and how many wait now. They are
 * served in order, so those that wait are the last that came. A wait counts from the picture that showed it first: the
 * true one is at least so long. A checkout is not asked, and costs nothing.
 */
export class Arrivals {
  /** How many had waited by then; only of those that may still wait. */
  #marks: Mark[] = [];
  #before = 0;

  /**
   * Returns the waiters in order: how many came at a moment, and that moment. `longestMs`: for how long the first one
   * has waited, if the pool knows.
   */
  note(
    at: number,
    { waited, waiting }: { readonly waited: number; readonly waiting: number },
    longestMs: number | null | undefined,
  ): Array<[count: number, at: number]> {
    const last = this.#marks.at(-1)?.waited ?? this.#before;
    if (waited > last || this.#marks.length === 0) this.#marks.push({ waited, at });
    const gone = waited - waiting;
    for (let first: Mark | undefined; (first = this.#marks[0]) !== undefined && first.waited <= gone;) {
      this.#before = first.waited;
      this.#marks.shift();
    }
    if (this.#marks.length > mostMarks) this.#merge();
    const runs: Array<[number, number]> = [];
    let from = gone;
    for (const mark of this.#marks) {
      runs.push([mark.waited - from, mark.at]);
      from = mark.waited;
    }
    const [first] = runs;
    const cameAt = at - (longestMs ?? 0);
    if (first !== undefined && cameAt < first[1]) {
      first[0]--;
      runs.unshift([1, cameAt]);
    }
    return runs.filter(([count]) => count > 0);
  }

  /** Of two marks the later one stays: no wait may look longer than it is. */
  #merge(): void {
    this.#marks = this.#marks.filter((_, place) => place % 2 === 1 || place === this.#marks.length - 1);
  }
}

interface Mark {
  readonly waited: number;
  readonly at: number;
}

const mostMarks = 400;
