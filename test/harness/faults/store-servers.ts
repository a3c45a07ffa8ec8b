import { setTimeout as wait } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { Program } from '../debs.ts'
import { freePort } from '../free-port.ts'
import { PRIMARY_NAME, startSentinel } from '../redis-fleet.ts'
import { type RedisServer, startRedisServer } from '../redis-server.ts'
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts'

export type Topology = 'one' | 'sentinel'

/** The Redis of a run, as its gateways see it: through our proxy, whichever server it is. */
export interface StoreServers {
  readonly topology: Topology
  readonly wire: TcpProxy
  /** YAML: where `session.store.redis` says it is. */
  readonly place: string
  /** The one that takes writes; behind sentinels by what they say. */
  primary(): Promise<RedisServer>
  /** Behind sentinels: asks for another primary. */
  promote(): Promise<void>
  /** Until all servers are there, and all but one follow it. */
  whole(): Promise<void>
  stop(): Promise<void>
}

/** One command at one server. */
export const tell = async (port: number, command: readonly [string, ...string[]]): Promise<unknown> => {
  const [name, ...args] = command
  const client = new Redis(port, '127.0.0.1', {
    retryStrategy: () => null,
    enableReadyCheck: false,
    connectTimeout: 1_000,
    commandTimeout: 1_000,
  })
  client.on('error', () => undefined)
  try {
    return await client.call(name, ...args)
  } finally {
    client.disconnect()
  }
}

const startOne = async (program: Program): Promise<StoreServers> => {
  const redis = await startRedisServer(program)
  const wire = await startTcpProxy([redis.port])
  return {
    topology: 'one',
    wire,
    place: `url: 'redis://127.0.0.1:${wire.ports[0] ?? 0}'`,
    primary: async () => redis,
    promote: async () => undefined,
    whole: async () => undefined,
    stop: async () => void (await Promise.all([wire.stop(), redis.stop()])),
  }
}

const REPLICAS = 2

/** Each server announces the port of the proxy in front of it, so that sentinels lead the gateways, and each other, there. */
const startBehindSentinels = async (program: Program): Promise<StoreServers> => {
  const own = await Promise.all(Array.from({ length: 1 + REPLICAS }, () => freePort()))
  const wire = await startTcpProxy(own)
  const announced = (at: number): string => String(wire.ports[at] ?? 0)
  const servers: RedisServer[] = []
  for (const [at, port] of own.entries()) {
    const follows = at === 0 ? [] : ['--replicaof', '127.0.0.1', announced(0)]
    const announces = ['--replica-announce-ip', '127.0.0.1', '--replica-announce-port', announced(at)]
    servers.push(await startRedisServer(program, { port, args: ['--repl-diskless-sync-delay', '0', ...announces, ...follows] }))
  }
  const sentinels: Awaited<ReturnType<typeof startSentinel>>[] = []
  for (let at = 0; at < 3; at += 1) sentinels.push(await startSentinel(program, wire.ports[0] ?? 0))
  const ask = (...command: [string, ...string[]]): Promise<unknown> => tell(sentinels[0]?.port ?? 0, command)
  const primary = async (): Promise<RedisServer> => {
    const [, port = ''] = (await ask('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', PRIMARY_NAME)) as string[]
    const server = servers[wire.ports.indexOf(Number(port))]
    if (!server) throw new Error('the sentinels name a server that is not ours')
    return server
  }
  const isWhole = async (): Promise<boolean> => {
    const facts = (await ask('SENTINEL', 'MASTER', PRIMARY_NAME)) as string[]
    const fact = (name: string): string | undefined => facts[facts.indexOf(name) + 1]
    if (fact('flags') !== 'master' || fact('num-other-sentinels') !== '2') return false
    return /connected_slaves:2/.test(String(await tell((await primary()).port, ['INFO', 'replication'])))
  }
  const servants: StoreServers = {
    topology: 'sentinel',
    wire,
    place: `sentinel: { name: ${PRIMARY_NAME}, nodes: [${sentinels.map(({ port }) => `'127.0.0.1:${port}'`).join(', ')}] }, tls: false`,
    primary,
    promote: async () => void (await ask('SENTINEL', 'FAILOVER', PRIMARY_NAME).catch(() => undefined)),
    whole: async () => {
      for (const end = Date.now() + 30_000; !(await isWhole().catch(() => false)); await wait(100))
        if (Date.now() > end) throw new Error('the servers behind the sentinels do not find together again')
    },
    stop: async () => {
      for (const sentinel of sentinels) await sentinel.stop()
      await Promise.all([wire, ...servers].map((part) => part.stop()))
    },
  }
  await servants.whole()
  return servants
}

export const startStoreServers = (program: Program, topology: Topology): Promise<StoreServers> =>
  topology === 'one' ? startOne(program) : startBehindSentinels(program)
