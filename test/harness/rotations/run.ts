import { createRandom } from '../faults/random.ts'
import type { Failure } from './load.ts'
import { type OrderName, ORDERS_OF, rotate } from './orders.ts'
import { type RotationProvider, startRotationWorld } from './rotation-world.ts'

export interface RotationRun {
  readonly provider: RotationProvider
  readonly redisUrl: string
  /** These, in this order; or so many by chance. */
  readonly orders: readonly OrderName[] | number
  readonly seed: number
  readonly progress?: (done: number, order: OrderName, seconds: number) => void
}

export interface RotationResult {
  readonly rotations: number
  readonly served: Readonly<Record<string, number>>
  readonly excused: number
  readonly starved: number
  readonly failures: readonly Failure[]
}

/** One rotation after the other at three replicas under load. Throws where one does not come to its end. */
export const runRotations = async ({ provider, redisUrl, orders, seed, progress }: RotationRun): Promise<RotationResult> => {
  const random = createRandom(seed)
  const world = await startRotationWorld(provider, redisUrl)
  try {
    let turned = { pair: world.first, name: 'first' }
    let rotations = 0
    for (const order of typeof orders === 'number' ? byChance(ORDERS_OF[provider], orders, random) : orders) {
      const began = performance.now()
      const turn = { world, old: turned.pair, oldName: turned.name, name: `pair-${rotations}`, random }
      turned = await rotate(order, turn).catch((error: unknown) => {
        throw new Error(`rotation ${rotations}, ${order}, seed ${seed}: ${error instanceof Error ? error.message : 'failed'}`)
      })
      rotations += 1
      progress?.(rotations, order, (performance.now() - began) / 1000)
      const [failure] = world.load.failures()
      if (failure) break
    }
    const { served, excused, starved, failures } = world.load
    return { rotations, served, excused: excused(), starved: starved(), failures: failures() }
  } finally {
    await world.stop()
  }
}

/** Each as often as any other. */
const byChance = (names: readonly OrderName[], count: number, random: ReturnType<typeof createRandom>): readonly OrderName[] =>
  Array.from({ length: Math.ceil(count / names.length) }, () => random.shuffled(names))
    .flat()
    .slice(0, count)
