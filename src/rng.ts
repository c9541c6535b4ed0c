// Seeded, named random streams. Every use of chance has its own stream, so that adding one does not shift another.

/** xoshiro128** over a state seeded by SplitMix32. Reference: Blackman and Vigna, arXiv 1805.01407. */
export class Rng {
  private s0: number;
  private s1: number;
  private s2: number;
  private s3: number;

  private constructor(draw: () => number) {
    this.s0 = draw();
    this.s1 = draw();
    this.s2 = draw();
    this.s3 = draw() || 1; // a state of zeros would stay so
  }

  /** A stream that depends on the seed and on the name alone. */
  static named(seed: number, name: string): Rng {
    let hash = 0x811c9dc5; // FNV-1a
    for (const char of `${seed}/${name}`)
      hash = Math.imul(hash ^ char.codePointAt(0)!, 0x01000193) >>> 0;
    const splitMix = () => {
      hash = (hash + 0x9e3779b9) >>> 0;
      let z = hash;
      z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
      z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
      return (z ^ (z >>> 16)) >>> 0;
    };
    return new Rng(splitMix);
  }

  /** 32 random bits. */
  bits(): number {
    const mixed = Math.imul(this.s1, 5);
    const result = Math.imul((mixed << 7) | (mixed >>> 25), 9) >>> 0;
    const shifted = this.s1 << 9;
    this.s2 ^= this.s0;
    this.s3 ^= this.s1;
    this.s1 = (this.s1 ^ this.s2) >>> 0;
    this.s0 = (this.s0 ^ this.s3) >>> 0;
    this.s2 = (this.s2 ^ shifted) >>> 0;
    this.s3 = ((this.s3 << 11) | (this.s3 >>> 21)) >>> 0;
    return result;
  }

  /** Uniform in [0, 1), 32 bits of resolution. */
  uniform(): number {
    return this.bits() / 2 ** 32;
  }

  /** Uniform integer in [0, below). */
  integer(below: number): number {
    return Math.floor(this.uniform() * below);
  }

  /** Standard normal (Box-Muller). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  pick<T>(items: readonly T[]): T {
    return items[this.integer(items.length)]!;
  }

  /** A shuffled copy (Fisher-Yates). */
  shuffled<T>(items: readonly T[]): T[] {
    const copy = [...items];
    for (let i = copy.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      [copy[i], copy[j]] = [copy[j]!, copy[i]!];
    }
    return copy;
  }
}
