/** The same numbers for the same seed (mulberry32). */
export interface Random {
  /** 0 ≤ x < 1 */
  next(): number
  /** from ≤ n < to */
  int(from: number, to: number): number
  pick<T>(list: readonly T[]): T
  /** Of a table name → weight. */
  weighed<T extends string>(weights: Readonly<Record<T, number>>): T
  shuffled<T>(list: readonly T[]): T[]
  /** Another stream of numbers, so that one who draws more often does not disturb the others. */
  fork(): Random
}

export const createRandom = (seed: number): Random => {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const int = (from: number, to: number): number => from + Math.floor(next() * (to - from))
  return {
    next,
    int,
    pick: (list) => {
      const picked = list[int(0, list.length)]
      if (picked === undefined) throw new Error('nothing to pick from')
      return picked
    },
    weighed: (weights) => {
      const entries = Object.entries<number>(weights) as [keyof typeof weights & string, number][]
      let left = next() * entries.reduce((sum, [, weight]) => sum + weight, 0)
      for (const [name, weight] of entries) if ((left -= weight) < 0) return name as never
      throw new Error('no weights')
    },
    shuffled: (list) => {
      const rest = [...list]
      return list.map(() => rest.splice(int(0, rest.length), 1)[0] as (typeof rest)[number])
    },
    fork: () => createRandom(int(0, 2 ** 32)),
  }
}
