import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { Program } from './debs.ts'
import { freePort } from './free-port.ts'
import { SENTINEL_RIGHTS } from './redis-rights.ts'
import { mortal, type RedisServer, startRedisServer, type TlsFiles, tlsSettings } from './redis-server.ts'

/** Several Redis processes that belong together. */
export interface RedisFleet {
  /** In a Cluster the primaries; behind sentinels the first primary, then its replicas. */
  readonly servers: readonly RedisServer[]
  /** Of what one asks first: nodes of the Cluster, or the sentinels. */
  readonly ports: readonly number[]
  stop(): Promise<void>
}

export const PRIMARY_NAME = 'main'
const SLOTS = 16_384

/** Three primaries with all slots between them, no replicas. */
export const startRedisCluster = async (program: Program, size = 3): Promise<RedisFleet> => {
  const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000', '--appendonly', 'no']
  const servers: RedisServer[] = []
  for (let i = 0; i < size; i += 1) servers.push(await startRedisServer(program, { port: await freePort(), args }))
  const clients = servers.map(({ port }) => new Redis(port, '127.0.0.1'))
  try {
    const [first] = clients
    for (const [i, client] of clients.entries()) {
      await client.call('CLUSTER', 'SET-CONFIG-EPOCH', String(i + 1))
      const [from, to] = [Math.floor((i * SLOTS) / size), Math.floor(((i + 1) * SLOTS) / size) - 1]
      await client.call('CLUSTER', 'ADDSLOTSRANGE', String(from), String(to))
    }
    for (const { port } of servers.slice(1)) await first?.call('CLUSTER', 'MEET', '127.0.0.1', String(port))
    await eventually(async () => {
      const infos = await Promise.all(clients.map((client) => client.call('CLUSTER', 'INFO')))
      return infos.every(
        (info) => /cluster_state:ok/.test(String(info)) && /cluster_known_nodes:(\d+)/.exec(String(info))?.[1] === String(size),
      )
    }, 'the Cluster does not come up')
  } finally {
    for (const client of clients) client.disconnect()
  }
  return {
    servers,
    ports: servers.map(({ port }) => port),
    stop: async () => void (await Promise.all(servers.map((server) => server.stop()))),
  }
}

/** One primary, two replicas that have caught up, and three sentinels. `ready`: they also know of each other, so that they can fail over. */
export const startRedisSentinels = async (program: Program, { ready }: { readonly ready: boolean }): Promise<RedisFleet> => {
  const primary = await startRedisServer(program, { args: ['--appendonly', 'no', '--repl-diskless-sync-delay', '0'] })
  const args = ['--appendonly', 'no', '--replicaof', '127.0.0.1', String(primary.port)]
  const replicas = [await startRedisServer(program, { args }), await startRedisServer(program, { args })]
  const client = new Redis(primary.port, '127.0.0.1')
  await eventually(
    async () => (await client.info('replication')).match(/state=online/g)?.length === replicas.length,
    'the replicas do not catch up',
  ).finally(() => client.disconnect())
  const sentinels = [await startSentinel(program, primary.port), await startSentinel(program, primary.port)]
  sentinels.push(await startSentinel(program, primary.port))
  if (ready) for (const { port } of sentinels) await knowsTheOthers(port)
  return {
    servers: [primary, ...replicas],
    ports: sentinels.map(({ port }) => port),
    stop: async () => {
      for (const sentinel of sentinels) await sentinel.stop()
      await Promise.all([primary, ...replicas].map((server) => server.stop()))
    },
  }
}

interface SentinelRequest {
  readonly tls?: TlsFiles
  /** Of the user `sallyport`, who then is the only one, with the rights that docs/storage.md lists. */
  readonly password?: string
  readonly quorum?: number
}

export const startSentinel = async (
  program: Program,
  primaryPort: number,
  { tls, password, quorum = 2 }: SentinelRequest = {},
): Promise<{ readonly port: number; stop(): Promise<void> }> => {
  const port = await freePort()
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-sentinel-'))
  const file = join(dir, 'sentinel.conf')
  writeFileSync(
    file,
    [
      ...(tls ? tlsSettings(port, tls).map(([name, value]) => `${name} ${value}`) : [`port ${port}`]),
      ...(password === undefined ? [] : [`user default off`, `user sallyport on >${password} ${SENTINEL_RIGHTS}`]),
      'bind 127.0.0.1',
      `dir ${dir}`,
      `sentinel monitor ${PRIMARY_NAME} 127.0.0.1 ${primaryPort} ${quorum}`,
      `sentinel down-after-milliseconds ${PRIMARY_NAME} 1000`,
      `sentinel failover-timeout ${PRIMARY_NAME} 4000`,
      `sentinel parallel-syncs ${PRIMARY_NAME} 2`,
      '',
    ].join('\n'),
  )
  const child = mortal(
    spawn(program.bin, [file, '--sentinel'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...program.env },
    }),
  )
  let said = ''
  await new Promise<void>((resolve, reject) => {
    const listen = (chunk: Buffer): void => {
      said = (said + chunk.toString()).slice(-4_000)
      if (said.includes('+monitor master')) resolve()
    }
    child.stdout?.on('data', listen)
    child.stderr?.on('data', listen)
    child.once('error', reject)
    child.once('exit', (code, signal) => reject(new Error(`the sentinel ended with ${code ?? signal} before it was ready:\n${said}`)))
  })
  return {
    port,
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        const exit = once(child, 'exit')
        child.kill('SIGKILL')
        await exit
      }
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

const knowsTheOthers = async (port: number): Promise<void> => {
  const client = new Redis(port, '127.0.0.1', { enableReadyCheck: false })
  try {
    await eventually(async () => {
      const facts = (await client.call('SENTINEL', 'MASTER', PRIMARY_NAME)) as readonly string[]
      const fact = (name: string): string | undefined => facts[facts.indexOf(name) + 1]
      return fact('num-slaves') === '2' && fact('num-other-sentinels') === '2'
    }, 'the sentinels do not find each other')
  } finally {
    client.disconnect()
  }
}

const eventually = async (condition: () => Promise<boolean>, otherwise: string): Promise<void> => {
  const deadline = Date.now() + 40_000
  while (!(await condition().catch(() => false))) {
    if (Date.now() > deadline) throw new Error(otherwise)
    await wait(50)
  }
}
