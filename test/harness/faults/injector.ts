import { setTimeout as wait } from 'node:timers/promises'
import { SCRIPTS } from '../../../src/session/scripts-redis.ts'
import { type FaultWorld, PROVIDER_TIMEOUT_MS, REPLICAS } from './fault-world.ts'
import type { Fault, FaultName, HistoryEvent } from './history.ts'
import type { TokenFate } from './provider-proxy.ts'
import type { Random } from './random.ts'
import { tell } from './store-servers.ts'

type Injected = Exclude<FaultName, 'clock-offset'>

export interface Injector {
  /** One fault after the other until `stop`; each is over and healed before the next. */
  run(random: Random): Promise<void>
  /** After this one is healed. */
  stop(): void
}

export interface InjectorOptions {
  readonly world: FaultWorld
  readonly record: (event: HistoryEvent) => void
  readonly now: () => number
}

/** What passes a wire, by the script that asks for it: one to fall over right there. */
const EVENTS = ['save', 'mark', 'end', 'create', 'takeMark', 'token'] as const
const WAIT_FOR_EVENT_MS = 3_000

export const createInjector = ({ world, record, now }: InjectorOptions): Injector => {
  const { provider } = world
  const { wire } = world.store
  let stopped = false

  const during = async (fault: Injected, work: () => Promise<Partial<Fault> | void>): Promise<void> => {
    const from = now()
    const more = (await work()) ?? {}
    record({ kind: 'fault', fault, from, to: now(), ...more })
  }
  /** Another primary, after this one died, stopped or was told to go; what it had not handed on is lost with it. */
  const failOver = async (random: Random): Promise<Partial<Fault>> => {
    const before = await world.store.primary()
    const how = random.pick(['killed', 'frozen', 'told to'] as const)
    if (how === 'killed') await before.kill()
    else if (how === 'frozen') before.freeze()
    else await world.store.promote()
    const end = now() + 20_000
    while ((await world.store.primary().catch(() => before)) === before && now() < end) await wait(50)
    if (how === 'killed') await before.restart()
    before.thaw()
    await world.store.whole()
    return { on: how }
  }

  /** Falls at the event itself, or when it has waited too long. `held`: what was on the wire never arrives. */
  const killAt = async (random: Random, gateway: number): Promise<string> => {
    const event = random.pick(EVENTS)
    const held = random.next() < 0.5
    const kill = (): void => world.gateways[gateway]?.signal('SIGKILL')
    const happened = Promise.withResolvers<string>()
    const late = setTimeout(() => happened.resolve('nothing'), WAIT_FOR_EVENT_MS)
    if (event === 'token') {
      provider.fate = async (its, isRefresh) => {
        if (its !== gateway || !isRefresh) return { kind: 'pass' }
        if (held) kill()
        else setImmediate(kill)
        happened.resolve(`a token answer, ${held ? 'held back' : 'passed on'}`)
        return held ? { kind: 'cut', after: 0 } : { kind: 'pass' }
      }
    } else {
      const { sha } = SCRIPTS[event]
      const direction = random.pick(['to-store', 'from-store'] as const)
      let asked: object | undefined
      wire.watch = (its, which, piece, connection) => {
        if (its !== gateway) return true
        const isCall = which === 'to-store' && piece.includes(sha)
        if (isCall && direction === 'from-store') asked = connection
        const isIt = direction === 'to-store' ? isCall : which === 'from-store' && connection === asked
        if (!isIt) return true
        wire.watch = undefined
        kill()
        happened.resolve(`${event} ${direction}, ${held ? 'held back' : 'passed on'}`)
        return !held
      }
    }
    const on = await happened.promise
    clearTimeout(late)
    kill()
    wire.watch = undefined
    provider.fate = async () => ({ kind: 'pass' })
    return on
  }

  const nextRefresh = async (fault: 'provider-cut' | 'provider-slow', fate: TokenFate): Promise<void> => {
    const happened = Promise.withResolvers<void>()
    const late = setTimeout(() => happened.resolve(), WAIT_FOR_EVENT_MS)
    provider.fate = async (gateway, isRefresh) => {
      if (!isRefresh) return { kind: 'pass' }
      provider.fate = async () => ({ kind: 'pass' })
      record({ kind: 'fault', fault, gateway, from: now(), to: now() + (fate.kind === 'late' ? fate.ms : 0) })
      happened.resolve()
      return fate
    }
    await happened.promise
    clearTimeout(late)
    provider.fate = async () => ({ kind: 'pass' })
  }

  const slow = async (random: Random): Promise<Partial<Fault>> => {
    const delay = random.int(20, 600)
    const gateway = random.int(0, REPLICAS)
    wire.line(gateway).delay = delay
    await wait(random.int(500, 2_000))
    wire.line(gateway).delay = 0
    return { gateway, on: `${delay} ms` }
  }
  const cutInside = async (random: Random): Promise<Partial<Fault>> => {
    const gateway = random.int(0, REPLICAS)
    const line = wire.line(gateway)
    line.cutAfter = random.int(0, 80)
    const on = `${line.cutAfter} bytes`
    for (const end = now() + 1_000; line.cutAfter !== undefined && now() < end; ) await wait(10)
    line.cutAfter = undefined
    return { gateway, on }
  }
  const drop = async (random: Random): Promise<Partial<Fault>> => {
    const gateway = random.int(0, REPLICAS)
    wire.line(gateway).silent = true
    await wait(random.int(300, 3_000))
    wire.line(gateway).silent = false
    wire.cut(gateway) // what was swallowed is missing in the middle: such a connection is of no more use
    return { gateway }
  }

  const faults: Readonly<Record<Injected, (random: Random) => Promise<void>>> = {
    'redis-kill': (random) =>
      during('redis-kill', async () => {
        const redis = await world.store.primary()
        await redis.kill()
        await wait(random.int(100, 2_500))
        await redis.restart()
      }),
    'redis-restart': () => during('redis-restart', async () => (await world.store.primary()).restart()),
    'redis-freeze': (random) =>
      during('redis-freeze', async () => {
        const redis = await world.store.primary()
        redis.freeze()
        await wait(random.int(200, 3_500))
        redis.thaw()
      }),
    'redis-readonly': (random) =>
      during('redis-readonly', async () => {
        const { port } = await world.store.primary()
        await tell(port, ['REPLICAOF', '127.0.0.1', '1'])
        await wait(random.int(200, 2_500))
        await tell(port, ['REPLICAOF', 'NO', 'ONE'])
      }),
    'redis-failover': (random) => during('redis-failover', () => failOver(random)),
    'redis-slow': (random) => during('redis-slow', () => slow(random)),
    'redis-cut': (random) =>
      during('redis-cut', async () => {
        const gateway = random.int(0, REPLICAS)
        wire.cut(gateway)
        return { gateway }
      }),
    'redis-cut-inside': (random) => during('redis-cut-inside', () => cutInside(random)),
    'redis-drop': (random) => during('redis-drop', () => drop(random)),
    'gateway-kill': async (random) => {
      const gateway = random.int(0, REPLICAS)
      const on = await killAt(random, gateway)
      await during('gateway-kill', async () => {
        await world.restart(gateway)
        return { gateway, on }
      })
    },
    'gateway-freeze': (random) =>
      during('gateway-freeze', async () => {
        const gateway = random.int(0, REPLICAS)
        const stopped = world.gateways[gateway]
        stopped?.signal('SIGSTOP')
        await wait(random.int(300, 6_000))
        stopped?.signal('SIGCONT')
        return { gateway }
      }),
    'provider-cut': (random) => nextRefresh('provider-cut', { kind: 'cut', after: random.int(0, 2_000) }),
    'provider-slow': (random) => nextRefresh('provider-slow', { kind: 'late', ms: random.int(100, PROVIDER_TIMEOUT_MS + 500) }),
  }
  // Behind sentinels a primary that goes away is replaced; alone it comes back.
  const other = new Set<Injected>(
    world.store.topology === 'one' ? ['redis-failover'] : ['redis-kill', 'redis-restart', 'redis-freeze', 'redis-readonly'],
  )
  const names = (Object.keys(faults) as Injected[]).filter((name) => !other.has(name))

  return {
    run: async (random) => {
      while (!stopped)
        // All kinds in each round, gateways falling twice as often: that is where most can go wrong.
        for (const name of random.shuffled([...names, 'gateway-kill' as const])) {
          await wait(random.int(100, 900))
          if (stopped) return
          await faults[name](random)
        }
    },
    stop: () => (stopped = true),
  }
}
